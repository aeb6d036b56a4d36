"""Whether what miniecs says is what the engines have; and whether it has left anything behind.

The product's first promise is that its state never lies, so this is asked after every test with Docker, and
not only by those that thought of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import docker.errors

from .daemon import Engine
from .miniecs import Miniecs

OWNER = "miniecs.owner"
FOLDER = "miniecs.data-dir"
_TASK = "com.amazonaws.ecs.task-arn"
_NAME = "com.amazonaws.ecs.container-name"
_HEALTH = {"starting": "UNKNOWN", "healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}


def lies(miniecs: Miniecs, engines: Sequence[Engine]) -> list[str]:
    """What DescribeTasks says that the engines do not, and the other way about."""
    told = {
        (task["taskArn"], container["name"]): container
        for task in miniecs.tasks()
        for container in task["containers"]
    }
    had: dict[tuple[str, str], Mapping[str, Any]] = {}
    found = []
    for container in of_folder(miniecs, engines):
        labels = container["Config"]["Labels"]
        if _TASK not in labels:
            continue  # not a task's
        key = (labels[_TASK], labels[_NAME])
        if key in had:
            found.append(f"{_short(key)} has two containers: {had[key]['Id'][:12]}, {container['Id'][:12]}")
        had[key] = container
    for key, container in had.items():
        found += [f"{_short(key)} {what}" for what in _compared(told.get(key), container)]
    for key, said in told.items():
        if said["lastStatus"] == "RUNNING" and key not in had:
            found.append(f"{_short(key)} is said to be RUNNING, and no engine has it")
    return found


def of_folder(miniecs: Miniecs, engines: Sequence[Engine]) -> list[Mapping[str, Any]]:
    """Every container of this data folder, as `docker inspect` tells it. Elsewhere its path is no label."""
    inspected = []
    for engine in engines:
        api = engine.client.api
        for listed in api.containers(all=True, filters={"label": f"{OWNER}={miniecs.settings['owner']}"}):
            with contextlib.suppress(docker.errors.NotFound):
                inspected.append(api.inspect_container(listed["Id"]))
    return inspected


def _compared(said: Mapping[str, Any] | None, container: Mapping[str, Any]) -> list[str]:
    state = container["State"]
    if said is None:
        return [f"runs ({container['Id'][:12]}), and nobody says so"] if state["Running"] else []
    if state["Running"] != (said["lastStatus"] == "RUNNING"):
        return [f"is {state['Status']} on the engine, and said to be {said['lastStatus']}"]
    wrong = []
    if said.get("runtimeId") != container["Id"]:
        wrong.append(f"is {container['Id'][:12]}, and said to be {said.get('runtimeId')}")
    if not state["Running"]:
        if state["Status"] == "exited" and said.get("exitCode") != state["ExitCode"]:
            wrong.append(f"exited with {state['ExitCode']}, and is said to have with {said.get('exitCode')}")
        return wrong
    has, says = _published(container), _bindings(said)
    if has != says:
        wrong.append(f"publishes {sorted(has)}, and is said to publish {sorted(says)}")
    health = _HEALTH.get(state.get("Health", {}).get("Status"))
    if health is not None and said.get("healthStatus") != health:
        wrong.append(f"is {health}, and said to be {said.get('healthStatus')}")
    return wrong


def _published(container: Mapping[str, Any]) -> set[tuple[str, int, int, str]]:
    ports = container["NetworkSettings"]["Ports"] or {}
    return {
        (each["HostIp"], int(port.partition("/")[0]), int(each["HostPort"]), port.partition("/")[2])
        for port, bindings in ports.items()
        for each in bindings or ()
    }


def _bindings(said: Mapping[str, Any]) -> set[tuple[str, int, int, str]]:
    """Host networks' bindings are told, but nothing is published for them."""
    return {
        (each["bindIP"], each["containerPort"], each["hostPort"], each["protocol"])
        for each in said.get("networkBindings", ())
        if "hostPort" in each
    }


def leftovers(folder: str, owner: str | None, engine: Engine) -> list[str]:
    """What an engine still has of a data folder: containers, networks, volumes."""
    api = engine.client.api
    found: set[str] = set()
    for label in (f"{FOLDER}={folder}", *([f"{OWNER}={owner}"] if owner else [])):
        wanted = {"label": label}
        found |= {f"container {each['Names'][0]}" for each in api.containers(all=True, filters=wanted)}
        found |= {f"network {each['Name']}" for each in api.networks(filters=wanted)}
        found |= {f"volume {each['Name']}" for each in api.volumes(filters=wanted)["Volumes"] or ()}
    if owner:
        mark = f"miniecs-{owner[:8]}-"
        found |= {f"network {each['Name']}" for each in api.networks() if each["Name"].startswith(mark)}
    return sorted(found)


def _short(key: tuple[str, str]) -> str:
    return f"{key[0].rpartition('/')[2][:8]}/{key[1]}"
