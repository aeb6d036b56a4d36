"""`status`, `ps`, `events` and `explain`: the server's pages as tables and sentences."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from miniecs.cli import output, processes
from miniecs.cli.client import Client, NoAnswer, connect
from miniecs.cli.folder import DataFolder
from miniecs.cli.output import age, counted
from miniecs.cli.readiness import engine_of
from miniecs.cli.watch import last_words

LOCAL = "local"  # the host that is this machine
_DIGITS = 8  # of an id; a cluster's ids differ in fewer
_FOLLOW_EVERY = 0.5
_FOLLOW_PAGE = 1000
_FOLLOW_PATIENCE = 20  # looks without an answer, ten seconds: a restart takes at most five


def status(folder: DataFolder, *, as_json: bool) -> None:
    page = connect(folder).get("status")
    running = folder.server()
    agent = folder.running("agent")
    proxy = folder.running("proxy")
    page |= {
        "pid": running.pid if running else None,
        "agentPid": agent.pid if agent else None,
        "proxyPid": proxy.pid if proxy else None,
        "supervisorPid": folder.supervisor(),
        "engine": engine_of(agent) or None,
    }
    if as_json:
        output.print_json(page)
        return
    scale = "" if page["timeScale"] == 1 else f", ECS's waits {page['timeScale']:g} times shorter"
    print(f"miniecs {page['version']} at {page['endpoint']}, {page['runtime']} runtime{scale}")
    print(f"account {page['account']}, region {page['region']}, data folder {page['dataDir']}")
    if page["runtime"] == "docker":
        print(_agent(folder, page))
        print(_proxy(folder, page))
    if page["supervisorPid"] is None:
        print("Nothing restarts the server if it dies; `miniecs up --detach` takes it over.")
    if any(host["host"] != LOCAL for host in page["hosts"]):
        output.print_table(
            ("HOST", "ENGINE", "INSTANCES", "CONNECTED"),
            [(h["name"], h["host"], h["instances"], h["connected"]) for h in page["hosts"]],
        )
    for cluster in page["clusters"]:
        print(f"\n{_cluster(cluster, page)}")
        for provider in cluster["capacityProviders"]:
            print(_provider(provider))
        if cluster["services"]:
            output.print_table(
                ("SERVICE", "STATUS", "DESIRED", "RUNNING", "PENDING", "ROLLOUT"),
                [
                    (s["name"], s["status"], s["desired"], s["running"], s["pending"], s["rolloutState"])
                    for s in cluster["services"]
                ],
            )
    if not page["clusters"]:
        print("\nThere is no cluster.")
    if page["loadBalancers"]:
        print()
        output.print_table(
            ("LOAD BALANCER", "HEALTHY", "REGISTERED", "SERVICES", "URL"),
            [_balancer_row(each, page) for each in page["loadBalancers"]],
        )


def _agent(folder: DataFolder, page: dict[str, Any]) -> str:
    """The engine of this machine's own agent, or what that agent said last."""
    decided = folder.settings()
    where = f" at {decided.engine}" if decided is not None and decided.engine else ""
    if page["engine"]:
        return f"engine {page['engine']}{where}, agent with pid {page['agentPid']}"
    said = last_words(folder.logs / "agent.log")
    return f"No agent works on the engine{where}" + (f"; its last words: {said}" if said else ".")


def _proxy(folder: DataFolder, page: dict[str, Any]) -> str:
    """Whether load balancers work, or what the proxy said last."""
    if page["proxy"]:
        return f"proxy with pid {page['proxyPid']}"
    said = last_words(folder.logs / "proxy.log")
    away = "The proxy is not connected: targets are not checked, load balancers do not follow changes"
    return away + (f"; its last words: {said}" if said else ".")


def _balancer_row(balancer: dict[str, Any], page: dict[str, Any]) -> list[object]:
    name = balancer["name"]
    if (balancer["account"], balancer["region"]) != (page["account"], page["region"]):
        name += f" (account {balancer['account']}, region {balancer['region']})"
    targets, where = balancer["targets"], balancer["urls"] or balancer["problems"]
    services = " ".join(balancer["services"])
    return [name, targets["healthy"], targets["registered"], services, " ".join(where)]


def _cluster(cluster: dict[str, Any], page: dict[str, Any]) -> str:
    instances = cluster["instances"]
    text = f"cluster {cluster['name']}"
    if (cluster["account"], cluster["region"]) != (page["account"], page["region"]):
        text += f" (account {cluster['account']}, region {cluster['region']})"
    text += f": {counted(instances['registered'], 'container instance')}"
    if instances["connected"] != instances["registered"]:
        text += f", {instances['connected']} connected"
    if instances["draining"]:
        text += f", {instances['draining']} draining"
    tasks = ", ".join(f"{number} {name}" for name, number in cluster["tasks"].items())
    return f"{text}; tasks: {tasks or 'none'}"


def _provider(provider: dict[str, Any]) -> str:
    text = (
        f"capacity provider {provider['name']}: {provider['instances']} of {provider['min']} to"
        f" {provider['max']} instances, reservation {provider['reservation']:.0f} %"
    )
    return f"{text}, {counted(provider['waiting'], 'task')} waiting" if provider["waiting"] else text


