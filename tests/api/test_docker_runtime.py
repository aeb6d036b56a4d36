"""The runtime of real containers with an agent that does not do as it should; the rest is with host links."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from miniecs.config import InstanceSpec
from miniecs.model.emulated import LOCAL
from miniecs.serve import docker
from miniecs.serve.docker import DockerRuntime
from miniecs_api.hosts import STATE, HostHello, HostLink, HostLinks, HostSettings, HostState
from miniecs_api.machines import Machines
from miniecs_api.pages import InstanceFailed

from .conftest import Aws


class Site:
    """A runtime over a memory store, within a running loop."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        aws.ecs("CreateCluster", clusterName="default")
        self.machines = Machines(aws.store, aws.ids, aws.scope, lambda number: "us-east-1a")
        settings = HostSettings(aws.scope, "0123456789ab", "/data", 1.0, False, "default", "t3.medium")
        self.links = HostLinks(aws.store, self.machines, settings)
        self.runtime = DockerRuntime(aws.store, self.machines, self.links)
        self.runtime.start()
        self.sets: list[list[Any]] = []
        self.link: HostLink = self.links.connect(0.0, HostHello(host=LOCAL), self._told, lambda: None)

    def _told(self, message: dict[str, Any]) -> None:
        self.sets.append(message["message"]["instances"])


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "CONNECTED_WITHIN", 0.05)
    monkeypatch.setattr(docker, "REMOVED_WITHIN", 0.05)


@pytest.mark.usefixtures("short")
def test_an_instance_that_never_connects_is_taken_back(aws: Aws) -> None:
    async def work() -> None:
        site = Site(aws)
        late = r"could not be added: its agent did not connect within 0\.05 s\. See agent\.log\.$"
        with pytest.raises(InstanceFailed, match=late):
            await site.runtime.add(InstanceSpec())
        assert [len(told) for told in site.sets] == [0, 1, 0]
        site.runtime.stop()

    asyncio.run(work())


def test_a_link_that_ends_meanwhile_ends_the_waiting(aws: Aws) -> None:
    async def work() -> None:
        site = Site(aws)
        adding = asyncio.create_task(site.runtime.add(InstanceSpec()))
        await asyncio.sleep(0)
        assert len(site.sets) == 2
        site.link.closed()
        with pytest.raises(InstanceFailed, match=re.escape("could not be added: its host's agent is gone.")):
            await adding
        assert site.machines.of(LOCAL) == []
        site.runtime.stop()

    asyncio.run(work())


@pytest.mark.usefixtures("short")
def test_removing_and_resetting_do_not_wait_for_ever(aws: Aws, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        site = Site(aws)
        [machine] = site.machines.launch(LOCAL, [InstanceSpec()])
        resources = [{"name": "CPU", "integerValue": 2048}, {"name": "MEMORY", "integerValue": 4096}]
        identity = f'{{"instanceId": "{machine.instance_id}"}}'
        arn = aws.ecs(
            "RegisterContainerInstance", instanceIdentityDocument=identity, totalResources=resources
        )["containerInstance"]["containerInstanceArn"]
        aws.ecs("DeregisterContainerInstance", containerInstance=arn)
        deregistered = f"The container instance {machine.instance_id} is deregistered, and its engine has"
        told = HostState(instances=(machine.instance_id,), generation=99).model_dump()
        for more, hindrance in (
            ({}, ""),
            ({"failed": {machine.instance_id: "the volume is in use"}}, ": the volume is in use"),
            ({"engine": False}, ": the engine does not answer"),
        ):
            site.link.receive({"type": STATE, "message": {**told, **more}})
            with pytest.raises(InstanceFailed) as raised:
                await site.runtime.remove(arn)
            assert str(raised.value) == (
                f"{deregistered} not removed what ran on it yet{hindrance}. Its agent goes on trying."
            )
        aws.store.wipe()
        await site.runtime.reset()
        site.runtime.stop()
        assert [record.getMessage() for record in caplog.records] == [
            "not everything that ran is removed yet; the agents go on removing it",
        ]

    asyncio.run(work())


def test_nothing_waits_for_an_agent_that_is_away(aws: Aws) -> None:
    """It finds out when it is back: the set that it is told then is the whole truth."""

    async def work() -> None:
        site = Site(aws)
        [machine] = site.machines.launch(LOCAL, [InstanceSpec()])
        site.link.closed()
        async with asyncio.timeout(30.0):
            aws.store.wipe()
            await site.runtime.reset()
        told: list[dict[str, Any]] = []
        hello = HostHello(host=LOCAL, found=(machine.instance_id,))
        site.links.connect(0.0, hello, told.append, lambda: None)
        assert [message["message"]["instances"] for message in told] == [[]]
        site.runtime.stop()

    asyncio.run(work())
