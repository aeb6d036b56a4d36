"""A task as its agent is told of it: whole ACS documents."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from miniecs.control.payloads import definition_payload, task_payload
from miniecs.model.task import Container, NetworkInterface, Task
from miniecs.model.task_definition import TaskDefinition

ARN = "arn:aws:ecs:us-east-1:000000000000"


def definition(*containers: dict[str, Any], **fields: Any) -> TaskDefinition:
    return TaskDefinition.model_validate(
        {
            "taskDefinitionArn": f"{ARN}:task-definition/web:3",
            "family": "web",
            "revision": 3,
            "containerDefinitions": list(containers) or [{"name": "main", "image": "busybox", "memory": 64}],
            **fields,
        }
    )


def task(of: TaskDefinition, **fields: Any) -> Task:
    containers = tuple(Container(f"c{n}", c.name) for n, c in enumerate(of.container_definitions))
    return Task(
        f"{ARN}:task/mini/0123", f"{ARN}:cluster/mini", of.arn, "family:web", containers=containers, **fields
    )


def payload(of: TaskDefinition, **fields: Any) -> dict[str, Any]:
    return task_payload(task(of, **fields), of, desired_status="RUNNING")


def docker(container: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Docker's Config and HostConfig, which travel as strings."""
    carried = container["dockerConfig"]
    return json.loads(carried["config"]), json.loads(carried["hostConfig"])


def test_the_smallest_task_whole() -> None:
    assert payload(definition()) == {
        "arn": f"{ARN}:task/mini/0123",
        "taskClusterArn": f"{ARN}:cluster/mini",
        "family": "web",
        "version": "3",
        "desiredStatus": "RUNNING",
        "overrides": "{}",
        "taskDefinitionAccountId": "000000000000",
        "networkMode": "bridge",
        "volumes": [],
        "launchType": "EC2",
        "group": "family:web",
        "containers": [
            {
                "name": "main",
                "image": "busybox",
                "cpu": 0,
                "memory": 64,
                "essential": True,
                "entryPoint": None,
                "command": None,
                "environment": {},
                "links": [],
                "portMappings": [],
                "mountPoints": [],
                "volumesFrom": [],
                "overrides": "{}",
                "dockerConfig": {
                    "config": "{}",
                    "hostConfig": '{"NetworkMode": "bridge", "CapAdd": [], "CapDrop": []}',
                    "version": "1.24",
                },
                "containerArn": f"{ARN}:container/mini/0123/c0",
            }
        ],
    }


