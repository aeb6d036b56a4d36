"""A task as its agent is told of it: the ACS protocol's Task, made from the task and its definition.

Pure, and cheap for the many tasks of one definition: what does not depend on the task is made once a
definition. Shapes and quirks: the ECS agent's ACS model; docker settings travel as two JSON strings
in Docker's own terms, environment overrides are merged here, a command override is the agent's to apply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any, NamedTuple

from miniecs.control.version_consistency import reference
from miniecs.model import arns
from miniecs.model.container_definition import ContainerDefinition, LinuxParameters
from miniecs.model.network import private_dns_name
from miniecs.model.scope import Scope
from miniecs.model.task import NetworkInterface, Task
from miniecs.model.task_definition import TaskDefinition, Volume

_SECOND = 1_000_000_000  # Docker counts durations in nanoseconds
_MIB = 1024 * 1024
_DOCKER_API_VERSION = "1.24"
_SENT_EMPTY = ("CapAdd", "CapDrop", "MemorySwappiness")


class DefinitionPayload(NamedTuple):
    """What all tasks of a definition share. Whoever makes many payloads keeps it; nobody changes it."""

    task: dict[str, Any]
    containers: tuple[dict[str, Any], ...]


def definition_payload(definition: TaskDefinition) -> DefinitionPayload:
    """The parts of the ACS Task that do not depend on the task."""
    containers = tuple(_container(each, definition, {}) for each in definition.container_definitions)
    return DefinitionPayload(_task_of(definition), containers)


def task_payload(
    task: Task,
    definition: TaskDefinition,
    *,
    desired_status: str,
    shared: DefinitionPayload | None = None,
) -> dict[str, Any]:
    """The ACS Task. ``desired_status``: RUNNING or STOPPED, what the agent is to do about it now."""
    if shared is None:
        shared = definition_payload(definition)
    overrides = _container_overrides(task.overrides)
    templates = shared.containers if not overrides else _overridden(definition, overrides)
    container_arn = task.arn.replace(":task/", ":container/", 1)
    containers = [
        {
            **template,
            **_image(template["image"], container.pinned_digest),
            "containerArn": f"{container_arn}/{container.id}",
        }
        for template, container in zip(templates, task.containers, strict=True)
    ]
    payload: dict[str, Any] = {
        **shared.task,
        "arn": task.arn,
        "taskClusterArn": task.cluster_arn,
        "desiredStatus": desired_status,
        "containers": containers,
        "launchType": task.launch_type or "EC2",
        "group": task.group,
    }
    if task.service_arn is not None:
        payload["serviceName"] = arns.name_of(task.service_arn)
    if task.overrides:
        for name, convert in (("cpu", _vcpus), ("memory", int)):
            if task.overrides.get(name):
                payload[name] = convert(task.overrides[name])
    if task.network_interface is not None and task.network_interface.is_provided:
        scope = arns.scope_of(task.arn)
        payload["elasticNetworkInterfaces"] = [network_interface(task.network_interface, scope)]
        # Our own agent's: the network in which the interface is to be.
        payload["vpc"] = {"id": task.network_interface.vpc_id, "cidr": task.network_interface.vpc_cidr}
    if task.enable_execute_command:
        for made in containers:
            made["managedAgents"] = [{"name": "ExecuteCommandAgent", "properties": {}}]
    return payload


def _image(image: str, pinned_digest: str | None) -> dict[str, str]:
    return {} if pinned_digest is None else {"image": reference(image, pinned_digest)}


def network_interface(interface: NetworkInterface, scope: Scope) -> dict[str, Any]:
    """The ACS ElasticNetworkInterface of a task in network mode awsvpc."""
    subnet = IPv4Network(interface.cidr)
    return {
        "attachmentArn": arns.attachment(scope, interface.attachment_id),
        "ec2Id": interface.id,
        "index": 1,
        "macAddress": interface.mac_address,
        "ipv4Addresses": [{"privateAddress": interface.private_ipv4, "primary": True}],
        "subnetGatewayIpv4Address": f"{subnet.network_address + 1}/{subnet.prefixlen}",
        "domainNameServers": [],
        "domainName": [],
        "privateDnsName": private_dns_name(interface.private_ipv4, scope.region),
    }


def _vcpus(cpu: str) -> float:
    return int(cpu) / 1024


def _task_of(definition: TaskDefinition) -> dict[str, Any]:
    scope = arns.scope_of(definition.arn)
    shared: dict[str, Any] = {
        "family": definition.family,
        "version": str(definition.revision),
        "overrides": "{}",
        "taskDefinitionAccountId": scope.account,
        "networkMode": definition.network_mode,
        "volumes": [_volume(volume) for volume in definition.volumes],
    }
    if definition.cpu:
        shared["cpu"] = _vcpus(definition.cpu)
    if definition.memory:
        shared["memory"] = int(definition.memory)
    if definition.pid_mode:
        shared["pidMode"] = definition.pid_mode
    if definition.ipc_mode:
        shared["ipcMode"] = definition.ipc_mode
    if definition.enable_fault_injection:
        shared["enableFaultInjection"] = True
    if definition.proxy_configuration is not None:
        proxy = definition.proxy_configuration
        shared["proxyConfiguration"] = {
            "type": proxy.type or "APPMESH",
            "containerName": proxy.container_name,
            "properties": {p.name: p.value or "" for p in proxy.properties or () if p.name},
        }
    return shared


def _container_overrides(overrides: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    if not overrides:
        return {}
    return {each["name"]: each for each in overrides.get("containerOverrides", ()) if each.get("name")}


def _overridden(
    definition: TaskDefinition, overrides: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, Any], ...]:
    return tuple(
        _container(each, definition, overrides.get(each.name, {}))
        for each in definition.container_definitions
    )


def _container(
    container: ContainerDefinition, definition: TaskDefinition, override: Mapping[str, Any]
) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "name": container.name,
        "image": container.image,
        "cpu": override.get("cpu", container.cpu),
        "memory": override.get("memory", container.memory) or 0,
        "essential": container.essential,
        "entryPoint": _list(container.entry_point),
        "command": _list(container.command),
        "environment": _environment(container, override),
        "links": _list(container.links) or [],
        "portMappings": [
            mapping.model_dump(by_alias=True, exclude_none=True, include={"container_port_range", "protocol"})
            if mapping.container_port_range
            else {
                "containerPort": mapping.container_port,
                "hostPort": _host_port(mapping.host_port, mapping.container_port, definition),
                "protocol": mapping.protocol,
            }
            for mapping in container.port_mappings
        ],
        "mountPoints": [mount.wire() for mount in container.mount_points],
        "volumesFrom": [volume.wire() for volume in container.volumes_from],
        "overrides": json.dumps({"command": override["command"]}) if "command" in override else "{}",
        "dockerConfig": {
            "config": json.dumps(_docker_config(container)),
            "hostConfig": json.dumps(_host_config(container, definition, override)),
            "version": _DOCKER_API_VERSION,
        },
    }
    payload |= _optional(container)
    if "environmentFiles" in override:
        payload["environmentFiles"] = override["environmentFiles"]
    return payload


def _optional(container: ContainerDefinition) -> dict[str, Any]:
    """Members that are only there when they were asked for."""
    found: dict[str, Any] = {}
    if container.depends_on:
        found["dependsOn"] = [dependency.wire() for dependency in container.depends_on]
    if container.start_timeout is not None:
        found["startTimeout"] = container.start_timeout
    if container.stop_timeout is not None:
        found["stopTimeout"] = container.stop_timeout
    if container.health_check is not None:
        found["healthCheckType"] = "docker"
    if container.restart_policy is not None:
        found["restartPolicy"] = container.restart_policy.wire()
    if container.secrets:
        found["secrets"] = [_secret(s.name, s.value_from, "CONTAINER") for s in container.secrets]
    logging = container.log_configuration
    if logging is not None and logging.secret_options:
        found.setdefault("secrets", []).extend(
            _secret(s.name, s.value_from, "LOG_DRIVER") for s in logging.secret_options
        )
    if container.environment_files:
        found["environmentFiles"] = [file.wire() for file in container.environment_files]
    if container.repository_credentials is not None:
        parameter = container.repository_credentials.credentials_parameter
        found["registryAuthentication"] = {"type": "asm", "asmAuthData": {"credentialsParameter": parameter}}
    if container.firelens_configuration is not None:
        found["firelensConfiguration"] = container.firelens_configuration.wire()
    if container.credential_specs:
        found["credentialSpecs"] = list(container.credential_specs)
    return found


def _secret(name: str, value_from: str, target: str) -> dict[str, str]:
    parsed = arns.parse(value_from)
    from_secrets_manager = parsed is not None and parsed.service == "secretsmanager"
    secret = {
        "name": name,
        "valueFrom": value_from,
        "type": "ENVIRONMENT_VARIABLE" if target == "CONTAINER" else "BOOTSTRAP",
        "provider": "asm" if from_secrets_manager else "ssm",
        "target": target,
    }
    return secret | ({"region": parsed.region} if parsed is not None else {})


def _environment(container: ContainerDefinition, override: Mapping[str, Any]) -> dict[str, str]:
    environment = {pair.name: pair.value or "" for pair in container.environment if pair.name is not None}
    environment.update(
        (pair["name"], pair.get("value", "")) for pair in override.get("environment", ()) if "name" in pair
    )
    return environment


def _host_port(host_port: int | None, container_port: int | None, definition: TaskDefinition) -> int:
    """0 is a dynamic port; in the modes without a bridge the container's own port is the host's."""
    if definition.network_mode in ("host", "awsvpc"):
        return container_port or 0
    return host_port or 0


def _volume(volume: Volume) -> dict[str, Any]:
    if volume.docker_volume_configuration is not None:
        configuration = {"autoprovision": False, **volume.docker_volume_configuration.wire()}
        return {"name": volume.name, "type": "docker", "dockerVolumeConfiguration": configuration}
    if volume.efs_volume_configuration is not None:
        return {
            "name": volume.name,
            "type": "efs",
            "efsVolumeConfiguration": volume.efs_volume_configuration.wire(),
        }
    fsx = volume.fsx_windows_file_server_volume_configuration
    if fsx is not None:
        return {
            "name": volume.name,
            "type": "fsxWindowsFileServer",
            "fsxWindowsFileServerVolumeConfiguration": fsx.wire(),
        }
    source = volume.host.source_path if volume.host is not None else None
    return {"name": volume.name, "type": "host", "host": {"sourcePath": source} if source else {}}


def _docker_config(container: ContainerDefinition) -> dict[str, Any]:
    """Docker's container.Config; what is not set is left out."""
    config: dict[str, Any] = {
        "User": container.user,
        "WorkingDir": container.working_directory,
        "Hostname": container.hostname,
        "Labels": container.docker_labels,
        "OpenStdin": container.interactive,
        "Tty": container.pseudo_terminal,
        "NetworkDisabled": container.disable_networking,
    }
    check = container.health_check
    if check is not None:
        config["Healthcheck"] = {
            "Test": list(check.command),
            "Interval": check.interval * _SECOND,
            "Timeout": check.timeout * _SECOND,
            "Retries": check.retries,
            "StartPeriod": (check.start_period or 0) * _SECOND,
        }
    return {name: value for name, value in config.items() if value}


