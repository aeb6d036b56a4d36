"""From an ACS task and container to the body of Docker's create call.

As the ECS agent makes it: our own settings first, the payload's docker settings (two JSON strings) over
them, then what must not be overridden. What cannot be done is a ``Failure`` that says so; nothing is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from miniecs.config import Timing
from miniecs.model.task import NetworkBinding
from miniecs_agent.core.acs import DOCKER_CONFIG, DOCKER_HOST_CONFIG
from miniecs_agent.core.shapes import Shape, fault
from miniecs_agent.core.spec import ContainerSpec, Document, TaskSpec, command_override
from miniecs_agent.docker import names
from miniecs_agent.docker.errors import Failure
from miniecs_agent.docker.events import container_ports
from miniecs_agent.host_engine import Owner
from miniecs_agent.host_ports import host_ports

MIB = 1024 * 1024
MINIMUM_CPU_SHARES = 2  # 0 and 1 become this, as in the ECS agent: Linux knows no less
_MILLISECOND = 1_000_000  # in nanoseconds: Docker's shortest health check interval
_DEFAULT_HEALTH_INTERVAL = 30_000_000_000
# Docker keeps every line for ever by default; a laptop's disk is not a log store.
_LOCAL_LOGS = {"Type": "json-file", "Config": {"max-size": "50m", "max-file": "2"}}
# These send to AWS with credentials that a local engine does not have: lines are kept on the engine instead.
_AWS_LOG_DRIVERS = ("awslogs", "awsfirelens")

CREATE_FAILED = "CannotCreateContainerError"
NOT_READY = "ResourceInitializationError"


class Place(NamedTuple):
    """Where a container is made. network: the instance's, or how to join its task's. cpus: the engine's."""

    owner: Owner
    instance_id: str
    network: str
    timing: Timing = Timing()
    allow_privileged: bool = False
    cpus: int = 1


class VolumeRequest(NamedTuple):
    """A Docker volume to make, or to find, before the container."""

    name: str
    driver: str
    options: dict[str, str]
    labels: dict[str, str]


def create_body(
    task: TaskSpec, container: ContainerSpec, place: Place, bindings: Sequence[NetworkBinding]
) -> dict[str, Any] | Failure:
    """The body of POST /containers/create. ``bindings``: host ports, already chosen."""
    try:
        config, host_config = _docker_settings(container.document)
    except ValueError as problem:
        return Failure(CREATE_FAILED, f"unable to decode the container's docker settings: {problem}")
    problem_found = _unsupported(task, container, host_config, place)
    if problem_found is not None:
        return problem_found
    mounts = _binds(task, container)
    if isinstance(mounts, Failure):
        return mounts
    document = container.document
    body: dict[str, Any] = {
        "Image": container.image,
        "Cmd": document.get("command") or None,
        "Entrypoint": document.get("entryPoint") or None,
        "Env": [f"{name}={value}" for name, value in (document.get("environment") or {}).items()],
    }
    body |= config
    command = command_override(container)
    if command is not None:
        body["Cmd"] = command
    if "Healthcheck" in body:
        body["Healthcheck"] = _health_check(body["Healthcheck"], place.timing)
    body["Labels"] = (
        (config.get("Labels") or {})
        | names.ecs_labels(task, container.name)
        | names.owner_labels(place.owner, place.instance_id)
        | {names.TASK: names.task_document(task)}
    )
    body["HostConfig"] = _host_config(task, container, place, mounts) | host_config
    _settle(body, task, place)
    if task.network_mode == "bridge":
        body["ExposedPorts"] = (config.get("ExposedPorts") or {}) | _exposed(container)
        body["HostConfig"]["PortBindings"] = port_bindings(bindings)
        links = list(dict.fromkeys(_links(task, container)))
        if links:
            body["NetworkingConfig"] = {"EndpointsConfig": {place.network: {"Links": links}}}
    return {name: value for name, value in body.items() if value is not None}


def port_bindings(bindings: Sequence[NetworkBinding]) -> dict[str, list[dict[str, str]]]:
    """Docker's HostConfig.PortBindings; ``docker_events.bindings_from`` reads it back."""
    published: dict[str, list[dict[str, str]]] = {}
    for binding in bindings:
        if binding.container_port_range is None:
            first = binding.container_port or 0
        else:
            first = int(binding.container_port_range.partition("-")[0])
        for offset, number in enumerate(host_ports(binding)):
            key = f"{first + offset}/{binding.protocol}"
            published.setdefault(key, []).append({"HostIp": binding.bind_ip, "HostPort": str(number)})
    return published


def volumes(task: TaskSpec, container: ContainerSpec, place: Place) -> list[VolumeRequest]:
    """The Docker volumes to make for what a container mounts: scratch, task-scoped, autoprovisioned."""
    requests = (_volume_request(task, volume, place) for volume in _mounted(task, container))
    return [request for request in requests if request is not None]


