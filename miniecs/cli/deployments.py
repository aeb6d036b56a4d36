"""`miniecs deployments`: how far a service's deployments are, and what each waits for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rich.text import Text

from miniecs.cli import live, output
from miniecs.cli.client import Client, connect
from miniecs.cli.drawing import wrapped
from miniecs.cli.folder import DataFolder
from miniecs.cli.live import Look, Page
from miniecs.cli.problem import Problem

_BAR = 40  # columns at most
_CELL = 4  # columns of one task at most
_STATES = (  # in the page's words; how it is drawn, in which colour, and what it is called
    ("healthy", "█", "green", "healthy"),
    ("settling", "▓", "yellow", "running, not yet healthy"),
    ("unhealthy", "!", "red", "unhealthy"),
    ("leaving", "▒", "magenta", "on a DRAINING instance"),
    ("starting", "░", "blue", "starting"),
    ("draining", "-", "magenta", "draining"),
    ("stopping", "·", "dim", "stopping"),
)
_ROLLOUT = {
    "COMPLETED": "green",
    "FAILED": "bold red",
    "IN_PROGRESS": "yellow",
    "STEADY_STATE": "green",
    "STABILIZING": "yellow",
}
_WENT_WRONG = ("STOPPED", "ROLLBACK_FAILED", "ROLLBACK_SUCCESSFUL")
_BACK = ("ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED")
_GROUP = re.compile(r"\(target-group [^)/]*/([^/)]+)/[^)]*\)")
_TASK = re.compile(r"\(task ([0-9a-f]{8})[0-9a-f]{24}\)")


def show(
    folder: DataFolder, name: str, *, cluster: str | None, once: bool, until_stable: bool, as_json: bool
) -> bool:
    """Live on a terminal until Ctrl-C, or until the service is steady or its deployment failed.

    False when it failed.
    """

    def ask(client: Client) -> Page:
        return client.get("deployments", service=name, cluster=cluster)

    if until_stable:
        return _until_stable(live.looks(folder, ask), as_json=as_json)
    if as_json:
        output.print_json(ask(connect(folder)))
        return True
    try:
        live.show(live.looks(folder, ask), draw, once=once)
    except KeyboardInterrupt:
        pass
    return True


class Ending:
    """Whether what is being waited for has come. ``steady`` is None until then."""

    def __init__(self) -> None:
        self.steady: bool | None = None
        self._newest = 0.0

    def __call__(self, page: Page) -> bool:
        """Take the next page; True when nothing is left to wait for. Raises Problem if nothing can come."""
        if page["status"] != "ACTIVE":
            raise Problem(f"Service {page['service']} is {page['status']}: it was deleted.")
        if not page["deployments"]:
            raise Problem(
                f"Service {page['service']} has no deployments of its own:"
                f" its controller is {page['controller']}."
            )
        newest = max(deployment["createdAt"] for deployment in page["deployments"])
        if page["outcome"] == "FAILED" or _went_back(page) or newest < self._newest:
            self.steady = False
        elif page["outcome"] == "STEADY":
            self.steady = True
        self._newest = max(newest, self._newest)
        return self.steady is not None


def _went_back(page: Page) -> bool:
    """Whether the newest deployment was rolled back, be it before anyone looked."""
    release = page["release"]
    return release is not None and release["status"] in _BACK


def _until_stable(looks: Iterator[Look], *, as_json: bool) -> bool:
    ending = Ending()
    if as_json:
        page = next(look.page for look in looks if ending(look.page))
        output.print_json(page)
    elif live.is_terminal():
        page = live.show(looks, draw, once=False, until=ending)
    else:
        page = _told(looks, ending)
    if not as_json:
        print(verdict(page, steady=ending.steady is True))
    return ending.steady is True


def _told(looks: Iterator[Look], ending: Ending) -> Page:
    """Print the service's events as they come, those of before apart."""
    last: int | None = None
    for look in looks:
        events = look.page["events"]
        for event in events if last is not None else ():
            if event["seq"] > last:
                print(_event(event), flush=True)
        last = max((event["seq"] for event in events), default=last or 0)
        if ending(look.page):
            return look.page
    raise AssertionError("looks have no end")


def verdict(page: Page, *, steady: bool) -> str:
    """How it ended, in one sentence."""
    newest = max(page["deployments"], key=lambda each: each["createdAt"])
    if steady:
        count = f"{page['desired']} task{'' if page['desired'] == 1 else 's'}"
        return f"Service {page['service']} is steady: {count} of {newest['definition']}."
    if newest["rolloutState"] != "FAILED":
        name, back = page["service"], newest["definition"]
        why = page["release"]["statusReason"] if page["release"] is not None else None
        said = f" {why}" if why else ""
        return f"The deployment of service {name} failed and was rolled back to {back}.{said}"
    return f"The deployment of {newest['definition']} failed: {newest['rolloutStateReason']}"


