"""The agent's process against a control plane on loopback, with simulated engines in Docker's place."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from miniecs import __version__
from miniecs.config import Timing
from miniecs_agent.host_engine import EngineError, InstanceSettings, Owner, PullProgress
from miniecs_agent.shell import host_link, instances, main

from .cases import arn, container, document, payload
from .shell import ACS, FACTS, HOST, TCS, Bed, bed, desired, gone, instance, until

Story = Callable[[Bed], Coroutine[Any, Any, None]]


def told(story: Story) -> None:
    async def play() -> None:
        async with bed() as it:
            await story(it)

    asyncio.run(play())


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between attempts as short as a test can bear."""
    for module in (host_link, instances, main):
        monkeypatch.setattr(module, "_FIRST_DELAY", 0.02)
        monkeypatch.setattr(module, "_LONGEST_DELAY", 0.05)
    monkeypatch.setattr(host_link, "_DUPLICATE_DELAY", 0.05)


async def state(it: Bed, wanted: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
    """The host's last state, when it is as wanted."""

    def last() -> dict[str, Any] | None:
        states = [s for link in it.plane.open(HOST) for s in link.of("miniecs.HostState")]
        return states[-1] if states else None

    await until(lambda: (seen := last()) is not None and wanted(seen), what)
    seen = last()
    assert seen is not None
    return seen


def ids(*numbers: int) -> list[str]:
    return [instance(number)["instanceId"] for number in numbers]


def test_the_file_of_an_agent_that_works_on_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "agent.json"

    async def story(it: Bed) -> None:
        file.write_text('{"pid": 1}')  # the first one's; this one waits for its turn
        async with it.agent(run_file=file):
            await it.plane.socket(HOST)
        assert json.loads(file.read_text()) == {"pid": 1}

    told(story)


def test_it_says_what_it_is_and_plays_what_it_is_told(tmp_path: Path) -> None:
    file = tmp_path / "agent.json"

    async def story(it: Bed) -> None:
        it.plane.desired = desired(instance(1), instance(2, zone="us-east-1b"), timeScale=10.0)
        async with it.agent(run_file=file):
            link = await it.plane.socket(HOST)
            await until(lambda: len(it.plane.open(ACS)) == len(it.plane.open(TCS)) == 2, "both agents")
            assert link.of("miniecs.HostHello") == [
                {
                    "host": "local",
                    "name": "laptop",
                    "pid": os.getpid(),
                    "version": __version__,
                    "local": True,
                    "engine": {**FACTS._asdict(), "networks": [], "kind": "docker"},
                    "found": [],
                    "wants": None,
                }
            ]
            assert it.machine.owners == [Owner(""), Owner("0123456789ab", "/data")]
            assert it.machine.opened == [InstanceSettings(id, Timing().scaled(10.0)) for id in ids(1, 2)]
            [first, second] = it.plane.of("RegisterContainerInstance")
            assert json.loads(first["instanceIdentityDocument"])["privateIp"] == "172.31.0.1"
            assert json.loads(second["instanceIdentityDocument"])["availabilityZone"] == "us-east-1b"
            assert first["versionInfo"]["dockerVersion"] == "DockerVersion: 20.10.24"
            names = {attribute["name"] for attribute in first["attributes"]}
            assert "ecs.capability.container-ordering" in names
            assert "ecs.capability.task-eni" in names
            assert "ecs.capability.efs" not in names
            assert "com.amazonaws.ecs.capability.privileged-container" not in names
            known = await state(it, lambda s: s["instances"] and s["loadBalancers"] is not None, "the state")
            assert known == {
                "instances": ids(1, 2),
                "failed": {},
                "engine": True,
                "loadBalancers": {},
                "generation": 1,
            }
            assert json.loads(file.read_text()) == {
                "pid": os.getpid(),
                "name": "laptop",
                "engine": {**FACTS._asdict(), "networks": []},
            }
        assert (it.exit_code, file.exists()) == (0, False)
        await until(lambda: not it.plane.open(ACS), "the agents to hang up")

    told(story)


def test_a_host_elsewhere_is_its_engine_and_says_what_it_wants() -> None:
    async def story(it: Bed) -> None:
        wants = {"instances": 2, "instance_type": "m5.large", "zone": "us-east-1c", "cluster": "prod"}
        async with it.agent(local=False, attributes=(("rack", "7"),), **wants):
            link = await it.plane.socket(HOST)
            await until(lambda: link.frames, "the hello")
            [hello] = link.of("miniecs.HostHello")
            assert (hello["host"], hello["local"]) == ("ENGINE:1", False)
            assert hello["wants"] == {
                "count": 2,
                "instanceType": "m5.large",
                "zone": "us-east-1c",
                "cluster": "prod",
                "attributes": {"rack": "7"},
            }

    told(story)


def test_what_is_not_wanted_any_more_is_removed_and_what_is_wanted_stays() -> None:
    async def story(it: Bed) -> None:
        it.plane.desired = desired(instance(1), instance(2))
        async with it.agent():
            link = await it.plane.socket(HOST)
            await until(lambda: len(it.plane.open(ACS)) == 2, "both agents")
            [kept] = [s for s in it.plane.open(ACS) if s.query["containerInstanceArn"].endswith("1")]
            arn = kept.query["containerInstanceArn"]
            await link.say("miniecs.HostInstances", **desired(instance(1, arn=arn), generation=2))
            after = await state(it, lambda s: s["instances"] == ids(1), "the removal")
            assert after == {
                "instances": ids(1),
                "failed": {},
                "engine": True,
                "loadBalancers": {},
                "generation": 2,
            }
            assert list(it.machine.engines) == ids(1)
            await until(lambda: it.plane.open(ACS) == [kept], "the other agent to hang up")

    told(story)


def test_load_balancers_get_addresses_and_lose_them() -> None:
    async def story(it: Bed) -> None:
        it.plane.desired = desired(instance(1), loadBalancers=["one", "two"])
        async with it.agent():
            link = await it.plane.socket(HOST)
            both = await state(it, lambda s: s.get("loadBalancers"), "their addresses")
            assert both["loadBalancers"] == {"one": "172.31.9.1", "two": "172.31.9.2"}
            fewer = desired(instance(1), loadBalancers=["two"], generation=2)
            await link.say("miniecs.HostInstances", **fewer)
            left = await state(it, lambda s: len(s["loadBalancers"]) == 1, "the other one's end")
            assert left["loadBalancers"] == it.machine.balancers == {"two": "172.31.9.1"}

    told(story)


def test_what_an_engine_has_of_instances_that_nobody_wants_is_removed_at_the_start() -> None:
    async def story(it: Bed) -> None:
        it.plane.desired = desired(instance(1))
        async with it.agent():
            await until(lambda: it.plane.open(ACS), "the agent")
        it.plane.desired = desired(instance(2))
        async with it.agent():
            await state(it, lambda s: s["instances"] == ids(2), "the exchange")
            assert list(it.machine.engines) == ids(2)

    told(story)


def test_one_instance_that_fails_stops_no_other_and_is_tried_again() -> None:
    async def story(it: Bed) -> None:
        it.machine.refuses[ids(1)[0]] = "no free subnet"
        it.plane.desired = desired(instance(1), instance(2))
        async with it.agent():
            seen = await state(it, lambda s: s["failed"] and len(it.plane.open(ACS)) == 1, "the failure")
            assert seen["failed"] == {ids(1)[0]: "no free subnet"}
            it.machine.refuses.clear()
            seen = await state(it, lambda s: not s["failed"], "the recovery")
            assert sorted(seen["instances"]) == ids(1, 2)
            await until(lambda: len(it.plane.open(ACS)) == 2, "both agents")

    told(story)


def test_an_instance_that_cannot_be_removed_is_reported_until_it_is() -> None:
    async def story(it: Bed) -> None:
        it.plane.desired = desired(instance(1))
        async with it.agent():
            link = await it.plane.socket(HOST)
            await until(lambda: it.plane.open(ACS), "the agent")
            it.machine.refuses[ids(1)[0]] = "volume is in use"
            await link.say("miniecs.HostInstances", **desired(generation=2))
            seen = await state(it, lambda s: s["failed"], "the failure")
            assert (seen["instances"], seen["failed"]) == (ids(1), {ids(1)[0]: "volume is in use"})
            it.machine.refuses.clear()
            await state(it, lambda s: not s["instances"] and not s["failed"], "the removal")

    told(story)


def test_a_registration_that_is_refused_is_reported_and_tried_again() -> None:
    async def story(it: Bed) -> None:
        refusal = {"__type": "ClientException", "message": "Cluster not found."}
        it.plane.answers["RegisterContainerInstance"] = (400, refusal)
        it.plane.desired = desired(instance(1))
        async with it.agent():
            seen = await state(it, lambda s: s["failed"], "the refusal")
            assert seen["failed"] == {
                ids(1)[0]: "it could not be registered: ClientException: Cluster not found."
            }
            del it.plane.answers["RegisterContainerInstance"]
            await until(lambda: it.plane.open(ACS), "the agent")
            await state(it, lambda s: not s["failed"], "the recovery")
            assert len(it.machine.opened) == 1

    told(story)


def test_tasks_run_on_over_a_restart_of_the_agent_and_none_is_started_twice() -> None:
    async def story(it: Bed) -> None:
        it.plane.desired = desired(instance(1))
        async with it.agent():
            acs = await it.plane.socket(ACS)
            await acs.say_text(json.dumps(payload(document())))
            await acs.say_text(json.dumps(payload(document(), id="m2")))
            await until(lambda: it.plane.statuses(arn()) == ["RUNNING"], "the task")
            assert len(acs.of("AckRequest")) == 2
        [before] = it.machine.containers()
        async with it.agent():
            acs = await it.plane.socket(ACS, 1)
            ran = document(lastStatus="RUNNING")
            await acs.say_text(json.dumps(payload(ran)))
            await until(lambda: acs.of("AckRequest"), "the acknowledgement")
            assert it.machine.engines[ids(1)[0]].crash(arn(), "main", 3)
            await until(lambda: it.plane.statuses(arn())[-1:] == ["STOPPED"], "the end")
            assert it.plane.statuses(arn()) == ["RUNNING", "RUNNING", "STOPPED"]
            [after] = it.machine.containers()
            assert (after.runtime_id, after.exit_code) == (before.runtime_id, 3)

    told(story)


def test_without_a_server_everything_goes_on_and_reports_wait() -> None:
    async def story(it: Bed) -> None:
        it.plane.desired = desired(instance(1))
        async with it.agent():
            acs = await it.plane.socket(ACS)
            await acs.say_text(json.dumps(payload(document())))
            await until(lambda: it.plane.statuses(arn()) == ["RUNNING"], "the task")
            await it.plane.stop()
            await until(lambda: not it.plane.open(ACS), "the cut")
            assert it.machine.engines[ids(1)[0]].crash(arn(), "main", 1)
            await asyncio.sleep(0.3)
            await it.plane.start()
            await until(lambda: it.plane.statuses(arn())[-1] == "STOPPED", "the report")
            await until(lambda: len(it.plane.open(HOST)) == len(it.plane.open(TCS)) == 1, "the links")
            assert len(it.plane.of("RegisterContainerInstance")) == 1
            [link] = it.plane.open(HOST)
            assert link.of("miniecs.HostHello")[0]["found"] == ids(1)

    told(story)


def test_without_an_engine_it_says_so_and_waits_for_one(caplog: pytest.LogCaptureFixture) -> None:
    async def story(it: Bed) -> None:
        it.plane.desired = desired(instance(1))
        with gone(it.machine):
            async with it.agent():
                seen = await state(it, lambda s: not s["engine"], "the state")
                assert seen == {
                    "instances": [],
                    "failed": {},
                    "engine": False,
                    "generation": -1,
                    "problem": "Cannot connect to the Docker daemon at unix:///nowhere",
                }
                assert (await it.plane.socket(HOST)).of("miniecs.HostHello")[0]["engine"] == {}
                it.machine.problem = None
                await until(lambda: it.plane.open(ACS), "the agent")
                [link] = it.plane.open(HOST)
                assert link.of("miniecs.HostHello")[0]["engine"]["version"] == "20.10.24"
                await state(it, lambda s: s["engine"] and s["instances"] == ids(1), "the state")

    with caplog.at_level(logging.INFO, "miniecs.agent"):
        told(story)
    assert [r.message for r in caplog.records if "Docker daemon" in r.message] == [
        "Cannot connect to the Docker daemon at unix:///nowhere. It is tried again until it works"
    ]


def test_a_host_elsewhere_does_not_wait_for_an_engine_that_cannot_be_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(it: Bed) -> None:
        with gone(it.machine, EngineError("Docker 17.03 is too old")):
            assert await it.killed(local=False) == 5
        assert it.plane.sockets == []

    told(story)
    assert "Docker 17.03 is too old" in caplog.text


def test_that_the_engine_goes_and_comes_is_told_on_both_ways() -> None:
    async def story(it: Bed) -> None:
        it.plane.desired = desired(instance(1))
        async with it.agent():
            tcs = await it.plane.socket(TCS)
            await until(lambda: tcs.of("PublishInstanceStatusRequest"), "the first status")
            it.machine.hosts[-1].answers(False)
            await state(it, lambda s: not s["engine"], "the state")
            it.machine.hosts[-1].answers(True)
            await state(it, lambda s: s["engine"], "the state")

            def statuses() -> list[str]:
                return [b["statuses"][0]["status"] for b in tcs.of("PublishInstanceStatusRequest")]

            await until(lambda: statuses() == ["OK", "IMPAIRED", "OK"], "the statuses")

    told(story)


def test_other_settings_of_the_server_begin_everything_anew() -> None:
    async def story(it: Bed) -> None:
        it.plane.desired = desired(instance(1))
        async with it.agent():
            link = await it.plane.socket(HOST)
            await until(lambda: it.plane.open(ACS), "the agent")
            await link.say("miniecs.HostInstances", **desired(instance(1), timeScale=5.0, generation=2))
            await until(lambda: len(it.machine.opened) == 2, "the new beginning")
            assert it.machine.opened[1].timing == Timing().scaled(5.0)
            await until(lambda: len(it.plane.of("RegisterContainerInstance")) == 2, "the new registration")
            await until(lambda: len(it.plane.open(ACS)) == 1, "the new agent")

    told(story)


# Who is not let in


@pytest.mark.parametrize("at", ["handshake", "hello"])
def test_a_host_with_wrong_credentials_gives_up_and_says_what_to_do(
    at: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(it: Bed) -> None:
        if at == "handshake":
            it.plane.refusals[HOST] = (403, {"message": "the signature does not match"})
            assert await it.killed() == 5
            return
        async with asyncio.TaskGroup() as group:
            ended = group.create_task(it.killed())
            link = await it.plane.socket(HOST)
            await link.hang_up(4403, "the signature does not match")
        assert ended.result() == 5

    told(story)
    assert "does not let this host in: the signature does not match. Make a new token" in caplog.text


@pytest.mark.parametrize("at", ["handshake", "hello"])
def test_a_second_agent_of_a_host_waits_and_touches_nothing(
    at: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(it: Bed) -> None:
        if at == "handshake":
            it.plane.refusals[HOST] = (409, {"message": "another agent answers"})
        async with it.agent():
            if at == "hello":
                for number in range(2):
                    link = await it.plane.socket(HOST, number)
                    await link.hang_up(4409, "another agent answers")
            else:
                await until(lambda: "another agent" in caplog.text, "the warning")
                await asyncio.sleep(0.2)
            assert (it.plane.calls, it.machine.opened, it.machine.owners) == ([], [], [Owner("")])
            it.plane.refusals.clear()
            it.plane.desired = desired(instance(1))
            await until(lambda: it.plane.open(ACS), "the agent")

    with caplog.at_level(logging.INFO, "miniecs.agent"):
        told(story)
    assert caplog.text.count("has another agent for this host already (another agent answers)") == 1


def test_nonsense_on_the_host_link_is_ignored() -> None:
    async def story(it: Bed) -> None:
        it.plane.desired = desired(instance(1))
        async with it.agent():
            link = await it.plane.socket(HOST)
            await until(lambda: it.plane.open(ACS), "the agent")
            for text in ("nonsense", "[]", '{"type": "miniecs.HostInstances", "message": {"instances": 7}}'):
                await link.say_text(text)
            await link.say("miniecs.HostPing")
            await until(lambda: link.of("miniecs.HostPong"), "the answer")
            assert list(it.machine.engines) == ids(1)

    told(story)


# Streams and progress


def test_our_own_messages_travel_on_the_instances_acs() -> None:
    async def story(it: Bed) -> None:
        it.plane.desired = desired(instance(1), instance(2))
        async with it.agent():
            await until(lambda: len(it.plane.open(ACS)) == 2, "both agents")
            [acs] = [s for s in it.plane.open(ACS) if s.query["containerInstanceArn"].endswith("2")]
            other = next(s for s in it.plane.open(ACS) if s is not acs)
            await acs.say_text(json.dumps(payload(document(container("web")))))
            await until(lambda: it.plane.statuses(arn()) == ["RUNNING"], "the task")
            logs = {"follow": False, "tail": None, "timestamps": False, "since": 0}
            opening = {"stream": "s1", "kind": "logs", "taskArn": arn(), "container": "web", "logs": logs}
            await acs.say("miniecs.StreamOpen", **opening, window=65536)
            await until(lambda: acs.of("miniecs.StreamEnd"), "the logs")
            [data] = acs.of("miniecs.StreamData")
            assert (data["stream"], data["channel"]) == ("s1", "stdout")
            it.machine.hosts[-1].progress(PullProgress(arn(), "web", "busybox", "Downloading", 1, 2))
            await until(lambda: acs.of("miniecs.PullProgress"), "the progress")
            assert acs.of("miniecs.PullProgress") == [
                {
                    "taskArn": arn(),
                    "container": "web",
                    "image": "busybox",
                    "status": "Downloading",
                    "current": 1,
                    "total": 2,
                }
            ]
            assert not [m for m in other.messages if m["type"].startswith("miniecs.")]

    told(story)


# The process itself

PROGRAM = """
import sys
from miniecs_agent.shell.main import AgentOptions, main
sys.exit(main(AgentOptions("http://127.0.0.1:1", "A" * 20, "s" * 40, local=True, engine=sys.argv[1])))
"""


@pytest.mark.slow
def test_sigterm_ends_it_cleanly_even_while_it_waits_for_an_engine_and_a_server(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, f"unix://{tmp_path}/nobody.sock"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = [process.stderr.readline(), process.stderr.readline()]
        process.send_signal(signal.SIGTERM)
        said.append(process.stderr.read())
        assert process.wait(10) == 0
    assert "Is the docker daemon running?" in said[0]
    assert "http://127.0.0.1:1 does not answer" in said[1]
    assert said[2] == ""
