"""What holds a task's network interface on an engine: made once, joined by all, and given back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from miniecs_agent.core.spec import TaskSpec, read_task
from miniecs_agent.docker import names, pause_image
from miniecs_agent.docker.config import Place, create_body
from miniecs_agent.docker.connection import Connection
from miniecs_agent.docker.errors import Failure, Refused
from miniecs_agent.docker.pauses import Pauses
from miniecs_agent.docker.vpc_networks import VpcNetworks
from miniecs_agent.host_engine import Owner

from .fake_docker import FACTS, FakeDocker

OWNER = Owner("0123456789ab", "/data")
ARN = "arn:aws:ecs:us-east-1:000000000000:task/default/t1"
INTERFACE = {
    "attachmentArn": "arn:aws:ecs:us-east-1:000000000000:attachment/a1",
    "ec2Id": "eni-1",
    "macAddress": "02:ec:0a:40:00:09",
    "ipv4Addresses": [{"privateAddress": "10.64.0.9", "primary": True}],
    "privateDnsName": "ip-10-64-0-9.ec2.internal",
}
NETWORK = "miniecs-01234567-vpc-1"


def task(*host_configs: dict[str, Any], **fields: Any) -> TaskSpec:
    containers = [
        {"name": f"c{n}", "image": "busybox", "dockerConfig": {"hostConfig": json.dumps(host_config)}}
        for n, host_config in enumerate(host_configs or ({},))
    ]
    document = {
        "arn": ARN,
        "family": "web",
        "version": "1",
        "networkMode": "awsvpc",
        "containers": containers,
        "elasticNetworkInterfaces": [INTERFACE],
        "vpc": {"id": "vpc-1", "cidr": "10.64.0.0/16"},
        **fields,
    }
    return read_task(document)


def story(play: Callable[[FakeDocker, Pauses, VpcNetworks], Awaitable[None]]) -> None:
    async def run() -> None:
        docker = FakeDocker()
        connection = Connection(docker, lambda event: None, _nothing, lambda connected: None)
        facts = await connection.open()
        networks = VpcNetworks(OWNER, connection, facts)
        try:
            await play(docker, Pauses("i-1", connection, networks), networks)
        finally:
            await connection.close()

    asyncio.run(run())


async def _nothing() -> None:
    """There is nothing to compare."""


def test_containers_of_a_task_join_one_namespace() -> None:
    async def play(docker: FakeDocker, pauses: Pauses, networks: VpcNetworks) -> None:
        modes = list(await asyncio.gather(pauses.ensure(task()), pauses.ensure(task())))
        [id] = docker.made
        assert [str(mode) for mode in modes] == [f"container:{id}"] * 2
        assert docker.made[id]["Config"]["Labels"] == {
            names.OWNER: OWNER.id,
            names.DATA_DIR: "/data",
            names.INSTANCE: "i-1",
            names.PAUSE: ARN,
        }
        assert pauses.task_of(id) == ARN
        await pauses.release(ARN)
        await pauses.release(ARN)
        assert docker.made == {}
        assert pauses.task_of(id) is None

    story(play)


def test_its_address_is_the_tasks_own(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(docker: FakeDocker, pauses: Pauses, networks: VpcNetworks) -> None:
        bodies: list[dict[str, Any]] = []
        create = docker.create

        def noted(name: str, body: dict[str, Any]) -> str:
            bodies.append(body)
            return create(name, body)

        monkeypatch.setattr(docker, "create", noted)
        shared = {"DnsSearch": ["corp.example"], "Sysctls": {"net.core.somaxconn": "512", "kernel.shm": "1"}}
        await pauses.ensure(task(shared, {"DnsSearch": ["corp.example", "b"]}))
        [body] = bodies
        assert {name: body[name] for name in ("Image", "Hostname", "MacAddress", "HostConfig")} == {
            "Image": "miniecs/pause:1-x86_64",
            "Hostname": "ip-10-64-0-9.ec2.internal",
            "MacAddress": "02:ec:0a:40:00:09",
            "HostConfig": {
                "NetworkMode": NETWORK,
                "DnsSearch": ["corp.example", "b"],
                "Sysctls": {"net.core.somaxconn": "512"},
            },
        }
        endpoint = {NETWORK: {"IPAMConfig": {"IPv4Address": "10.64.0.9"}}}
        assert body["NetworkingConfig"] == {"EndpointsConfig": endpoint}
        spec = task(shared)
        place = Place(OWNER, "i-1", "container:p1")
        made = create_body(spec, spec.containers[0], place, ())
        assert not isinstance(made, Failure)
        config = made["HostConfig"]
        assert (config["NetworkMode"], config["Sysctls"]) == ("container:p1", {"kernel.shm": "1"})
        assert "DnsSearch" not in config

    story(play)


def test_image_and_network_are_made_once_and_the_network_goes_when_nobody_is_in_it() -> None:
    async def play(docker: FakeDocker, pauses: Pauses, networks: VpcNetworks) -> None:
        await pauses.ensure(task())
        await pauses.release(ARN)
        await pauses.ensure(task())
        assert (docker.count("import_image"), docker.count("create_network")) == (1, 1)
        assert docker.named[NETWORK]["Labels"] == {
            names.OWNER: OWNER.id,
            names.DATA_DIR: "/data",
            names.VPC: "vpc-1",
        }
        docker.refuse["remove_network"] = [Refused(403, "has active endpoints")]
        await networks.remove_unused()
        assert NETWORK in docker.named
        await networks.remove_unused()
        assert NETWORK not in docker.named

    story(play)


def test_an_address_that_is_not_free_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("miniecs_agent.docker.pauses._BETWEEN", 0.0)

    async def play(docker: FakeDocker, pauses: Pauses, networks: VpcNetworks) -> None:
        docker.refuse["start"] = [Refused(403, "Address already in use")]
        assert str(await pauses.ensure(task())).startswith("container:")
        [_] = docker.made

    story(play)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "no space left on device"),
        ({"vpc": None}, "the control plane has told no network interface for the task"),
    ],
)
def test_what_cannot_be_set_up_is_the_tasks_reason(fields: dict[str, Any], problem: str) -> None:
    async def play(docker: FakeDocker, pauses: Pauses, networks: VpcNetworks) -> None:
        docker.refuse["create"] = [Refused(500, "no space left on device")]
        failed = await pauses.ensure(task(**fields))
        assert isinstance(failed, Failure)
        assert failed.name == "ResourceInitializationError"
        assert problem in failed.message
        assert docker.made == {}

    story(play)


def test_one_that_was_there_before_is_joined_and_not_made_again() -> None:
    async def play(docker: FakeDocker, pauses: Pauses, networks: VpcNetworks) -> None:
        pauses.adopt(ARN, "p1")
        assert await pauses.ensure(task()) == "container:p1"
        assert docker.made == {}

    story(play)


@pytest.mark.parametrize(("architecture", "machine"), [("x86_64", 62), ("arm64", 183)])
def test_the_program_is_a_small_static_executable(architecture: str, machine: int) -> None:
    program = pause_image.program(architecture)
    assert program[:4] == b"\x7fELF"
    assert int.from_bytes(program[18:20], "little") == machine
    assert len(program) < 160
    assert pause_image.archive(architecture) == pause_image.archive(architecture)


def test_where_there_is_no_program_the_task_says_so() -> None:
    async def play(docker: FakeDocker, pauses: Pauses, networks: VpcNetworks) -> None:
        networks.facts = FACTS._replace(architecture="riscv64")
        failed = await pauses.ensure(task())
        assert isinstance(failed, Failure)
        assert "there is no pause container for riscv64 yet" in failed.message

    story(play)
