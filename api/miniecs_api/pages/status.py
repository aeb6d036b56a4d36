"""The status page: what the server is, and each cluster in numbers."""

from __future__ import annotations

from typing import Any

from miniecs import __version__
from miniecs.config import Timing
from miniecs.control import capacity
from miniecs.control.managed_scaling import see
from miniecs.control.view import View
from miniecs.model import arns, fargate
from miniecs.model.cluster import Cluster
from miniecs.model.emulated import LOCAL, EmulatedInstance, EngineHost
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Service
from miniecs.model.task import Task, TaskStatus
from miniecs.store import Store
from miniecs_api.machines import registration
from miniecs_api.pages import PagesServer, load_balancers


def page(server: PagesServer) -> dict[str, Any]:
    settings = server.settings
    return {
        "version": __version__,
        "runtime": settings.runtime,
        "account": server.scope.account,
        "region": server.scope.region,
        "timeScale": settings.time_scale,
        "endpoint": server.endpoint,
        "dataDir": settings.data_dir,
        "hosts": _hosts(server.store),
        "clusters": [
            _cluster(server.store, cluster, server.timing)
            for cluster in server.store.all(Cluster)
            if cluster.status != "INACTIVE" and not fargate.is_capacity(cluster.arn)
        ],
        "proxy": server.data_plane.connected,
        "loadBalancers": load_balancers.overview(server.store, server.data_plane),
    }


def _hosts(store: Store) -> list[dict[str, Any]]:
    """The engines that play machines, this machine's first; none where all is simulated."""
    names = {LOCAL: "this machine", **{host.id: host.name for host in store.all(EngineHost)}}
    machines = {
        host: [
            machine
            for machine in store.find(EmulatedInstance, "host", host)
            if not fargate.is_capacity(machine.cluster_arn)
        ]
        for host in names
    }
    return [
        {
            "host": host,
            "name": name,
            "instances": len(machines[host]),
            "connected": sum(_is_connected(store, machine) for machine in machines[host]),
        }
        for host, name in names.items()
        if machines[host] or host != LOCAL
    ]


def _is_connected(store: Store, machine: EmulatedInstance) -> bool:
    instance = registration(store, machine)
    return instance is not None and instance.agent_connected


def _capacity(view: View, cluster: Cluster, timing: Timing) -> list[dict[str, Any]]:
    """The cluster's capacity providers with emulated Auto Scaling groups."""
    providers = (capacity.named(view, cluster.arn, name) for name in cluster.capacity_providers)
    seen = [see(view, each, cluster.arn, timing=timing) for each in providers if each is not None]
    return [
        {
            "name": each.provider.name,
            "instances": len(each.members),
            "min": each.group.min_size,
            "max": each.group.max_size,
            "desired": each.group.desired_capacity,
            "waiting": len(each.waiting),
            "reservation": each.reservation.percent,
            "target": each.target,
        }
        for each in seen
        if each.group is not None
    ]


def _cluster(view: View, cluster: Cluster, timing: Timing) -> dict[str, Any]:
    instances = [i for i in view.find(ContainerInstance, "cluster", cluster.arn) if i.status != "INACTIVE"]
    services = [s for s in view.find(Service, "cluster", cluster.arn) if s.status != "INACTIVE"]
    scope = arns.scope_of(cluster.arn)
    return {
        "name": cluster.name,
        "arn": cluster.arn,
        "account": scope.account,
        "region": scope.region,
        "status": cluster.status,
        "instances": {
            "registered": len(instances),
            "connected": sum(instance.agent_connected for instance in instances),
            "draining": sum(instance.status == "DRAINING" for instance in instances),
        },
        "capacityProviders": _capacity(view, cluster, timing),
        "services": [_service(view, service) for service in services],
        "tasks": _tasks(view, cluster),
    }


def _service(view: View, service: Service) -> dict[str, Any]:
    return {
        "name": service.name,
        "arn": service.arn,
        "status": service.status,
        "desired": service.desired_count,
        "running": view.count(Task, "service", (service.arn, TaskStatus.RUNNING)),
        "pending": sum(
            view.count(Task, "service", (service.arn, status))
            for status in (TaskStatus.PROVISIONING, TaskStatus.PENDING, TaskStatus.ACTIVATING)
        ),
        "rolloutState": service.primary.rollout_state if service.deployments else None,
        "steady": service.steady,
    }


def _tasks(view: View, cluster: Cluster) -> dict[str, int]:
    """Tasks by lastStatus, in the order in which tasks pass through it; only those that occur."""
    counts = {
        status.value: view.count(Task, "cluster", (cluster.arn, status))
        for status in TaskStatus
        if status is not TaskStatus.STOPPED
    }
    counts["STOPPED"] = len(view.find(Task, "cluster", cluster.arn)) - sum(counts.values())
    return {status: count for status, count in counts.items() if count}
