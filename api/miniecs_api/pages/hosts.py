"""The hosts page: every engine with its agent, and the container instances that it plays.

ECS knows container instances only; that three of them are one laptop is this page's news.
"""

from __future__ import annotations

from typing import Any

from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.emulated import LOCAL, EmulatedInstance, EngineHost
from miniecs_api.hosts import HostLink, HostLinks
from miniecs_api.machines import registration


def page(view: View, links: HostLinks) -> dict[str, Any]:
    """This machine's engine first, then the others by id; those that are away as well."""
    known = {host.id: host.name for host in view.all(EngineHost)}
    names = {link.host: link.hello.name for link in links} | known
    machines: dict[str, list[EmulatedInstance]] = {}
    for machine in view.all(EmulatedInstance):
        machines.setdefault(machine.host, []).append(machine)
    ids = sorted({LOCAL, *names, *machines}, key=lambda id: (id != LOCAL, id))
    return {
        "hosts": [
            _host(view, id, names.get(id) or id, links.get(id), machines.get(id, []))
            for id in ids
            if id != LOCAL or id in names or id in machines
        ]
    }


def _host(
    view: View, id: str, name: str, link: HostLink | None, machines: list[EmulatedInstance]
) -> dict[str, Any]:
    """One engine. engineConnected: whether it answers its agent; None when the agent is away."""
    hello, state = (link.hello, link.state) if link is not None else (None, None)
    return {
        "id": id,
        "name": name,
        "local": id == LOCAL,
        "connected": link is not None,
        "since": link.since if link is not None else None,
        "pid": hello.pid if hello is not None else None,
        "version": hello.version if hello is not None else None,
        "engine": hello.engine if hello is not None else None,
        "engineConnected": state.engine if state is not None else None,
        "instances": [_machine(view, machine, link) for machine in machines],
    }


def _machine(view: View, machine: EmulatedInstance, link: HostLink | None) -> dict[str, Any]:
    """One machine. up: whether the agent plays it; failure: why it cannot."""
    instance = registration(view, machine)
    state = link.state if link is not None else None
    return {
        "ec2InstanceId": machine.instance_id,
        "arn": instance.arn if instance is not None else None,
        "cluster": arns.name_of(machine.cluster_arn),
        "type": machine.instance_type,
        "zone": machine.zone,
        "agentConnected": instance is not None and instance.agent_connected,
        "up": state is not None and machine.instance_id in state.instances,
        "failure": link.failure(machine.instance_id) if link is not None else None,
    }