def _host_config(
    container: ContainerDefinition, definition: TaskDefinition, override: Mapping[str, Any]
) -> dict[str, Any]:
    """Docker's container.HostConfig; what is not set is left out."""
    linux = container.linux_parameters
    capabilities = linux.capabilities if linux is not None else None
    reservation = override.get("memoryReservation", container.memory_reservation)
    config: dict[str, Any] = {
        "NetworkMode": definition.network_mode,
        "CapAdd": list(capabilities.add or ()) if capabilities is not None else [],
        "CapDrop": list(capabilities.drop or ()) if capabilities is not None else [],
        "Privileged": container.privileged,
        "ReadonlyRootfs": container.readonly_root_filesystem,
        "SecurityOpt": _list(container.docker_security_options),
        "MemoryReservation": reservation * _MIB if reservation else None,
        "Dns": _list(container.dns_servers),
        "DnsSearch": _list(container.dns_search_domains),
        "ExtraHosts": [f"{h.hostname}:{h.ip_address}" for h in container.extra_hosts or ()],
        "Ulimits": [
            {"Name": u.name, "Soft": u.soft_limit, "Hard": u.hard_limit} for u in container.ulimits or ()
        ],
        "Sysctls": {c.namespace: c.value or "" for c in container.system_controls if c.namespace},
    }
    if container.log_configuration is not None:
        config["LogConfig"] = {
            "Type": container.log_configuration.log_driver,
            "Config": container.log_configuration.options or {},
        }
    if linux is not None:
        config |= _linux_config(linux, override.get("memory", container.memory))
    return {name: value for name, value in config.items() if value or name in _SENT_EMPTY}


def _linux_config(linux: LinuxParameters, memory: int | None) -> dict[str, Any]:
    config: dict[str, Any] = {}
    config["Init"] = linux.init_process_enabled
    config["ShmSize"] = linux.shared_memory_size * _MIB if linux.shared_memory_size else None
    config["Tmpfs"] = {
        mount.container_path: ",".join([*(mount.mount_options or ()), f"size={mount.size}m"])
        for mount in linux.tmpfs or ()
    }
    config["Devices"] = [
        {
            "PathOnHost": device.host_path,
            "PathInContainer": device.container_path or device.host_path,
            "CgroupPermissions": "".join(p[0] for p in device.permissions or ("read", "write", "mknod")),
        }
        for device in linux.devices or ()
    ]
    if linux.swappiness is not None:
        config["MemorySwappiness"] = linux.swappiness
    if linux.max_swap is not None and memory:
        config["MemorySwap"] = (memory + linux.max_swap) * _MIB
    return config


def _list(values: tuple[str, ...] | None) -> list[str] | None:
    return list(values) if values is not None else None
