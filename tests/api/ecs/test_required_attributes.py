"""requiresAttributes and compatibilities: what each parameter asks of the capacity that runs the task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from miniecs_agent.core.capabilities import CAPABILITIES

if TYPE_CHECKING:
    from tests.api.ecs.conftest import Ecs

COM = "com.amazonaws.ecs.capability."
CAP = "ecs.capability."
API = COM + "docker-remote-api.1."
ROLE = "arn:aws:iam::000000000000:role/ecsTaskExecutionRole"
AWSLOGS = {"awslogs-group": "g", "awslogs-region": "us-east-1"}
ECR = "000000000000.dkr.ecr.us-east-1.amazonaws.com/web:1"
HELPER = {"name": "helper", "image": "busybox", "memory": 64}


def register(ecs: Ecs, container: dict[str, Any], task: dict[str, Any], *others: Any) -> dict[str, Any]:
    app = {"name": "app", "image": "busybox", "memory": 64, **container}
    answered = ecs("RegisterTaskDefinition", family="web", containerDefinitions=[app, *others], **task)
    return dict(answered["taskDefinition"])


def names(definition: dict[str, Any]) -> set[str]:
    found = [attribute["name"] for attribute in definition["requiresAttributes"]]
    assert len(set(found)) == len(found), "an attribute is named twice"
    assert all(set(attribute) == {"name"} for attribute in definition["requiresAttributes"])
    return set(found)


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "nothing": ({}, {}, set()),
    "awslogs": (
        {"logConfiguration": {"logDriver": "awslogs", "options": AWSLOGS}},
        {},
        {COM + "logging-driver.awslogs", API + "18", API + "19"},
    ),
    "awslogs with role": (
        {"logConfiguration": {"logDriver": "awslogs", "options": AWSLOGS}},
        {"executionRoleArn": ROLE},
        {COM + "logging-driver.awslogs", CAP + "execution-role-awslogs", API + "18", API + "19"},
    ),
    "awslogs that makes its group and does not block": (
        {
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {**AWSLOGS, "awslogs-create-group": "true", "mode": "non-blocking"},
            }
        },
        {},
        {COM + "logging-driver.awslogs", API + "18", API + "19", API + "28", API + "29"},
    ),
    "syslog with a secret": (
        {
            "logConfiguration": {
                "logDriver": "syslog",
                "secretOptions": [{"name": "a", "valueFrom": "arn:aws:secretsmanager:us-east-1:0:secret:s"}],
            }
        },
        {"executionRoleArn": ROLE},
        {COM + "logging-driver.syslog", API + "18", CAP + "secrets.asm.bootstrap.log-driver"},
    ),
    "ecr": ({"image": ECR}, {}, {COM + "ecr-auth"}),
    "ecr with role": (
        {"image": ECR},
        {"executionRoleArn": ROLE},
        {COM + "ecr-auth", CAP + "execution-role-ecr-pull"},
    ),
    "public gallery": ({"image": "public.ecr.aws/nginx/nginx"}, {"executionRoleArn": ROLE}, set()),
    "task role": ({}, {"taskRoleArn": "web"}, {COM + "task-iam-role"}),
    "task role on the host's network": (
        {},
        {"taskRoleArn": "web", "networkMode": "host"},
        {COM + "task-iam-role", COM + "task-iam-role-network-host"},
    ),
    "awsvpc": ({}, {"networkMode": "awsvpc"}, {CAP + "task-eni", API + "18"}),
    "health check": (
        {"healthCheck": {"command": ["CMD", "true"]}},
        {},
        {CAP + "container-health-check", API + "24"},
    ),
    "health check with a start period": (
        {"healthCheck": {"command": ["CMD", "true"], "startPeriod": 10}},
        {},
        {CAP + "container-health-check", API + "24", API + "29"},
    ),
    "order": (
        {"dependsOn": [{"containerName": "helper", "condition": "START"}]},
        {},
        {CAP + "container-ordering"},
    ),
    "start timeout": ({"startTimeout": 10}, {}, {CAP + "container-ordering"}),
    "stop timeout": ({"stopTimeout": 10}, {}, {CAP + "container-ordering"}),
    "secrets": (
        {
            "secrets": [
                {"name": "A", "valueFrom": "arn:aws:ssm:us-east-1:000000000000:parameter/a"},
                {"name": "B", "valueFrom": "parameter-by-name"},
                {"name": "C", "valueFrom": "arn:aws:secretsmanager:us-east-1:000000000000:secret:c"},
            ]
        },
        {"executionRoleArn": ROLE},
        {CAP + "secrets.ssm.environment-variables", CAP + "secrets.asm.environment-variables"},
    ),
    "task cpu": ({}, {"cpu": "256"}, {CAP + "task-cpu-mem-limit"}),
    "task memory": ({}, {"memory": "256"}, {CAP + "task-cpu-mem-limit"}),
    "environment files": (
        {"environmentFiles": [{"value": "arn:aws:s3:::b/a.env", "type": "s3"}]},
        {"executionRoleArn": ROLE},
        {CAP + "env-files.s3"},
    ),
    "restart": ({"restartPolicy": {"enabled": True}}, {}, {CAP + "container-restart-policy"}),
    "no restart": ({"restartPolicy": {"enabled": False}}, {}, set()),
    "privileged": ({"privileged": True}, {}, {COM + "privileged-container"}),
    "pid": ({}, {"pidMode": "task"}, {CAP + "pid-ipc-namespace-sharing"}),
    "ipc": ({}, {"ipcMode": "none"}, {CAP + "pid-ipc-namespace-sharing"}),
    "reservation": ({"memoryReservation": 32}, {}, {API + "21"}),
    "labels": ({"dockerLabels": {"a": "b"}}, {}, {API + "18"}),
    "ulimits": ({"ulimits": [{"name": "core", "softLimit": 1, "hardLimit": 1}]}, {}, {API + "18"}),
    "links": ({"links": ["helper"]}, {}, {API + "17"}),
    "tmpfs": ({"linuxParameters": {"tmpfs": [{"containerPath": "/t", "size": 1}]}}, {}, {API + "22"}),
    "init": ({"linuxParameters": {"initProcessEnabled": True}}, {}, {API + "25"}),
    "port range": (
        {"portMappings": [{"containerPortRange": "80-90"}]},
        {},
        {CAP + "network.container-port-range"},
    ),
    "private registry": (
        {"repositoryCredentials": {"credentialsParameter": "arn:aws:secretsmanager:us-east-1:0:secret:s"}},
        {"executionRoleArn": ROLE},
        {CAP + "private-registry-authentication.secretsmanager"},
    ),
    "log router": (
        {
            "firelensConfiguration": {
                "type": "fluentbit",
                "options": {"config-file-type": "s3", "config-file-value": "arn:aws:s3:::b/c"},
            }
        },
        {},
        {CAP + "firelens.fluentbit", CAP + "firelens.options.config.s3"},
    ),
    "efs": (
        {},
        {"volumes": [{"name": "d", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]},
        {CAP + "efs"},
    ),
    "efs with an access point": (
        {},
        {
            "volumes": [
                {
                    "name": "d",
                    "efsVolumeConfiguration": {
                        "fileSystemId": "fs-1",
                        "transitEncryption": "ENABLED",
                        "authorizationConfig": {"accessPointId": "fsap-1"},
                    },
                }
            ]
        },
        {CAP + "efs", CAP + "efsAuth"},
    ),
    "docker volume": (
        {},
        {"volumes": [{"name": "d", "dockerVolumeConfiguration": {}}]},
        {CAP + "docker-plugin.local"},
    ),
    "s3 files": (
        {},
        {"volumes": [{"name": "d", "s3filesVolumeConfiguration": {"fileSystemArn": "arn:a"}}]},
        {CAP + "storage.s3-files"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_required_and_agents_have_it(ecs: Ecs, name: str) -> None:
    container, task, expected = CASES[name]
    assert names(register(ecs, container, task, HELPER)) == expected
    assert expected <= set(CAPABILITIES)


# What no instance here can do: such tasks fail at placement (ATTRIBUTE), as on real instances without it.
NOT_HERE: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "selinux and apparmor": (
        {"dockerSecurityOptions": ["label:type:a", "apparmor:p", "no-new-privileges"]},
        {},
        {COM + "selinux", COM + "apparmor"},
    ),
    "active directory": ({"credentialSpecs": ["credentialspec:arn:a"]}, {}, {CAP + "gmsa"}),
    "app mesh": (
        {},
        {"networkMode": "awsvpc", "proxyConfiguration": {"containerName": "app"}},
        {CAP + "aws-appmesh", CAP + "task-eni", API + "18"},
    ),
    "accelerators": (
        {},
        {"inferenceAccelerators": [{"deviceName": "d", "deviceType": "eia2.medium"}]},
        {CAP + "task-eia"},
    ),
    "faults": ({}, {"networkMode": "host", "enableFaultInjection": True}, {CAP + "fault-injection"}),
    "volume at launch": (
        {},
        {"volumes": [{"name": "d", "configuredAtLaunch": True}]},
        {CAP + "storage.ebs-task-volume-attach"},
    ),
    "fsx": (
        {},
        {
            "volumes": [
                {
                    "name": "d",
                    "fsxWindowsFileServerVolumeConfiguration": {
                        "fileSystemId": "fs-1",
                        "rootDirectory": "/",
                        "authorizationConfig": {"credentialsParameter": "p", "domain": "d"},
                    },
                }
            ]
        },
        {CAP + "fsxWindowsFileServer"},
    ),
    "another volume driver": (
        {},
        {"volumes": [{"name": "d", "dockerVolumeConfiguration": {"driver": "rexray/ebs"}}]},
        {CAP + "docker-plugin.rexray/ebs"},
    ),
}


@pytest.mark.parametrize("name", NOT_HERE)
def test_what_is_required_and_agents_lack(ecs: Ecs, name: str) -> None:
    container, task, expected = NOT_HERE[name]
    assert names(register(ecs, container, task)) == expected


def test_fargate_enforces_sizes_by_itself(ecs: Ecs) -> None:
    task = {
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
    }
    assert names(register(ecs, {}, task)) == {CAP + "task-eni", API + "18"}


SIZES = {"cpu": "256", "memory": "512"}


@pytest.mark.parametrize(
    ("container", "task", "expected"),
    [
        ({}, {}, ["EXTERNAL", "EC2"]),
        ({}, {"networkMode": "awsvpc"}, ["EC2"]),
        ({}, {"networkMode": "awsvpc", **SIZES}, ["EC2", "FARGATE", "MANAGED_INSTANCES"]),
        ({}, {"networkMode": "awsvpc", "cpu": "300", "memory": "512"}, ["EC2", "MANAGED_INSTANCES"]),
        ({}, {"networkMode": "host", **SIZES}, ["EXTERNAL", "EC2", "MANAGED_INSTANCES"]),
        ({"image": ECR}, {"networkMode": "awsvpc", **SIZES}, ["EC2", "MANAGED_INSTANCES"]),
        (
            {"image": ECR},
            {"networkMode": "awsvpc", "executionRoleArn": ROLE, **SIZES},
            ["EC2", "FARGATE", "MANAGED_INSTANCES"],
        ),
        ({"dnsSearchDomains": ["a"]}, {"networkMode": "awsvpc", **SIZES}, ["EC2"]),
        ({}, {"volumes": [{"name": "d", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}]}, ["EC2"]),
        (
            {},
            {
                "networkMode": "awsvpc",
                "requiresCompatibilities": ["MANAGED_INSTANCES"],
                "trustedExecutionConfiguration": {"isolationMode": "ISOLATED_SANDBOX"},
                **SIZES,
            },
            ["MANAGED_INSTANCES"],
        ),
    ],
)
def test_compatibilities(
    ecs: Ecs, container: dict[str, Any], task: dict[str, Any], expected: list[str]
) -> None:
    definition = register(ecs, container, task)
    assert definition["compatibilities"] == expected
    assert definition.get("requiresCompatibilities") == task.get("requiresCompatibilities")