def draw(page: Page, width: int, most: int | None = None) -> list[Text]:
    """The page as lines. most: of the events, the newest."""
    lines = wrapped(page["headline"], width, style="bold", hanging=2)
    for sentence in page["loadBalancing"]:
        lines += wrapped(sentence, width, hanging=2)
    lines += _release(page, width)
    for deployment in [*page["deployments"], *page["taskSets"]]:
        lines += [Text(), *_deployment(deployment, page["desired"], width)]
    if page["others"]["stopping"]:
        lines += [Text(), Text(f"of deployments that are gone: {page['others']['stopping']} stopping")]
        for wait in page["others"]["waits"]:
            lines += wrapped(wait, width, 2, hanging=2)
    if page["outcome"] == "STEADY":
        lines += [Text(), Text("It is steady: nothing is left to do.", "green")]
    if page["timeScale"] != 1:
        lines.append(Text(f"ECS's waits are {page['timeScale']:g} times shorter here.", "dim"))
    events = page["events"] if most is None else page["events"][len(page["events"]) - most :]
    if events:
        lines.append(Text())
    for event in events:
        lines += wrapped(_event(event), width, hanging=10)
    return lines


def _release(page: Page, width: int) -> list[Text]:
    """The newest service deployment, where there is more to say of it than its deployment does."""
    release = page["release"]
    if release is None or not release["statusReason"]:
        return []
    id = release["arn"].rsplit("/", 1)[1]
    style = "red" if release["status"] in _WENT_WRONG else "yellow"
    told = f"Service deployment {id} is {release['status']}: {release['statusReason']}"
    return wrapped(told, width, 0, style, hanging=2)


def _deployment(deployment: dict[str, Any], desired: int, width: int) -> Iterator[Text]:
    state = deployment["rolloutState"]
    yield Text.assemble(
        (deployment["status"], "bold"),
        f" {deployment['definition']}  ",
        (state, _ROLLOUT.get(state, "")),
        f"  {_age(deployment['ageSeconds'])}",
    )
    reason, id = deployment["rolloutStateReason"], deployment["id"]
    told = reason if id in reason else f"{id}: {reason}"
    yield from wrapped(told, width, 2, "" if state == "FAILED" else "dim", hanging=2)
    tasks = deployment["tasks"]
    bar = _bar(tasks, deployment["desired"], min(_BAR, width - 4))
    if bar:
        yield Text("  ").append_text(bar)
    yield from _legend(tasks, deployment, width)
    for sentence in deployment["images"]:
        yield from wrapped(sentence, width, 2, "dim", hanging=2)
    for wait in deployment["waits"]:
        yield from wrapped(wait, width, 2, hanging=2)


def _bar(tasks: dict[str, int], desired: int, width: int) -> Text:
    """A bar in which every task has the same part; what is wanted and not there is left empty."""
    there = sum(tasks.values())
    whole = max(there, desired)
    bar = Text()
    if not whole:
        return bar
    cell = min(_CELL, width / whole)
    done, columns = 0, 0
    for name, block, style, _ in _STATES:
        done += tasks[name]
        until = max(round(done * cell), columns + (tasks[name] > 0))  # a single one of many is seen too
        bar.append(block * (until - columns), style)
        columns = until
    missing = max(0, round(whole * cell) - columns)
    return bar.append("_" * missing, "dim")


def _legend(tasks: dict[str, int], deployment: dict[str, Any], width: int) -> Iterator[Text]:
    parts = [
        Text.assemble((block, style), f" {tasks[name]} {word}")
        for name, block, style, word in _STATES
        if tasks[name]
    ] or [Text("no tasks")]
    if deployment["desired"]:
        parts.append(Text(f"{deployment['desired']} wanted"))
    if deployment["failedTasks"]:
        parts.append(Text(f"{deployment['failedTasks']} failed", "red"))
    line = Text("  ")
    for part in parts:
        if len(line) > 2 and len(line) + 2 + len(part) > width:
            yield line
            line = Text("  ")
        line.append("" if len(line) == 2 else "  ").append_text(part)
    yield line


def _age(seconds: float) -> str:
    """``made 45 s ago``, ``made 3 min 5 s ago``."""
    whole = int(seconds)
    if whole < 60:
        return f"made {whole} s ago"
    if whole < 3600:
        return f"made {whole // 60} min {whole % 60} s ago"
    return f"made {whole // 3600} h {whole % 3600 // 60} min ago"


def _event(event: dict[str, Any]) -> str:
    """The event with short names, as its service is known: ARNs are for programs."""
    moment = datetime.fromtimestamp(event["at"]).strftime("%H:%M:%S")
    text = _GROUP.sub(r"(target-group \1)", _TASK.sub(r"(task \1)", event["text"]))
    return f"{moment}  {re.sub(r'^[(]service [^)]*[)] ', '', text)}"