def test_everything_that_a_container_may_have() -> None:
    of = definition(
        {
            "name": "main",
            "image": "httpd",
            "cpu": 128,
            "memory": 256,
            "memoryReservation": 128,
            "essential": False,
            "command": ["sleep", "1"],
            "entryPoint": ["sh"],
            "environment": [{"name": "A", "value": "1"}, {"name": "B"}],
            "portMappings": [
                {"containerPort": 80, "hostPort": 8080, "protocol": "tcp"},
                {"containerPort": 53, "protocol": "udp"},
                {"containerPortRange": "9100-9102", "protocol": "tcp"},
            ],
            "links": ["db:database"],
            "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
            "volumesFrom": [{"sourceContainer": "db"}],
            "dependsOn": [{"containerName": "db", "condition": "HEALTHY"}],
            "startTimeout": 30,
            "stopTimeout": 5,
            "restartPolicy": {"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 60},
            "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 10, "retries": 2, "startPeriod": 7},
            "user": "nobody",
            "workingDirectory": "/tmp",
            "hostname": "box",
            "dockerLabels": {"my": "label"},
            "interactive": True,
            "pseudoTerminal": True,
            "privileged": True,
            "readonlyRootFilesystem": True,
            "dnsServers": ["1.1.1.1"],
            "extraHosts": [{"hostname": "h", "ipAddress": "10.0.0.1"}],
            "ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 2}],
            "systemControls": [{"namespace": "net.core.somaxconn", "value": "5"}],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "g"},
                "secretOptions": [{"name": "token", "valueFrom": "/parameter"}],
            },
            "secrets": [{"name": "S", "valueFrom": "arn:aws:secretsmanager:eu-west-1:1:secret:x"}],
            "linuxParameters": {
                "capabilities": {"add": ["NET_ADMIN"], "drop": ["CHOWN"]},
                "devices": [{"hostPath": "/dev/fuse", "permissions": ["read", "mknod"]}],
                "initProcessEnabled": True,
                "sharedMemorySize": 64,
                "tmpfs": [{"containerPath": "/t", "size": 8, "mountOptions": ["ro"]}],
                "maxSwap": 100,
                "swappiness": 0,
            },
        }
    )
    [container] = payload(of)["containers"]
    config, host_config = docker(container)
    del container["dockerConfig"]
    assert container == {
        "name": "main",
        "image": "httpd",
        "cpu": 128,
        "memory": 256,
        "essential": False,
        "entryPoint": ["sh"],
        "command": ["sleep", "1"],
        "environment": {"A": "1", "B": ""},
        "links": ["db:database"],
        "portMappings": [
            {"containerPort": 80, "hostPort": 8080, "protocol": "tcp"},
            {"containerPort": 53, "hostPort": 0, "protocol": "udp"},
            {"containerPortRange": "9100-9102", "protocol": "tcp"},
        ],
        "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
        "volumesFrom": [{"sourceContainer": "db"}],
        "overrides": "{}",
        "dependsOn": [{"containerName": "db", "condition": "HEALTHY"}],
        "startTimeout": 30,
        "stopTimeout": 5,
        "restartPolicy": {"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 60},
        "healthCheckType": "docker",
        "secrets": [
            {
                "name": "S",
                "valueFrom": "arn:aws:secretsmanager:eu-west-1:1:secret:x",
                "type": "ENVIRONMENT_VARIABLE",
                "provider": "asm",
                "target": "CONTAINER",
                "region": "eu-west-1",
            },
            {
                "name": "token",
                "valueFrom": "/parameter",
                "type": "BOOTSTRAP",
                "provider": "ssm",
                "target": "LOG_DRIVER",
            },
        ],
        "containerArn": f"{ARN}:container/mini/0123/c0",
    }
    assert config == {
        "User": "nobody",
        "WorkingDir": "/tmp",
        "Hostname": "box",
        "Labels": {"my": "label"},
        "OpenStdin": True,
        "Tty": True,
        "Healthcheck": {
            "Test": ["CMD-SHELL", "true"],
            "Interval": 10_000_000_000,
            "Timeout": 5_000_000_000,
            "Retries": 2,
            "StartPeriod": 7_000_000_000,
        },
    }
    assert host_config == {
        "NetworkMode": "bridge",
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["CHOWN"],
        "Privileged": True,
        "ReadonlyRootfs": True,
        "MemoryReservation": 128 * 1024 * 1024,
        "Dns": ["1.1.1.1"],
        "ExtraHosts": ["h:10.0.0.1"],
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
        "Sysctls": {"net.core.somaxconn": "5"},
        "LogConfig": {"Type": "awslogs", "Config": {"awslogs-group": "g"}},
        "Init": True,
        "ShmSize": 64 * 1024 * 1024,
        "Tmpfs": {"/t": "ro,size=8m"},
        "Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rm"}],
        "MemorySwappiness": 0,
        "MemorySwap": 356 * 1024 * 1024,
    }