def expected_volumes(task: TaskSpec, container: ContainerSpec) -> list[str]:
    """Names of the Docker volumes that are the user's own to make, and must be there."""
    return [volume["name"] for volume in _mounted(task, container) if _is_the_users(volume)]


def _mounted(task: TaskSpec, container: ContainerSpec) -> list[Document]:
    """The task's volumes that a container mounts."""
    wanted = {each.get("sourceVolume") for each in container.document.get("mountPoints") or ()}
    return [volume for volume in task.document.get("volumes") or () if volume.get("name") in wanted]


def task_volumes(task: TaskSpec) -> list[str]:
    """Names of the volumes that end with the task."""
    return [
        names.volume_name(task, volume["name"])
        for volume in task.document.get("volumes") or ()
        if _is_scratch(volume) or _is_task_scoped(volume)
    ]


def has_tty(container: ContainerSpec) -> bool:
    """Whether its output is one stream as a terminal gives it, and not two."""
    return bool(_docker_settings(container.document)[0].get("Tty"))


def publishes_dynamic_ports(container: ContainerSpec) -> bool:
    return any(port.container_port_range is not None or not port.host_port for port in container.ports)


# What cannot be done


def _unsupported(
    task: TaskSpec, container: ContainerSpec, host_config: Document, place: Place
) -> Failure | None:
    document = container.document
    if host_config.get("Privileged") and not place.allow_privileged:
        return Failure(
            CREATE_FAILED,
            f"container {container.name} is privileged: start miniecs with --allow-privileged to allow that",
        )
    if task.network_mode not in ("awsvpc", "bridge", "host", "none"):
        return _refused(f"network mode {task.network_mode}")
    for mode in ("pidMode", "ipcMode"):
        if task.document.get(mode) == "task":
            return _refused(f"{mode} task")
    for member, what in _REFUSED_OF_CONTAINERS:
        if document.get(member):
            return _refused(what)
    if task.document.get("proxyConfiguration"):
        return _refused("an App Mesh proxy configuration")
    for association in task.document.get("associations") or ():
        if container.name in (association.get("containers") or ()):
            return _refused(f"a {association.get('type', 'device')} association")
    return None


_REFUSED_OF_CONTAINERS = (
    ("secrets", "secrets from Systems Manager or Secrets Manager"),
    ("environmentFiles", "environment files from S3"),
    ("firelensConfiguration", "a FireLens log router"),
    ("credentialSpecs", "credential specs"),
)


def _refused(what: str) -> Failure:
    return Failure(NOT_READY, f"miniecs's Docker engine does not support {what} yet")


# The container's own settings


def _docker_settings(document: Document) -> tuple[dict[str, Any], dict[str, Any]]:
    """The payload's Config and HostConfig. Raises ValueError."""
    settings = document.get("dockerConfig") or {}
    config = _object(settings.get("config"), DOCKER_CONFIG, "config")
    return config, _object(settings.get("hostConfig"), DOCKER_HOST_CONFIG, "hostConfig")


def _object(text: str | None, shape: Shape, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text or "{}")
    problem = fault(found, shape, name)
    if problem:
        raise ValueError(problem)
    return found


def _health_check(check: dict[str, Any], timing: Timing) -> dict[str, Any]:
    """At the cluster's time scale: how often, and from when on. A probe takes as long as it takes."""
    if timing.time_scale == 1.0:
        return check
    scaled = dict(check)
    scaled["Interval"] = _scaled(check.get("Interval") or _DEFAULT_HEALTH_INTERVAL, timing)
    if check.get("StartPeriod"):
        scaled["StartPeriod"] = _scaled(check["StartPeriod"], timing)
    return scaled


def _scaled(nanoseconds: int, timing: Timing) -> int:
    return max(int(timing.wait(nanoseconds)), _MILLISECOND)


def _exposed(container: ContainerSpec) -> dict[str, dict[str, str]]:
    return {
        f"{number}/{port.protocol}": {} for port in container.ports for number in container_ports(port)
    }


def _links(task: TaskSpec, container: ContainerSpec) -> Iterator[str]:
    """``name:alias`` makes both names resolve, as a link on Docker's default bridge does."""
    for link in container.document.get("links") or ():
        name, _, alias = link.partition(":")
        linked = names.container_name(task, name)
        for known_as in (alias or name, name):
            yield f"{linked}:{known_as}"


# Its host's


def _host_config(
    task: TaskSpec, container: ContainerSpec, place: Place, binds: list[str]
) -> dict[str, Any]:
    document = container.document
    memory = document.get("memory") or task.document.get("memory")
    config: dict[str, Any] = {
        "CpuShares": max(int(document.get("cpu") or 0), MINIMUM_CPU_SHARES),
        "Memory": int(memory * MIB) if memory else None,
        "NanoCpus": _task_cpu(task, place),
        "Binds": binds,
        "VolumesFrom": list(_volumes_from(task, container)),
    }
    return {name: value for name, value in config.items() if value}


