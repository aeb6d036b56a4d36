"""How an agent presents its host: RegisterContainerInstance's parameters.

The list is that of amazon-ecs-agent 1.105.1 on Linux with bridge, host and awsvpc networks;
each name is a promise that a task definition's requiresAttributes is matched against.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from miniecs.model.instance import OWN_AGENT_HASH

AGENT_VERSION = "1.105.1"
AGENT_HASH = OWN_AGENT_HASH

RESERVED_PORTS = ("22", "2375", "2376", "51678", "51679")

_DOCKER_API = tuple(
    f"com.amazonaws.ecs.capability.docker-remote-api.1.{minor}"
    for minor in (17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32)
)
_LOG_DRIVER_NAMES = (
    *("json-file", "none", "awslogs", "syslog", "journald"),
    *("gelf", "fluentd", "splunk", "awsfirelens"),
)
_LOG_DRIVERS = tuple(f"com.amazonaws.ecs.capability.logging-driver.{name}" for name in _LOG_DRIVER_NAMES)
_PRIVILEGED = "com.amazonaws.ecs.capability.privileged-container"

CAPABILITIES: tuple[str, ...] = (
    *_DOCKER_API,
    *_LOG_DRIVERS,
    _PRIVILEGED,
    "com.amazonaws.ecs.capability.task-iam-role",
    "com.amazonaws.ecs.capability.task-iam-role-network-host",
    "com.amazonaws.ecs.capability.ecr-auth",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.container-restart-policy",
    "ecs.capability.docker-plugin.local",
    "ecs.capability.ecr-endpoint",
    "ecs.capability.efs",
    "ecs.capability.efsAuth",
    "ecs.capability.env-files.s3",
    "ecs.capability.execute-command",
    "ecs.capability.execution-role-awslogs",
    "ecs.capability.execution-role-ecr-pull",
    "ecs.capability.firelens.fluentbit",
    "ecs.capability.firelens.fluentd",
    "ecs.capability.firelens.options.config.file",
    "ecs.capability.firelens.options.config.s3",
    "ecs.capability.full-sync",
    "ecs.capability.logging-driver.awsfirelens.log-driver-buffer-limit",
    "ecs.capability.network.container-port-range",
    "ecs.capability.pid-ipc-namespace-sharing",
    "ecs.capability.private-registry-authentication.secretsmanager",
    "ecs.capability.secrets.asm.bootstrap.log-driver",
    "ecs.capability.secrets.asm.environment-variables",
    "ecs.capability.secrets.ssm.bootstrap.log-driver",
    "ecs.capability.secrets.ssm.environment-variables",
    "ecs.capability.storage.ebs-task-volume-attach",
    "ecs.capability.storage.s3-files",
    "ecs.capability.task-cpu-mem-limit",
    "ecs.capability.task-eni",
)

_DOCKER_CAPABILITIES: tuple[str, ...] = (
    # awslogs goes to the engine's own log files. Roles are accepted, although no container can take them on.
    *(f"com.amazonaws.ecs.capability.logging-driver.{name}" for name in _LOG_DRIVER_NAMES[:-1]),
    "com.amazonaws.ecs.capability.task-iam-role",
    "com.amazonaws.ecs.capability.task-iam-role-network-host",
    "com.amazonaws.ecs.capability.ecr-auth",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.container-restart-policy",
    "ecs.capability.docker-plugin.local",
    "ecs.capability.ecr-endpoint",
    "ecs.capability.execution-role-awslogs",
    "ecs.capability.execution-role-ecr-pull",
    "ecs.capability.full-sync",
    "ecs.capability.network.container-port-range",
    "ecs.capability.pid-ipc-namespace-sharing",
    "ecs.capability.storage.ebs-task-volume-attach",  # as a volume of the engine
    "ecs.capability.task-cpu-mem-limit",
    "ecs.capability.task-eni",
)
"""What our Docker engine does: no secrets, environment files, EFS or FireLens."""


def docker_capabilities(api_version: str, *, allow_privileged: bool) -> tuple[str, ...]:
    """What an instance on a Docker engine with this API (``1.41``) can do."""
    newest = int(api_version.partition(".")[2] or 0)
    known = (name for name in _DOCKER_API if int(name.rpartition(".")[2]) <= newest)
    return (*known, *((_PRIVILEGED,) if allow_privileged else ()), *_DOCKER_CAPABILITIES)


@dataclass(frozen=True)
class HostFacts:
    """What a container instance has and where it stands. CPU units and MiB."""

    cpu: int
    memory: int
    zone: str
    instance_id: str
    instance_type: str
    private_ip: str
    ami_id: str
    cpu_architecture: str = "x86_64"
    attributes: Mapping[str, str] = field(default_factory=dict)  # custom ones
    capabilities: Sequence[str] = CAPABILITIES
    docker_version: str = ""


AMI = "ami-0d5eff06f840b45e9"


def registration(
    facts: HostFacts, cluster: str, *, token: str, known_arn: str | None = None
) -> dict[str, Any]:
    """RegisterContainerInstance's parameters. A known instance does not send its custom attributes again."""
    identity = {
        "instanceId": facts.instance_id,
        "imageId": facts.ami_id,
        "instanceType": facts.instance_type,
        "availabilityZone": facts.zone,
        "privateIp": facts.private_ip,
        "architecture": facts.cpu_architecture,
    }
    attributes: list[dict[str, str]] = [
        {"name": "ecs.os-type", "value": "linux"},
        {"name": "ecs.os-family", "value": "LINUX"},
        {"name": "ecs.os-type-detailed", "value": "LINUX"},
        {"name": "ecs.cpu-architecture", "value": facts.cpu_architecture},
        *({"name": name} for name in facts.capabilities),
    ]
    if known_arn is None:
        attributes += [{"name": name, "value": value} for name, value in facts.attributes.items()]
    params: dict[str, Any] = {
        "cluster": cluster,
        "clientToken": token,
        "instanceIdentityDocument": json.dumps(identity),
        "instanceIdentityDocumentSignature": "",
        "attributes": attributes,
        "totalResources": [
            {"name": "CPU", "type": "INTEGER", "integerValue": facts.cpu},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": facts.memory},
            {"name": "PORTS", "type": "STRINGSET", "stringSetValue": list(RESERVED_PORTS)},
            {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
        ],
        "versionInfo": {
            "agentVersion": AGENT_VERSION,
            "agentHash": AGENT_HASH,
            "dockerVersion": facts.docker_version,
        },
    }
    if known_arn is not None:
        params["containerInstanceArn"] = known_arn
    return params
