"""The shapes of what a control plane says on ACS, as far as this agent reads it.

Written down from the ECS agent's ACS model, like what reads it: only members that something here looks at.
Those of a task are judged one task at a time: a bad one must not take the others of its payload along.
"""

from __future__ import annotations

from miniecs_agent.core.shapes import Each, Record, Shape, Values

_TEXTS = Each(str)

_CONTAINER = Record(
    {
        "name": str,
        "image": str,
        "cpu": int,
        "memory": int,
        "essential": bool,
        "command": _TEXTS,
        "entryPoint": _TEXTS,
        "environment": Values(str),
        "links": _TEXTS,
        "overrides": str,
        "portMappings": Each(
            Record({"containerPort": int, "hostPort": int, "containerPortRange": str, "protocol": str})
        ),
        "mountPoints": Each(
            Record({"sourceVolume": str, "containerPath": str, "readOnly": bool}, ("sourceVolume",))
        ),
        "volumesFrom": Each(Record({"sourceContainer": str, "readOnly": bool}, ("sourceContainer",))),
        "dependsOn": Each(
            Record({"containerName": str, "condition": str}, ("containerName", "condition"))
        ),
        "startTimeout": float,
        "stopTimeout": float,
        "restartPolicy": Record(
            {"enabled": bool, "ignoredExitCodes": Each(int), "restartAttemptPeriod": float}
        ),
        "healthCheckType": str,
        "dockerConfig": Record({"config": str, "hostConfig": str}),
    },
    ("name",),
)
_VOLUME = Record(
    {
        "name": str,
        "type": str,
        "host": Record({"sourcePath": str}),
        "dockerVolumeConfiguration": Record(
            {
                "scope": str,
                "autoprovision": bool,
                "driver": str,
                "driverOpts": Values(str),
                "labels": Values(str),
            }
        ),
    },
    ("name",),
)
_CREDENTIALS = Record({"credentialsId": str, "expiration": str})

TASK = Record(
    {
        "arn": str,
        "taskClusterArn": str,
        "family": str,
        "version": str,
        "desiredStatus": str,
        "lastStatus": str,
        "resolvesImages": bool,
        "overrides": str,
        "networkMode": str,
        "pidMode": str,
        "ipcMode": str,
        "cpu": float,
        "memory": int,
        "containers": Each(_CONTAINER),
        "volumes": Each(_VOLUME),
        "roleCredentials": _CREDENTIALS,
        "executionRoleCredentials": _CREDENTIALS,
        "associations": Each(Record({"type": str, "containers": _TEXTS})),
    },
    ("arn", "containers"),
)
TASK_OF_KNOWN_CONTAINERS = Record({**TASK.members, "containers": list}, TASK.needs)

# Docker's own structures, which travel in dockerConfig as JSON: what is looked at before Docker is asked.
DOCKER_CONFIG = Record(
    {
        "Labels": Values(str),
        "ExposedPorts": Values(dict),
        "Healthcheck": Record({"Interval": int, "StartPeriod": int}),
    }
)
DOCKER_HOST_CONFIG = Record({"LogConfig": Record({"Type": str})})

_ENVELOPE: dict[str, Shape] = {"clusterArn": str, "containerInstanceArn": str, "messageId": str}
_IDENTIFIERS = Each(
    Record({"taskArn": str, "taskClusterArn": str, "desiredStatus": str}, ("taskArn",))
)
_INTERFACES = Each(Record({"attachmentArn": str}))

MESSAGES: dict[str, Record] = {
    "HeartbeatMessage": Record({"messageId": str}),
    "PayloadMessage": Record({**_ENVELOPE, "seqNum": int, "tasks": list}),
    "TaskManifestMessage": Record({**_ENVELOPE, "timeline": int, "tasks": _IDENTIFIERS}),
    "TaskStopVerificationAck": Record({"messageId": str, "stopTasks": _IDENTIFIERS}),
    "IAMRoleCredentialsMessage": Record({"messageId": str, "roleCredentials": _CREDENTIALS}),
    "AttachTaskNetworkInterfacesMessage": Record(
        {**_ENVELOPE, "taskArn": str, "elasticNetworkInterfaces": _INTERFACES}
    ),
    "AttachInstanceNetworkInterfacesMessage": Record({**_ENVELOPE, "elasticNetworkInterfaces": _INTERFACES}),
    "ConfirmAttachmentMessage": Record(_ENVELOPE),
    "StageUpdateMessage": Record(_ENVELOPE),
    "PerformUpdateMessage": Record(_ENVELOPE),
}