def capacity(folder: DataFolder, name: str | None, *, as_json: bool) -> None:
    """Capacity providers as a table, and what each waits for; with a name only that one."""
    page = connect(folder).get("capacity", name=name)
    if as_json:
        output.print_json(page)
        return
    providers = page["capacityProviders"]
    if not providers:
        print("There is none. `miniecs up --autoscale 1:10` makes one with an Auto Scaling group behind it.")
        return
    output.print_table(
        ("PROVIDER", "CLUSTER", "GROUP", "INSTANCES", "DESIRED", "SIZES", "WAITING", "RESERVATION", "TARGET"),
        [_provider_row(each) for each in providers],
    )
    for each in providers:
        print()
        for line in each["lines"]:
            print(line)


def _provider_row(provider: dict[str, Any]) -> list[object]:
    group, reservation = provider["group"], provider["reservation"]
    sizes = ["", "", "", ""]
    if group is not None:
        here = sum(instance["state"] != "Terminating:Wait" for instance in group["instances"])
        sizes = [group["name"], str(here), str(group["desired"]), f"{group['min']}:{group['max']}"]
    percent = "" if reservation is None or group is None else f"{reservation:.0f} %"
    target = f"{provider['target']} %" if provider["managedScaling"] and provider["target"] else ""
    return [provider["name"], provider["cluster"] or "", *sizes, provider["waiting"], percent, target]


def ps(folder: DataFolder, *, all: bool, cluster: str | None, as_json: bool) -> None:
    page = connect(folder).get("tasks", cluster=cluster, all=all)
    if as_json:
        output.print_json(page)
        return
    tasks = page["tasks"]
    if not tasks:
        print("No tasks." if all else "No tasks are running. `miniecs ps --all` shows stopped ones.")
        return
    headings = ["TASK", "GROUP", "DEFINITION", "STATUS", "HEALTH", "ZONE", "INSTANCE", "ADDRESS", "AGE"]
    several = len({(task["account"], task["region"], task["cluster"]) for task in tasks}) > 1
    if several:
        headings.insert(1, "CLUSTER")
    if all:
        headings.append("REASON")
    output.print_table(headings, [_task_row(task, several, all) for task in tasks])
    shown = {task["service"] for task in tasks}
    behind = [each for each in page["loadBalancers"] if each["urls"] and shown & set(each["services"])]
    if behind:
        print()
    for each in behind:
        whose = ", ".join(each["services"])
        print(f"load balancer {each['name']} of {whose}: {' '.join(each['urls'])}")
    if page["runtime"] == "simulated" and any(task["addresses"] for task in tasks):
        print("\nSimulated: nothing listens at these addresses.")


def _task_row(task: dict[str, Any], with_cluster: bool, with_reason: bool) -> list[str]:
    last, desired = task["lastStatus"], task["desiredStatus"]
    row = [
        task["id"][:_DIGITS],
        task["group"],
        task["definition"],
        f"{last} (to stop)" if desired == "STOPPED" and last != "STOPPED" else _status(task),
        "" if task["health"] == "UNKNOWN" else task["health"],
        task["zone"],
        (task["instance"] or "")[:_DIGITS],
        " ".join(task["addresses"]),
        age(task["ageSeconds"]),
    ]
    if with_cluster:
        row.insert(1, f"{task['cluster']} ({task['region']})")
    if with_reason:
        row.append(task["stoppedReason"])
    return row


def _status(task: dict[str, Any]) -> str:
    """``PENDING (pulling httpd:2.4, 34 of 58 MB)``."""
    if task["lastStatus"] == "PROVISIONING" and task["capacityProvider"] and not task["instance"]:
        return f"PROVISIONING (waits for {task['capacityProvider']})"
    pulling = "; ".join(pull["text"] for pull in task["pulling"])
    return f"{task['lastStatus']} ({pulling})" if pulling else str(task["lastStatus"])


def events(folder: DataFolder, resource: str | None, *, follow: bool, limit: int, as_json: bool) -> None:
    """Print events, oldest first. Following, each is a JSON document on a line of its own."""
    client = connect(folder)
    page = client.get("events", resource=resource, limit=limit)
    if as_json and not follow:
        output.print_json(page)
        return
    _print_events(page["events"], as_json)
    if not follow:
        if not page["events"]:
            print("No events.")
        return
    try:
        _follow(folder, client, resource, page["last"], as_json)
    except KeyboardInterrupt:
        return


def _follow(folder: DataFolder, client: Client, resource: str | None, last: int, as_json: bool) -> None:
    silent = 0
    while True:
        processes.pause(_FOLLOW_EVERY)
        try:
            page = client.get("events", resource=resource, after=last, limit=_FOLLOW_PAGE)
        except NoAnswer:
            silent += 1
            if silent > _FOLLOW_PATIENCE:
                raise
            continue
        silent = 0
        last = page["last"]
        _print_events(page["events"], as_json)


def _print_events(events: list[dict[str, Any]], as_json: bool) -> None:
    for event in events:
        if as_json:
            print(json.dumps(event, ensure_ascii=False), flush=True)
            continue
        moment = datetime.fromtimestamp(event["at"]).strftime("%H:%M:%S")
        because = f"  because {event['because']}" if event["because"] else ""
        print(f"{moment}  {_about(event['resource'])}  {event['text']}{because}", flush=True)


def _about(arn: str) -> str:
    """What an event is about, in short: ``task 1b2c3d4e``, ``service web``."""
    type, _, rest = arn.rpartition(":")[2].partition("/")
    name = rest.rpartition("/")[2]
    return f"{type} {name[:_DIGITS] if type in ('task', 'container-instance') else name}"


def explain(folder: DataFolder, name: str, *, cluster: str | None, as_json: bool) -> None:
    page = connect(folder).get("explain", name=name, cluster=cluster)
    if as_json:
        output.print_json(page)
        return
    for line in page["lines"]:
        print(line)
