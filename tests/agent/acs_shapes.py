"""The shapes of what a control plane tells agents on ACS and TCS, and a check of messages against them.

Written down from the ECS agent's models of the two protocols, as far as miniecs sends them. The ECS agent
reads members into typed fields: a number where a string belongs fails the whole message.
"""

from __future__ import annotations

import json
from typing import Any

STRING, INTEGER, NUMBER, BOOLEAN = "string", "integer", "number", "boolean"
JSON_TEXT = "a JSON object as a string"  # Docker's own structures travel so
STRINGS = [STRING]
STRING_MAP = {"*": STRING}

CREDENTIALS = {
    "credentialsId": STRING,
    "roleArn": STRING,
    "accessKeyId": STRING,
    "secretAccessKey": STRING,
    "sessionToken": STRING,
    "expiration": STRING,
    "credentialScope": STRING,
}
INTERFACE = {
    "name": STRING,
    "macAddress": STRING,
    "attachmentArn": STRING,
    "ec2Id": STRING,
    "index": INTEGER,
    "ipv4Addresses": [{"privateAddress": STRING, "primary": BOOLEAN}],
    "ipv6Addresses": [{"address": STRING, "primary": BOOLEAN}],
    "domainName": STRINGS,
    "domainNameServers": STRINGS,
    "privateDnsName": STRING,
    "subnetGatewayIpv4Address": STRING,
    "subnetGatewayIpv6Address": STRING,
}
CONTAINER = {
    "name": STRING,
    "image": STRING,
    "cpu": INTEGER,
    "memory": INTEGER,
    "essential": BOOLEAN,
    "command": STRINGS,
    "entryPoint": STRINGS,
    "environment": STRING_MAP,
    "environmentFiles": [{"value": STRING, "type": STRING}],
    "links": STRINGS,
    "overrides": JSON_TEXT,
    "portMappings": [
        {"containerPort": INTEGER, "hostPort": INTEGER, "containerPortRange": STRING, "protocol": STRING}
    ],
    "mountPoints": [{"sourceVolume": STRING, "containerPath": STRING, "readOnly": BOOLEAN}],
    "volumesFrom": [{"sourceContainer": STRING, "readOnly": BOOLEAN}],
    "dockerConfig": {"config": JSON_TEXT, "hostConfig": JSON_TEXT, "version": STRING},
    "healthCheckType": STRING,
    "dependsOn": [{"containerName": STRING, "condition": STRING}],
    "startTimeout": INTEGER,
    "stopTimeout": INTEGER,
    "restartPolicy": {
        "enabled": BOOLEAN,
        "ignoredExitCodes": [INTEGER],
        "restartAttemptPeriod": INTEGER,
    },
    "managedAgents": [{"name": STRING, "properties": STRING_MAP}],
    "secrets": [
        {
            "name": STRING,
            "valueFrom": STRING,
            "containerPath": STRING,
            "type": STRING,
            "region": STRING,
            "provider": STRING,
            "target": STRING,
        }
    ],
    "firelensConfiguration": {"type": STRING, "options": STRING_MAP},
    "registryAuthentication": {
        "type": STRING,
        "asmAuthData": {"credentialsParameter": STRING, "region": STRING},
    },
    "credentialSpecs": STRINGS,
    "containerArn": STRING,
}
VOLUME = {
    "name": STRING,
    "type": STRING,
    "host": {"sourcePath": STRING},
    "dockerVolumeConfiguration": {
        "scope": STRING,
        "autoprovision": BOOLEAN,
        "driver": STRING,
        "driverOpts": STRING_MAP,
        "labels": STRING_MAP,
    },
    "efsVolumeConfiguration": {
        "fileSystemId": STRING,
        "rootDirectory": STRING,
        "transitEncryption": STRING,
        "transitEncryptionPort": INTEGER,
        "authorizationConfig": {"accessPointId": STRING, "iam": STRING},
    },
}
TASK = {
    "arn": STRING,
    "taskClusterArn": STRING,
    "family": STRING,
    "version": STRING,
    "desiredStatus": STRING,
    "overrides": JSON_TEXT,
    "containers": [CONTAINER],
    "volumes": [VOLUME],
    "taskDefinitionAccountId": STRING,
    "roleCredentials": CREDENTIALS,
    "executionRoleCredentials": CREDENTIALS,
    "elasticNetworkInterfaces": [INTERFACE],
    "cpu": NUMBER,
    "memory": INTEGER,
    "pidMode": STRING,
    "ipcMode": STRING,
    "networkMode": STRING,
    "launchType": STRING,
    "serviceName": STRING,
    "group": STRING,
    "enableFaultInjection": BOOLEAN,
    "proxyConfiguration": {"type": STRING, "containerName": STRING, "properties": STRING_MAP},
    "lastStatus": STRING,  # our own, for our own agent; others do not read it
}
IDENTIFIER = {"taskArn": STRING, "taskClusterArn": STRING, "desiredStatus": STRING}
ENVELOPE = {"clusterArn": STRING, "containerInstanceArn": STRING, "messageId": STRING, "generatedAt": INTEGER}

MESSAGES: dict[str, dict[str, Any]] = {
    "HeartbeatMessage": {"healthy": BOOLEAN, "messageId": STRING},
    "PayloadMessage": ENVELOPE | {"seqNum": INTEGER, "timeline": INTEGER, "tasks": [TASK]},
    "TaskManifestMessage": ENVELOPE | {"timeline": INTEGER, "tasks": [IDENTIFIER]},
    "TaskStopVerificationAck": {"messageId": STRING, "generatedAt": INTEGER, "stopTasks": [IDENTIFIER]},
    "AckPublishMetric": {"message": STRING},
    "AckPublishHealth": {"message": STRING},
    "AckPublishInstanceStatus": {"message": STRING},
}
# Without these the ECS agent rejects the message, or takes it for another task's.
NEEDED = {
    "PayloadMessage": ("clusterArn", "containerInstanceArn", "messageId", "seqNum"),
    "TaskManifestMessage": ("clusterArn", "containerInstanceArn", "messageId", "timeline"),
    "HeartbeatMessage": ("messageId", "healthy"),
    "TaskStopVerificationAck": ("messageId",),
}
_TYPES: dict[str, type | tuple[type, ...]] = {STRING: str, INTEGER: int, NUMBER: (int, float), BOOLEAN: bool}


def faults(type: str, body: dict[str, Any]) -> list[str]:
    """What an agent would stumble over in a message; empty for a good one."""
    missing = [f"{type}.{name} is missing" for name in NEEDED.get(type, ()) if name not in body]
    return missing + list(_faults(type, body, MESSAGES[type]))


def _faults(path: str, value: Any, shape: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{path} is no list: {value!r}"]
        return [fault for each in value for fault in _faults(f"{path}[]", each, shape[0])]
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{path} is no structure: {value!r}"]
        found = []
        for name, each in value.items():
            if name not in shape and "*" not in shape:
                found.append(f"{path} has no member {name}")
            else:
                found += _faults(f"{path}.{name}", each, shape.get(name, shape.get("*")))
        return found
    if shape == JSON_TEXT:
        return (
            [] if isinstance(value, str) and isinstance(json.loads(value), dict) else [f"{path}: {value!r}"]
        )
    right = isinstance(value, _TYPES[shape]) and (shape == BOOLEAN or not isinstance(value, bool))
    return [] if right else [f"{path} is no {shape}: {value!r}"]
