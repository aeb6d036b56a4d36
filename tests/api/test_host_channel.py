"""Host links of a real server: hellos, refusals, duplicates; instances added, removed and reset over one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from .servers import Channel, Message, ServerProcess, until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("server")).start()
    running.ecs("CreateCluster", {"clusterName": "default"})
    yield running
    running.close()
    assert "Traceback" not in running.log


def link(server: ServerProcess, host: str = "local", **hello: Any) -> Channel:
    channel = server.dial("/host/ws")
    channel.send("miniecs.HostHello", host=host, name=host, pid=1, version="1", **hello)
    return channel


def told(channel: Channel) -> list[str]:
    """Instance ids of the next set."""
    return [each["instanceId"] for each in channel.receive("miniecs.HostInstances")["instances"]]


class Player:
    """Plays a host on a thread: registers every new machine, opens its ACS, says what has become of it."""

    def __init__(self, server: ServerProcess, fails: str | None = None, connects: bool = True) -> None:
        self.server = server
        self.fails = fails
        self.connects = connects
        self.channels: dict[str, Channel] = {}
        self.sets: list[list[str]] = []
        self.link = link(server)
        self.thread = Thread(target=self._play)
        self.thread.start()
        until("the first set", lambda: self.sets)

    def _play(self) -> None:
        with contextlib.suppress(ConnectionClosed):  # the test may end while it converges
            for text in self.link.socket:
                message = json.loads(text)
                if message["type"] == "miniecs.HostInstances":
                    self._converge(message["message"])

    def _converge(self, wanted: Message) -> None:
        ids = [each["instanceId"] for each in wanted["instances"]]
        self.sets.append(ids)
        for each in wanted["instances"]:
            if each["instanceId"] not in self.channels and self.fails is None and self.connects:
                self.channels[each["instanceId"]] = self._join(each)
        failed = dict.fromkeys(ids, self.fails) if self.fails is not None else {}
        self.link.send(
            "miniecs.HostState",
            instances=[] if failed else ids,
            failed=failed,
            engine=True,
            generation=wanted["generation"],
        )

    def _join(self, machine: Message) -> Channel:
        identity = {"instanceId": machine["instanceId"], "availabilityZone": machine["zone"]}
        identity["instanceType"] = machine["instanceType"]
        resources = [("CPU", machine["cpu"]), ("MEMORY", machine["memory"])]
        params = {
            "cluster": machine["cluster"],
            "instanceIdentityDocument": json.dumps(identity),
            "totalResources": [{"name": n, "type": "INTEGER", "integerValue": v} for n, v in resources],
        }
        _, answer = self.server.ecs("RegisterContainerInstance", params)
        arn = answer["containerInstance"]["containerInstanceArn"]
        return self.server.dial("/acs/ws", {"clusterArn": "default", "containerInstanceArn": arn})

    def close(self) -> None:
        self.link.close()
        self.thread.join(10.0)
        for channel in self.channels.values():
            channel.close()

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def test_add_returns_when_the_agent_is_connected_and_rm_when_all_is_gone(server: ServerProcess) -> None:
    with Player(server) as player:
        status, added = server.page("instances", "POST", {"type": "t2.small", "zone": "c"})
        assert status == 201
        shown = {name: added[name] for name in ("type", "zone", "agentConnected", "cluster")}
        expected = {"type": "t2.small", "zone": "us-east-1c", "agentConnected": True, "cluster": "default"}
        assert shown == expected
        assert player.sets == [[], [added["ec2InstanceId"]]]

        def host() -> Any:
            [shown] = server.page("hosts")[1]["hosts"]
            return shown

        # That the engine's agent says so comes a moment later.
        until("the machine to be up", lambda: host()["instances"][0]["up"])
        shown = {name: host()[name] for name in ("id", "connected", "engineConnected")}
        assert shown == {"id": "local", "connected": True, "engineConnected": True}
        [machine] = host()["instances"]
        assert (machine["arn"], machine["agentConnected"]) == (added["arn"], True)
        status, removed = server.page(f"instances?name={added['id']}", "DELETE")
        assert (status, removed) == (200, {"arn": added["arn"], "removed": True})
        assert player.sets[-1] == []
        assert server.page("hosts")[1]["hosts"][0]["instances"] == []


def test_instance_add_says_that_no_agent_is_there(server: ServerProcess) -> None:
    until("the link to end", lambda: not server.page("hosts")[1]["hosts"])
    status, answer = server.page("instances", "POST", {})
    assert status == 503
    assert answer["message"].startswith("No agent is connected that could make a container instance.")


def test_a_machine_that_cannot_be_played_is_forgotten_and_its_agents_words_are_passed_on(
    server: ServerProcess,
) -> None:
    with Player(server, fails="no subnet is free") as player:
        status, answer = server.page("instances", "POST", {})
        [id] = player.sets[1]
        assert status == 503
        assert answer == {"message": f"The container instance {id} could not be added: no subnet is free"}
        until("the set without it", lambda: len(player.sets) == 3)
        assert player.sets[2] == []


def test_an_unknown_cluster_or_type_is_no_machine(server: ServerProcess) -> None:
    with Player(server) as player:
        assert server.page("instances", "POST", {"cluster": "no"}) == (400, {"message": "Cluster not found."})
        status, answer = server.page("instances", "POST", {"type": "t9.huge"})
        assert (status, answer["message"][:21]) == (400, "'t9.huge' is not a kn")
        assert player.sets == [[]]


def test_an_engine_that_does_not_answer_gets_no_machines(server: ServerProcess) -> None:
    with link(server) as channel:
        assert told(channel) == []
        channel.send("miniecs.HostState", engine=False)
        until("the state", lambda: server.page("hosts")[1]["hosts"][0]["engineConnected"] is False)
        status, answer = server.page("instances", "POST", {})
        assert (status, answer["message"][:43]) == (503, "The container engine does not answer. `mini")


def test_an_agent_that_answers_keeps_its_host(server: ServerProcess) -> None:
    with link(server) as first:
        told(first)

        def answer() -> None:
            first.receive("miniecs.HostPing")
            first.send("miniecs.HostPong")

        thread = Thread(target=answer)
        thread.start()
        with link(server) as second:
            assert second.ended() == (4409, "another agent serves this engine, and it answers")
        thread.join()
        assert server.page("hosts")[1]["hosts"][0]["connected"]
    assert "is turned away: another agent serves this engine, and it answers" in server.log


def test_a_silent_agent_loses_its_host(server: ServerProcess) -> None:
    with link(server) as first:
        told(first)
        with link(server) as second:
            assert told(second) == []
            assert first.ended() == (1000, "")


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[]",
        "{}",
        '{"type": "miniecs.HostState", "message": {}}',
        '{"type": "miniecs.HostHello"}',
        '{"type": "miniecs.HostHello", "message": {"host": ""}}',
        '{"type": "miniecs.HostHello", "message": {"host": "A", "wants": {"count": 0}}}',
    ],
)
def test_who_does_not_say_hello_is_hung_up(server: ServerProcess, text: str) -> None:
    with server.dial("/host/ws") as channel:
        channel.socket.send(text)
        assert channel.ended()[0] == 1008


def test_wishes_that_cannot_be_are_refused_in_words(server: ServerProcess) -> None:
    with link(server, "ENGINE", wants={"cluster": "nowhere"}) as channel:
        assert channel.ended() == (4403, "Cluster not found.")


def test_reset_waits_until_nothing_runs_and_restores_what_up_made(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", instances=2, instance_type="t2.micro").start()
    try:
        with Player(server) as player:
            [first] = player.sets
            assert len(first) == 2
            until("both agents", lambda: len(player.channels) == 2)
            assert server.page("reset", "POST") == (200, {"status": "reset", "restored": False})
            assert player.sets[1] == []
            assert server.page("instances") == (200, {"instances": []})
            assert server.page("reset?restore=true", "POST")[0] == 200
            until("the new set", lambda: len(player.sets[-1]) == 2)
            assert not set(player.sets[-1]) & set(first)
            zones = [each["zone"] for each in server.page("hosts")[1]["hosts"][0]["instances"]]
            assert zones == ["us-east-1a", "us-east-1b"]
        server.stop()
        server.start()
        with link(server) as again:
            assert told(again) == player.sets[-1]
        assert "Traceback" not in server.log
    finally:
        server.close()


def test_no_engine_joins_a_simulated_cluster(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", runtime="simulated").start()
    try:
        said = {"message": "This miniecs runs simulated containers only; no engine can join it."}
        assert server.refusal("/host/ws") == (403, said)
    finally:
        server.close()
