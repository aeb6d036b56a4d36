"""From ACS documents to Docker's create body, and back from the engine's objects: whole values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from miniecs.config import Timing
from miniecs.model.task import NetworkBinding
from miniecs_agent.core.spec import Port, TaskSpec, read_task
from miniecs_agent.docker import names
from miniecs_agent.docker.config import (
    MIB,
    Place,
    VolumeRequest,
    create_body,
    expected_volumes,
    has_tty,
    port_bindings,
    publishes_dynamic_ports,
    task_volumes,
    volumes,
)
from miniecs_agent.docker.errors import Failure
from miniecs_agent.docker.events import bindings_from
from miniecs_agent.host_engine import Owner
from miniecs_agent.host_ports import HostPorts

from .cases import arn, container, document

PLACE = Place(Owner("0123456789ab", "/data"), "i-1", "miniecs-01234567-i-1", cpus=4)
OWNED = {"miniecs.owner": "0123456789ab", "miniecs.data-dir": "/data", "miniecs.instance": "i-1"}


def body_of(
    task: TaskSpec, place: Place = PLACE, bindings: tuple[NetworkBinding, ...] = ()
) -> dict[str, Any]:
    body = create_body(task, task.containers[0], place, bindings)
    assert isinstance(body, dict), body
    return body


def host_config_of(place: Place = PLACE, task: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return dict(body_of(read_task(document(container(**fields), **(task or {}))), place)["HostConfig"])


def refusal(task: dict[str, Any] | None = None, place: Place = PLACE, **fields: Any) -> Failure:
    spec = read_task(document(container(**fields), **(task or {})))
    failed = create_body(spec, spec.containers[0], place, ())
    assert isinstance(failed, Failure), failed
    return failed


def docker(config: dict[str, Any] | None = None, host: dict[str, Any] | None = None) -> dict[str, str]:
    return {"config": json.dumps(config or {}), "hostConfig": json.dumps(host or {})}


def test_the_smallest_container() -> None:
    task = read_task(document())
    assert body_of(task) == {
        "Image": "busybox:latest",
        "Env": [],
        "Labels": {
            "com.amazonaws.ecs.cluster": "mini",
            "com.amazonaws.ecs.task-arn": arn(),
            "com.amazonaws.ecs.container-name": "main",
            "com.amazonaws.ecs.task-definition-family": "web",
            "com.amazonaws.ecs.task-definition-version": "3",
            **OWNED,
            "miniecs.task": json.dumps(document(), separators=(",", ":")),
        },
        "HostConfig": {
            "CpuShares": 2,
            "NetworkMode": "miniecs-01234567-i-1",
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "50m", "max-file": "2"}},
            "PortBindings": {},
        },
        "ExposedPorts": {},
    }


def test_everything_that_a_container_can_say() -> None:
    config = {
        "User": "1000",
        "WorkingDir": "/srv",
        "Hostname": "web-1",
        "Labels": {"team": "a", "com.amazonaws.ecs.task-arn": "forged"},
    }
    host = {
        "MemoryReservation": 64 * MIB,
        "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}],
        "ReadonlyRootfs": True,
        "CapAdd": ["SYS_PTRACE"],
        "NetworkMode": "bridge",
        "LogConfig": {"Type": "syslog", "Config": {"tag": "x"}},
    }
    fields: dict[str, Any] = {
        "command": ["serve"],
        "entryPoint": ["sh", "-c"],
        "environment": {"A": "1", "B": ""},
        "cpu": 10,
        "memory": 128,
        "overrides": '{"command": ["other"]}',
        "portMappings": [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 53, "protocol": "udp"}],
        "dockerConfig": docker(config, host),
        "mountPoints": [
            {"sourceVolume": "scratch", "containerPath": "/tmp/a"},
            {"sourceVolume": "host", "containerPath": "/b", "readOnly": True},
            {"sourceVolume": "mine", "containerPath": "/c"},
            {"sourceVolume": "ours", "containerPath": "/d"},
        ],
        "volumesFrom": [{"sourceContainer": "side"}, {"sourceContainer": "side", "readOnly": True}],
        "links": ["side:db", "side"],
    }
    task = read_task(
        document(
            container(**fields),
            container("side"),
            volumes=[
                {"name": "scratch", "type": "host", "host": {}},
                {"name": "host", "type": "host", "host": {"sourcePath": "/srv/data"}},
                {"name": "mine", "type": "docker", "dockerVolumeConfiguration": {"scope": "task"}},
                {"name": "ours", "type": "docker", "dockerVolumeConfiguration": {"scope": "shared"}},
            ],
        )
    )
    side = names.container_name(task, "side")
    bindings = (
        NetworkBinding("172.31.0.1", "tcp", 80, 8080),
        NetworkBinding("172.31.0.1", "udp", 53, 32768),
    )
    made = body_of(task, bindings=bindings)
    labels = made.pop("Labels")
    assert (labels["team"], labels["com.amazonaws.ecs.task-arn"]) == ("a", arn())
    assert made == {
        "Image": "busybox:latest",
        "Cmd": ["other"],
        "Entrypoint": ["sh", "-c"],
        "Env": ["A=1", "B="],
        "User": "1000",
        "WorkingDir": "/srv",
        "Hostname": "web-1",
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "HostConfig": {
            **host,
            "CpuShares": 10,
            "Memory": 128 * MIB,
            "Binds": [
                f"{names.volume_name(task, 'scratch')}:/tmp/a",
                "/srv/data:/b:ro",
                f"{names.volume_name(task, 'mine')}:/c",
                "ours:/d",
            ],
            "VolumesFrom": [side, f"{side}:ro"],
            "NetworkMode": "miniecs-01234567-i-1",
            "PortBindings": {
                "80/tcp": [{"HostIp": "172.31.0.1", "HostPort": "8080"}],
                "53/udp": [{"HostIp": "172.31.0.1", "HostPort": "32768"}],
            },
        },
        "NetworkingConfig": {
            "EndpointsConfig": {
                "miniecs-01234567-i-1": {"Links": [f"{side}:db", f"{side}:side"]}
            }
        },
    }


def test_names_follow_from_what_they_name() -> None:
    task, other = read_task(document()), read_task(document(name="t2"))
    made = names.container_name(task, "main")
    assert made == names.container_name(read_task(document()), "main")
    assert made.startswith("ecs-web-3-main-") and len(made) == len("ecs-web-3-main-") + 20
    assert len({made, names.container_name(other, "main"), names.volume_name(task, "main")}) == 3


def test_credentials_are_not_left_on_the_engine() -> None:
    task = read_task(document(roleCredentials={"secretAccessKey": "s"}, executionRoleCredentials={"x": 1}))
    assert names.document_of(body_of(task)["Labels"]) == document()


@pytest.mark.parametrize("text", ["", "no json", "[]"])
def test_a_label_that_is_no_task_is_none(text: str) -> None:
    assert names.document_of({"miniecs.task": text}) is None


@pytest.mark.parametrize(
    ("mode", "network"), [("bridge", "miniecs-01234567-i-1"), ("host", "host"), ("none", "none")]
)
def test_network_modes(mode: str, network: str) -> None:
    task = read_task(document(container(portMappings=[{"containerPort": 80}]), networkMode=mode))
    made = body_of(task)
    assert made["HostConfig"]["NetworkMode"] == network
    publishes = ("ExposedPorts" in made, "PortBindings" in made["HostConfig"])
    assert publishes == (mode == "bridge", mode == "bridge")


def test_a_tasks_memory_bounds_containers_without_their_own() -> None:
    assert host_config_of(task={"memory": 512})["Memory"] == 512 * MIB
    assert host_config_of(task={"memory": 512}, memory=64)["Memory"] == 64 * MIB
    assert "Memory" not in host_config_of()


@pytest.mark.parametrize(("cpu", "nano"), [(0.25, 250_000_000), (3.5, 3_500_000_000), (4, None), (16, None)])
def test_a_tasks_vcpus_bound_each_container_up_to_what_there_is(cpu: float, nano: int | None) -> None:
    assert host_config_of(task={"cpu": cpu}).get("NanoCpus") == nano


@pytest.mark.parametrize(("cpu", "shares"), [(0, 2), (1, 2), (2, 2), (512, 512)])
def test_cpu_shares(cpu: int, shares: int) -> None:
    assert host_config_of(cpu=cpu)["CpuShares"] == shares


def test_health_checks_come_at_the_clusters_scale() -> None:
    times = {"Interval": 10_000_000_000, "Timeout": 5_000_000_000}
    check = {"Test": ["CMD-SHELL", "true"], **times, "Retries": 2}
    config = {"Healthcheck": {**check, "StartPeriod": 20_000_000_000}}
    fields: dict[str, Any] = {"dockerConfig": docker(config)}
    task = read_task(document(container(**fields)))
    assert body_of(task)["Healthcheck"] == {**check, "StartPeriod": 20_000_000_000}
    scaled = PLACE._replace(timing=Timing().scaled(10))
    assert body_of(task, scaled)["Healthcheck"] == {
        **check,
        "Interval": 1_000_000_000,
        "StartPeriod": 2_000_000_000,
    }


@pytest.mark.parametrize("driver", ["awslogs", "awsfirelens", None])
def test_log_drivers_of_aws_become_local_ones(driver: str | None) -> None:
    host = {"LogConfig": {"Type": driver, "Config": {"awslogs-group": "g"}}} if driver else {}
    made = host_config_of(dockerConfig=docker(host=host))
    assert made["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "50m", "max-file": "2"}}


def test_process_and_ipc_namespaces_of_the_host() -> None:
    made = host_config_of(task={"pidMode": "host", "ipcMode": "none"})
    assert (made["PidMode"], made["IpcMode"]) == ("host", "none")


NOT_YET = "miniecs's Docker engine does not support {} yet"


@pytest.mark.parametrize(
    ("task", "fields", "what"),
    [
        ({"networkMode": "default"}, {}, "network mode default"),
        ({"pidMode": "task"}, {}, "pidMode task"),
        ({"ipcMode": "task"}, {}, "ipcMode task"),
        ({"proxyConfiguration": {"type": "APPMESH"}}, {}, "an App Mesh proxy configuration"),
        ({"associations": [{"type": "gpu", "containers": ["main"]}]}, {}, "a gpu association"),
        ({}, {"secrets": [{"name": "A"}]}, "secrets from Systems Manager or Secrets Manager"),
        ({}, {"environmentFiles": [{"value": "x"}]}, "environment files from S3"),
        ({}, {"firelensConfiguration": {"type": "fluentd"}}, "a FireLens log router"),
        ({}, {"credentialSpecs": ["x"]}, "credential specs"),
        (
            {"volumes": [{"name": "v", "type": "efs", "efsVolumeConfiguration": {}}]},
            {"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]},
            "volumes of type efs",
        ),
    ],
)
def test_what_cannot_be_done_says_so(task: dict[str, Any], fields: dict[str, Any], what: str) -> None:
    assert refusal(task, **fields) == Failure("ResourceInitializationError", NOT_YET.format(what))


def test_privileged_containers_need_leave() -> None:
    fields: dict[str, Any] = {"dockerConfig": docker(host={"Privileged": True})}
    assert refusal(**fields) == Failure(
        "CannotCreateContainerError",
        "container main is privileged: start miniecs with --allow-privileged to allow that",
    )
    assert host_config_of(PLACE._replace(allow_privileged=True), **fields)["Privileged"] is True


def test_a_mount_of_no_volume() -> None:
    mount = [{"sourceVolume": "v", "containerPath": "/v"}]
    assert refusal(mountPoints=mount) == Failure(
        "CannotCreateContainerError", "Invalid volume referenced: v"
    )


@pytest.mark.parametrize("text", ["{", "[]"])
def test_docker_settings_that_are_none(text: str) -> None:
    failed = refusal(dockerConfig={"config": text})
    assert failed.name == "CannotCreateContainerError"
    assert failed.message.startswith("unable to decode the container's docker settings: ")


def test_volumes_to_make_are_those_that_the_container_mounts() -> None:
    wanted = [
        {"name": "scratch", "type": "host", "host": {}},
        {"name": "host", "type": "host", "host": {"sourcePath": "/srv"}},
        {
            "name": "mine",
            "type": "docker",
            "dockerVolumeConfiguration": {"scope": "task", "driver": "nfs", "driverOpts": {"a": "b"}},
        },
        {
            "name": "auto",
            "type": "docker",
            "dockerVolumeConfiguration": {"scope": "shared", "autoprovision": True, "labels": {"l": "1"}},
        },
        {"name": "found", "type": "docker", "dockerVolumeConfiguration": {"scope": "shared"}},
        {"name": "near", "type": "host", "host": {"sourcePath": "data/here"}},
        {"name": "path", "type": "host", "host": {"sourcePath": "/data"}},
        {"name": "unused", "type": "host", "host": {}},
    ]
    mounts = [
        {"sourceVolume": each["name"], "containerPath": "/x"} for each in wanted if each["name"] != "unused"
    ]
    task = read_task(document(container(mountPoints=mounts), volumes=wanted))
    of_task = {**OWNED, "miniecs.volume-scope": "task", "com.amazonaws.ecs.task-arn": arn()}
    shared = {k: v for k, v in OWNED.items() if k != "miniecs.instance"} | {"miniecs.volume-scope": "shared"}
    assert volumes(task, task.containers[0], PLACE) == [
        VolumeRequest(names.volume_name(task, "scratch"), "local", {}, of_task),
        VolumeRequest(names.volume_name(task, "mine"), "nfs", {"a": "b"}, of_task),
        VolumeRequest("auto", "local", {}, {"l": "1", **shared}),
        VolumeRequest("data/here", "local", {}, shared),  # Docker takes it for a volume's name
    ]
    assert expected_volumes(task, task.containers[0]) == ["found"]
    assert task_volumes(task) == [names.volume_name(task, each) for each in ("scratch", "mine", "unused")]


PORTS = (
    Port(80, 0, "tcp"),
    Port(80, 8080, "tcp"),
    Port(53, 0, "udp"),
    Port(0, 0, "tcp", "9000-9002"),
)


def test_bindings_are_chosen_written_and_read_back() -> None:
    ports: HostPorts[str] = HostPorts("172.31.0.1", (40000, 40010))
    chosen = ports.choose("a", PORTS, "bridge")
    assert chosen == (
        NetworkBinding("172.31.0.1", "tcp", 80, 40000),
        NetworkBinding("172.31.0.1", "tcp", 80, 8080),
        NetworkBinding("172.31.0.1", "udp", 53, 40001),
        NetworkBinding("172.31.0.1", "tcp", None, None, "9000-9002", "40002-40004"),
    )
    assert bindings_from(PORTS, port_bindings(chosen), "172.31.0.1", "bridge") == chosen


def test_a_static_port_that_is_held_is_the_engines_to_judge() -> None:
    ports: HostPorts[str] = HostPorts("172.31.0.1")
    first = ports.choose("a", (Port(80, 8080, "tcp"),), "bridge")
    assert ports.choose("b", (Port(80, 8080, "tcp"),), "bridge") == first


def test_containers_on_the_hosts_network_are_reached_at_their_own_ports() -> None:
    assert bindings_from((Port(80, 0, "tcp"), Port(0, 0, "udp", "5-6")), {}, "172.31.0.1", "host") == (
        NetworkBinding("172.31.0.1", "tcp", 80, 80),
        NetworkBinding("172.31.0.1", "udp", None, None, "5-6", "5-6"),
    )


@pytest.mark.parametrize(
    ("mappings", "dynamic"),
    [
        ([], False),
        ([{"containerPort": 80, "hostPort": 80}], False),
        ([{"containerPort": 80, "hostPort": 80}, {"containerPort": 81}], True),
        ([{"containerPortRange": "1-2"}], True),
    ],
)
def test_dynamic_ports(mappings: list[dict[str, Any]], dynamic: bool) -> None:
    task = read_task(document(container(portMappings=mappings)))
    assert publishes_dynamic_ports(task.containers[0]) is dynamic


def test_a_terminal_has_one_stream() -> None:
    for tty in (True, False):
        task = read_task(document(container(dockerConfig=docker({"Tty": tty}))))
        assert has_tty(task.containers[0]) is tty