def _task_cpu(task: TaskSpec, place: Place) -> int | None:
    """A task's vCPUs bound each of its containers; more than the machine has is no bound at all."""
    cpu = task.document.get("cpu") or 0
    return round(cpu * 1e9) if 0.01 <= cpu < place.cpus else None


def _settle(body: dict[str, Any], task: TaskSpec, place: Place) -> None:
    """What the payload's docker settings must not change, or what they mean here."""
    config = body["HostConfig"]
    config["NetworkMode"] = place.network if task.network_mode in ("awsvpc", "bridge") else task.network_mode
    if task.network_mode == "awsvpc":
        # These are the namespace's, and whoever holds that for the task has them (``pauses``).
        config.pop("DnsSearch", None)
        own = {name: value for name, value in (config.get("Sysctls") or {}).items() if not is_shared(name)}
        config.update({"Sysctls": own} if "Sysctls" in config else {})
    if task.document.get("pidMode"):
        config["PidMode"] = task.document["pidMode"]
    if task.document.get("ipcMode"):
        config["IpcMode"] = task.document["ipcMode"]
    log = config.get("LogConfig") or {}
    if log.get("Type") in (None, "", *_AWS_LOG_DRIVERS):
        config["LogConfig"] = _LOCAL_LOGS


def is_shared(control: str) -> bool:
    """Whether a system control is one of the network namespace."""
    return control.startswith("net.")


def _volumes_from(task: TaskSpec, container: ContainerSpec) -> Iterator[str]:
    for each in container.document.get("volumesFrom") or ():
        source = names.container_name(task, each["sourceContainer"])
        yield f"{source}:ro" if each.get("readOnly") else source


def _binds(task: TaskSpec, container: ContainerSpec) -> list[str] | Failure:
    by_name = {volume.get("name"): volume for volume in task.document.get("volumes") or ()}
    binds: list[str] = []
    for mount in container.document.get("mountPoints") or ():
        volume = by_name.get(mount.get("sourceVolume"))
        if volume is None:  # the ECS agent's words
            return Failure(CREATE_FAILED, f"Invalid volume referenced: {mount.get('sourceVolume')}")
        source = _source(task, volume)
        if isinstance(source, Failure):
            return source
        bind = f"{source}:{mount.get('containerPath', '')}"
        binds.append(f"{bind}:ro" if mount.get("readOnly") else bind)
    return binds


def _source(task: TaskSpec, volume: Document) -> str | Failure:
    """What Docker mounts: a path of the host, or a volume's name."""
    kind = volume.get("type", "host")
    if kind == "host":
        path: str = (volume.get("host") or {}).get("sourcePath") or ""
        return path or names.volume_name(task, volume["name"])
    if kind == "docker":
        return names.volume_name(task, volume["name"]) if _is_task_scoped(volume) else str(volume["name"])
    return _refused(f"volumes of type {kind}")


def _is_scratch(volume: Document) -> bool:
    return volume.get("type", "host") == "host" and not (volume.get("host") or {}).get("sourcePath")


def _is_task_scoped(volume: Document) -> bool:
    settings = volume.get("dockerVolumeConfiguration") or {}
    return volume.get("type") == "docker" and settings.get("scope", "task") == "task"


def _is_the_users(volume: Document) -> bool:
    settings = volume.get("dockerVolumeConfiguration") or {}
    is_shared = volume.get("type") == "docker" and not _is_task_scoped(volume)
    return is_shared and not settings.get("autoprovision")


def _volume_request(task: TaskSpec, volume: Document, place: Place) -> VolumeRequest | None:
    """None: nothing to make."""
    owner = names.owner_labels(place.owner, place.instance_id)
    of_task = owner | {names.SCOPE: "task", names.TASK_ARN: task.arn}
    if _is_scratch(volume):
        return VolumeRequest(names.volume_name(task, volume["name"]), "local", {}, of_task)
    # It outlives its instance, so it is not the instance's.
    shared = {names.OWNER: place.owner.id, names.DATA_DIR: place.owner.data_dir, names.SCOPE: "shared"}
    if volume.get("type", "host") == "host":
        # Docker takes a path that is not absolute for a volume's name, and would make it as nobody's.
        path = str(volume["host"]["sourcePath"])
        return None if path.startswith("/") else VolumeRequest(path, "local", {}, shared)
    if volume.get("type") != "docker" or _is_the_users(volume):
        return None
    settings = volume.get("dockerVolumeConfiguration") or {}
    driver = settings.get("driver") or "local"
    options, labels = settings.get("driverOpts") or {}, settings.get("labels") or {}
    if _is_task_scoped(volume):
        return VolumeRequest(names.volume_name(task, volume["name"]), driver, options, labels | of_task)
    return VolumeRequest(volume["name"], driver, options, labels | shared)
