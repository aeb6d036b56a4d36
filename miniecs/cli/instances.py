"""`miniecs instance`: container instances that come and go while the cluster runs."""

from __future__ import annotations

from typing import Any

from miniecs.cli import output, processes
from miniecs.cli.client import Caller, Client, connect
from miniecs.cli.folder import DataFolder
from miniecs.cli.problem import ASKED_WRONGLY, Problem

_CONNECTED_WITHIN = 20.0
_LOOK_EVERY = 0.1
_DIGITS = 8


def attributes(given: list[str]) -> dict[str, str]:
    """``k=v`` as given with --attribute, ``k`` for one without value. Raises Problem."""
    pairs = dict(text.partition("=")[::2] for text in given)
    if "" in pairs:
        raise Problem("--attribute takes name=value, such as --attribute disk=ssd.", ASKED_WRONGLY)
    return pairs


def add(
    folder: DataFolder,
    *,
    cluster: str | None,
    type: str | None,
    zone: str | None,
    attributes: dict[str, str],
    count: int,
    as_json: bool,
) -> None:
    """Add instances and print their ARNs when all their agents are connected."""
    client = connect(folder)
    settings = folder.settings()
    wanted = {
        "cluster": cluster or (settings.cluster if settings else "default"),
        "type": type or (settings.instance_type if settings else "t3.medium"),
        "zone": zone,
        "attributes": attributes,
    }
    added = [client.post("instances", wanted)["arn"] for _ in range(count)]
    instances = _connected(client, added)
    if as_json:
        output.print_json({"instances": instances})
        return
    for arn in added:
        print(arn)


def _connected(client: Client, arns: list[str]) -> list[dict[str, Any]]:
    for _ in range(int(_CONNECTED_WITHIN / _LOOK_EVERY)):
        known = {instance["arn"]: instance for instance in client.get("instances")["instances"]}
        if all(arn in known and known[arn]["agentConnected"] for arn in arns):
            return [known[arn] for arn in arns]
        processes.pause(_LOOK_EVERY)
    raise Problem(
        f"Added {', '.join(arns)}, but not every agent is connected after {_CONNECTED_WITHIN:g} s. "
        "`miniecs status` shows when they are."
    )


def remove(folder: DataFolder, name: str, *, cluster: str | None, force: bool, as_json: bool) -> None:
    removed = connect(folder).delete("instances", name=name, cluster=cluster, force=force)
    if as_json:
        output.print_json(removed)
    else:
        print(f"Removed {removed['arn']}.")


def drain(folder: DataFolder, name: str, *, cluster: str | None, as_json: bool) -> None:
    """Set the instance DRAINING, as UpdateContainerInstancesState does: its services move their tasks."""
    client = connect(folder)
    (found,) = client.get("instances", name=name, cluster=cluster)["instances"]
    answer = client.ecs(
        Caller(found["account"], found["region"]),
        "UpdateContainerInstancesState",
        cluster=found["cluster"],
        containerInstances=[found["arn"]],
        status="DRAINING",
    )
    for failure in answer.get("failures", ()):
        raise Problem(f"{found['arn']} could not be drained: {failure.get('reason')}.")
    if as_json:
        output.print_json({"arn": found["arn"], "status": "DRAINING"})
        return
    tasks = found["tasks"]["running"] + found["tasks"]["other"]
    moved = f"{output.counted(tasks, 'task')} to move" if tasks else "it holds no tasks"
    print(f"Draining {found['arn']}: {moved}. `miniecs explain {found['id'][:_DIGITS]}` shows what is left.")


def show(folder: DataFolder, *, cluster: str | None, as_json: bool) -> None:
    page = connect(folder).get("instances", cluster=cluster)
    if as_json:
        output.print_json(page)
        return
    if not page["instances"]:
        print("No container instances. `miniecs instance add` adds one.")
        return
    output.print_table(
        ("INSTANCE", "EC2 ID", "CLUSTER", "TYPE", "ZONE", "STATUS", "AGENT", "CPU FREE", "MIB FREE", "TASKS"),
        [
            (
                i["id"][:_DIGITS],
                i["ec2InstanceId"],
                i["cluster"],
                i["type"],
                i["zone"],
                i["status"],
                "connected" if i["agentConnected"] else "lost",
                f"{i['cpu']['remaining']}/{i['cpu']['registered']}",
                f"{i['memory']['remaining']}/{i['memory']['registered']}",
                i["tasks"]["running"] + i["tasks"]["other"],
            )
            for i in page["instances"]
        ],
    )