def test_overrides_are_merged_but_for_the_command() -> None:
    of = definition(
        {
            "name": "main",
            "image": "x",
            "memory": 64,
            "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        },
        {"name": "side", "image": "y", "memory": 32},
        cpu="256",
        memory="512",
    )
    overrides = {
        "cpu": "512",
        "memory": "1024",
        "containerOverrides": [
            {
                "name": "main",
                "command": ["run", "this"],
                "cpu": 100,
                "memory": 200,
                "memoryReservation": 150,
                "environment": [{"name": "B", "value": "two"}, {"name": "C", "value": "3"}],
            }
        ],
    }
    made = payload(of, overrides=overrides)
    assert (made["cpu"], made["memory"], made["overrides"]) == (0.5, 1024, "{}")
    main, side = made["containers"]
    assert main["overrides"] == '{"command": ["run", "this"]}'
    assert main["command"] is None
    assert (main["cpu"], main["memory"]) == (100, 200)
    assert main["environment"] == {"A": "1", "B": "two", "C": "3"}
    assert docker(main)[1]["MemoryReservation"] == 150 * 1024 * 1024
    assert side["overrides"] == "{}"
    plain = payload(of)
    assert (plain["cpu"], plain["memory"]) == (0.25, 512)


@pytest.mark.parametrize(("mode", "port"), [("bridge", 0), ("host", 80), ("awsvpc", 80)])
def test_the_host_port_that_a_network_mode_gives(mode: str, port: int) -> None:
    of = definition(
        {"name": "main", "image": "x", "memory": 64, "portMappings": [{"containerPort": 80}]},
        networkMode=mode,
    )
    [container] = payload(of)["containers"]
    assert container["portMappings"] == [{"containerPort": 80, "hostPort": port, "protocol": "tcp"}]
    assert docker(container)[1]["NetworkMode"] == mode


def test_volumes() -> None:
    of = definition(
        volumes=[
            {"name": "bind", "host": {"sourcePath": "/srv"}},
            {"name": "scratch"},
            {"name": "shared", "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True}},
            {"name": "nfs", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}},
        ]
    )
    assert payload(of)["volumes"] == [
        {"name": "bind", "type": "host", "host": {"sourcePath": "/srv"}},
        {"name": "scratch", "type": "host", "host": {}},
        {
            "name": "shared",
            "type": "docker",
            "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True},
        },
        {"name": "nfs", "type": "efs", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}},
    ]


def test_a_service_task_with_an_interface_of_its_own_and_exec() -> None:
    of = definition(networkMode="awsvpc", pidMode="task", ipcMode="host")
    interface = NetworkInterface(
        "eni-1",
        "attach-1",
        "subnet-1",
        "02:00:00:00:00:01",
        "10.0.3.7",
        cidr="10.0.2.0/23",
        vpc_id="vpc-1",
        vpc_cidr="10.0.0.0/16",
    )
    made = payload(
        of,
        service_arn=f"{ARN}:service/mini/web",
        network_interface=interface,
        enable_execute_command=True,
        launch_type="FARGATE",
    )
    assert (made["serviceName"], made["launchType"]) == ("web", "FARGATE")
    assert (made["pidMode"], made["ipcMode"]) == ("task", "host")
    assert made["containers"][0]["managedAgents"] == [{"name": "ExecuteCommandAgent", "properties": {}}]
    assert made["elasticNetworkInterfaces"] == [
        {
            "attachmentArn": f"{ARN}:attachment/attach-1",
            "ec2Id": "eni-1",
            "index": 1,
            "macAddress": "02:00:00:00:00:01",
            "ipv4Addresses": [{"privateAddress": "10.0.3.7", "primary": True}],
            "subnetGatewayIpv4Address": "10.0.2.1/23",
            "domainNameServers": [],
            "domainName": [],
            "privateDnsName": "ip-10-0-3-7.ec2.internal",
        }
    ]
    assert made["vpc"] == {"id": "vpc-1", "cidr": "10.0.0.0/16"}


def test_an_interface_without_an_address_is_told_to_nobody() -> None:
    of = definition(networkMode="awsvpc")
    made = payload(of, network_interface=NetworkInterface("", "attach-1", "subnet-1", "", ""))
    assert "elasticNetworkInterfaces" not in made
    assert "vpc" not in made


def test_a_pinned_image_is_sent_by_its_digest_and_the_tag_stays_readable() -> None:
    of = definition(
        {"name": "main", "image": "web:1", "memory": 64}, {"name": "side", "image": "b", "memory": 64}
    )
    pinned = (Container("c0", "main", pinned_digest="sha256:a"), Container("c1", "side"))

    def sent() -> dict[str, Any]:
        return task_payload(replace(task(of), containers=pinned), of, desired_status="RUNNING")

    images = [each["image"] for each in sent()["containers"]]
    assert images == ["web:1@sha256:a", "b"]
    again = sent()
    assert again["containers"][0]["image"] is images[0], "what many tasks share is one object"


def test_what_tasks_share_is_made_once_and_left_alone() -> None:
    of = definition()
    shared = definition_payload(of)
    once = task_payload(task(of), of, desired_status="RUNNING", shared=shared)
    once["containers"][0]["name"] = "changed"
    again = task_payload(task(of, enable_execute_command=True), of, desired_status="STOPPED", shared=shared)
    assert again["containers"][0]["name"] == "main"
    assert again["desiredStatus"] == "STOPPED"
    assert shared == definition_payload(of)
