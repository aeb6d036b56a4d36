"""`miniecs lb`: where load balancers are reached, what their rules do, and how their targets are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from miniecs.cli import live, output
from miniecs.cli.client import Client, connect
from miniecs.cli.drawing import STYLES, Row, latency, link, rate, table, wrapped
from miniecs.cli.folder import DataFolder
from miniecs.cli.live import Page
from miniecs.cli.output import counted
from miniecs.cli.problem import Problem

_DIGITS = 8  # of a task's id
_PROXY_AWAY = (
    "The proxy is not connected: no target is checked, and what stands here of listeners and traffic is old."
    " The supervisor starts a dead one again; `logs/proxy.log` in the data folder says what became of it."
)


def show(folder: DataFolder, name: str | None, *, once: bool, as_json: bool) -> None:
    """Live on a terminal until Ctrl-C."""

    def ask(client: Client) -> Page:
        return client.get("load-balancers", name=name)

    if as_json:
        output.print_json(ask(connect(folder)))
        return
    try:
        live.show(live.looks(folder, ask), draw, once=once)
    except KeyboardInterrupt:
        return


def urls(folder: DataFolder, name: str | None) -> None:
    """A line for each listener: the URL that every program on this machine understands."""
    page = connect(folder).get("load-balancers", name=name)
    listeners = [listener for each in page["loadBalancers"] for listener in each["listeners"]]
    reached = [listener["urls"][0] for listener in listeners if listener["urls"]]
    if not reached:
        which = f"load balancer {name!r}" if name is not None else "any load balancer"
        raise Problem(f"No listener of {which} is reached from here; `miniecs lb` says why.")
    print("\n".join(reached))


def draw(page: Page, width: int, most: int | None = None) -> list[Text]:
    """The page as lines. most: of the rules of a listener, and of the targets of a group; of those the ones
    with something to say."""
    lines = []
    if page["runtime"] == "docker" and not page["proxy"]:
        lines += [*wrapped(_PROXY_AWAY, width, style="bold red"), Text()]
    balancers = page["loadBalancers"]
    for balancer in balancers:
        lines += [*_balancer(balancer, page, width, most), Text()]
    if not balancers:
        lines.append(Text("There is no load balancer. `aws elbv2 create-load-balancer` makes one."))
    elif len(balancers) > 1:
        lines += wrapped(_total(balancers), width)
    while not lines[-1]:
        lines.pop()
    return lines


def _balancer(balancer: dict[str, Any], page: Page, width: int, most: int | None) -> Iterator[Text]:
    title = Text.assemble(f"{balancer['type']} load balancer ", (balancer["name"], "bold"))
    if len(title) + 2 + len(balancer["dnsName"]) > width:
        yield title
        yield Text(f"  {balancer['dnsName']}")
    else:
        yield title.append(f"  {balancer['dnsName']}")
    if not balancer["listeners"]:
        yield Text("  It has no listener, so it takes no requests.", "yellow")
    for listener in balancer["listeners"]:
        yield from _listener(listener, page, width, most)
    for group in balancer["targetGroups"]:
        yield from _group(group, balancer, page, width, most)


def _listener(listener: dict[str, Any], page: Page, width: int, most: int | None) -> Iterator[Text]:
    name = f"{listener['protocol']}:{listener['port']}"
    indent = f"  {name}  "
    yield Text.assemble(indent, _flow(listener["traffic"]))
    urls = listener["urls"]
    for url in urls:
        yield Text("    ").append_text(link(url))
    for url in listener["containerUrls"]:
        yield Text.assemble("    ", link(url), "  from containers")
    if not urls and not listener["problem"]:
        simulated = page["runtime"] == "simulated"
        yield Text(f"    {'simulated: nothing listens' if simulated else 'not listening yet'}", "yellow")
    if listener["problem"]:
        yield from wrapped(_problem(listener), width, 4, "yellow", hanging=2)
    yield from _rules(listener["rules"], width, most)


def _rules(rules: list[dict[str, Any]], width: int, most: int | None) -> Iterator[Text]:
    """In the order in which they are tried; the default one stands last."""
    *others, default = rules
    shown = others[:most]
    broad = max(len(rule["priority"]) for rule in rules)
    for rule in shown:
        told = f"{rule['priority']:{broad}} {rule['when']} → {rule['then']}"
        yield from wrapped(told, width, 4, hanging=broad + 1)
    if hidden := len(others) - len(shown):
        yield Text(f"    … and {counted(hidden, 'rule')} more", "dim")
    yield from wrapped(f"{default['priority']:{broad}} → {default['then']}", width, 4, hanging=broad + 1)


def _problem(listener: dict[str, Any]) -> str:
    return f"It {'listens elsewhere' if listener['urls'] else 'does not listen'}: {listener['problem']}."


def _group(
    group: dict[str, Any], balancer: dict[str, Any], page: Page, width: int, most: int | None
) -> Iterator[Text]:
    yield from wrapped(f"target group {group['name']}: {_about(group, page)}", width, 2, hanging=2)
    if group["failsOpen"]:
        told = "Too few targets are healthy, so requests go to all that are registered (it fails open)."
        yield from wrapped(told, width, 4, "bold red")
    targets = group["targets"]
    if not targets:
        http = balancer["type"] == "application"
        yield Text(f"    no targets: {'clients get 503' if http else 'connections are refused'}", "yellow")
        return
    shown = sorted(targets, key=_urgency)[:most] if most is not None else targets
    if shown:
        yield from _targets(shown, group, balancer, width)
    if hidden := len(targets) - len(shown):
        yield Text(f"    … and {_hidden(targets, shown, hidden)}: --once shows all", "dim")


def _about(group: dict[str, Any], page: Page) -> str:
    registered = [target for target in group["targets"] if target["state"] != "draining"]
    healthy = sum(target["state"] == "healthy" for target in registered)
    draining = len(group["targets"]) - len(registered)
    check = group["healthCheck"]
    interval = check["intervalSeconds"] / page["timeScale"]
    text = f"{check['text']} every {interval:.3g} s, {healthy} of {len(registered)} healthy"
    return f"{text}, {draining} draining" if draining else text


def _targets(
    targets: list[dict[str, Any]], group: dict[str, Any], balancer: dict[str, Any], width: int
) -> Iterator[Text]:
    families = {_split(target["definition"])[0] for target in targets if target["definition"]}
    headings = ("TARGET", "ZONE", "TASK", "REV", "STATE", "REQ/S", "ERR", "MEDIAN", "P99")
    if len(families) > 1:
        headings = (*headings[:3], "DEFINITION", *headings[4:])
    rows = [_row(target, balancer["region"], one_family=len(families) < 2) for target in targets]
    if len(group["targets"]) > 1:
        traffic = group["traffic"]
        rows.append(Row(("total", "", "", "", "", *_numbers(traffic))))
    yield from table(headings, rows, numbers=4, width=width, indent=4)


def _row(target: dict[str, Any], region: str, *, one_family: bool) -> Row:
    definition = target["definition"] or "-"
    cells = (
        f"{target['id']}:{target['port']}",
        (target["zone"] or "-").removeprefix(region),
        (target["task"] or "-")[:_DIGITS],
        _split(definition)[1] if one_family else definition,
        target["state"],
        *_numbers(target["traffic"]),
    )
    return Row(cells, 4, STYLES.get(target["state"], ""), target["why"])


def _numbers(traffic: dict[str, Any]) -> tuple[str, ...]:
    return (
        rate(traffic["requestsPerSecond"]),
        str(traffic["errors"] + traffic["connectionErrors"]),
        latency(traffic["medianSeconds"]),
        latency(traffic["p99Seconds"]),
    )


def _split(definition: str) -> tuple[str, str]:
    """(family, revision)."""
    family, _, revision = definition.rpartition(":")
    return family, revision


def _urgency(target: dict[str, Any]) -> tuple[int, float]:
    """Those with something to say first, then by their traffic."""
    return not target["why"], -target["traffic"]["requestsPerSecond"]


def _hidden(targets: list[dict[str, Any]], shown: list[dict[str, Any]], hidden: int) -> str:
    seen = {id(target) for target in shown}
    states = {target["state"] for target in targets if id(target) not in seen}
    return f"{hidden} more" if len(states) > 1 else f"{hidden} more that are {states.pop()}"


def _flow(traffic: dict[str, Any]) -> str:
    """``12.3 requests/s, 0 errors, median 1.2ms, p99 4.1ms``; the errors are of the last seconds."""
    text = f"{rate(traffic['requestsPerSecond'])} requests/s, {counted(traffic['errors'], 'error')}"
    if traffic["medianSeconds"] is None:
        return text
    return f"{text}, median {latency(traffic['medianSeconds'])}, p99 {latency(traffic['p99Seconds'])}"


def _total(balancers: list[dict[str, Any]]) -> str:
    listeners = [listener["traffic"] for each in balancers for listener in each["listeners"]]
    groups = {group["arn"]: group for each in balancers for group in each["targetGroups"]}
    targets = [t for group in groups.values() for t in group["targets"] if t["state"] != "draining"]
    healthy = sum(target["state"] == "healthy" for target in targets)
    requests = sum(traffic["requestsPerSecond"] for traffic in listeners)
    errors = sum(traffic["errors"] for traffic in listeners)
    return (
        f"{len(balancers)} load balancers: {healthy} of {counted(len(targets), 'target')} healthy,"
        f" {rate(requests)} requests/s, {counted(errors, 'error')}"
    )
