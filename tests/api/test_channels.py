"""The agents' websockets of a real server: joining as the ECS agent does, and all that may go wrong."""

from __future__ import annotations

import contextlib
import json
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from .servers import REGISTRATION, Channel, Message, ServerProcess, until

VERSIONS = {"agentVersion": "1.105.1", "agentHash": "a8b3e7d3", "dockerVersion": "DockerVersion: 20.10.24"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("server")).start()
    running.ecs("CreateCluster", {"clusterName": "mini"})
    yield running
    running.close()
    assert "Traceback" not in running.log
    assert "Exception" not in running.log.replace("InactiveInstanceException", "")
    assert "completing handshake" not in running.log


class Agent:
    """One registered container instance, and how its agent connects."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        mine = {**REGISTRATION, "clientToken": str(uuid.uuid4())}
        _, answer = server.ecs("RegisterContainerInstance", mine)
        self.registered = answer["containerInstance"]
        self.arn: str = self.registered["containerInstanceArn"]

    def query(self, **changes: str) -> dict[str, str]:
        asked = {"clusterArn": "mini", "containerInstanceArn": self.arn, "sendCredentials": "true"}
        return asked | {"protocolVersion": "2", "seqNum": "1"} | VERSIONS | changes

    def acs(self, **changes: str) -> Channel:
        return self.server.dial("/acs/ws", self.query(**changes))

    def tcs(self) -> Channel:
        return self.server.dial("/tcs/ws", self.telemetry)

    @property
    def telemetry(self) -> dict[str, str]:
        return {"cluster": "mini", "containerInstance": self.arn, **VERSIONS}

    def described(self) -> Message:
        asked = {"cluster": "mini", "containerInstances": [self.arn]}
        asked["include"] = ["CONTAINER_INSTANCE_HEALTH"]
        _, answer = self.server.ecs("DescribeContainerInstances", asked)
        found: Message = answer["containerInstances"][0]
        return found

    @property
    def connected(self) -> bool:
        return bool(self.described()["agentConnected"])


@pytest.fixture
def agent(server: ServerProcess) -> Agent:
    return Agent(server)


def test_a_client_token_arrives_though_the_published_model_has_none(server: ServerProcess) -> None:
    def registered(token: str) -> str:
        answer = server.ecs("RegisterContainerInstance", {**REGISTRATION, "clientToken": token})[1]
        return str(answer["containerInstance"]["containerInstanceArn"])

    assert registered("one") == registered("one") != registered("two")


def test_an_agent_registers_finds_its_endpoints_and_runs_a_task(server: ServerProcess, agent: Agent) -> None:
    echoed = {each["name"]: each.get("value", "") for each in agent.registered["attributes"]}
    sent = {each["name"]: each.get("value", "") for each in REGISTRATION["attributes"]}
    assert {name: echoed.get(name) for name in sent} == sent
    asked = {"cluster": "mini", "containerInstance": agent.arn, "zoneId": ""}
    here = f"http://127.0.0.1:{server.port}"
    found = {"endpoint": f"{here}/acs", "telemetryEndpoint": f"{here}/tcs"}
    assert server.ecs("DiscoverPollEndpoint", asked) == (200, found)
    assert not agent.connected

    acs = agent.acs()
    assert acs.receive("HeartbeatMessage")["healthy"] is True
    manifest = acs.receive("TaskManifestMessage")
    assert (manifest["containerInstanceArn"], manifest["tasks"]) == (agent.arn, [])
    shown = agent.described()
    assert shown["agentConnected"] is True
    assert shown["versionInfo"] == VERSIONS

    container = {"name": "main", "image": "busybox", "memory": 16, "command": ["true"]}
    server.ecs("RegisterTaskDefinition", {"family": "short", "containerDefinitions": [container]})
    start = {"cluster": "mini", "taskDefinition": "short", "containerInstances": [agent.arn]}
    _, started = server.ecs("StartTask", start)
    task = started["tasks"][0]["taskArn"]
    payload = acs.receive("PayloadMessage")
    assert payload["seqNum"] > manifest["timeline"]
    [told] = payload["tasks"]
    assert (told["arn"], told["desiredStatus"], told["lastStatus"]) == (task, "RUNNING", "PENDING")
    acs.send("AckRequest", cluster="mini", containerInstance=agent.arn, messageId=payload["messageId"])
    report = {"cluster": "mini", "task": task, "status": "RUNNING"}
    report["containers"] = [{"containerName": "main", "status": "RUNNING", "runtimeId": "f00"}]
    assert server.ecs("SubmitTaskStateChange", report) == (200, {"acknowledgment": "ACK"})
    _, now = server.ecs("DescribeTasks", {"cluster": "mini", "tasks": [task]})
    assert now["tasks"][0]["lastStatus"] == "RUNNING"

    acs.close()
    until("the agent to be gone", lambda: not agent.connected)
    again = agent.acs()
    [resent] = again.receive("PayloadMessage")["tasks"]
    assert (resent["arn"], resent["desiredStatus"], resent["lastStatus"]) == (task, "RUNNING", "RUNNING")
    again.close()


def test_reregistration_keeps_what_a_connection_told(agent: Agent) -> None:
    with agent.acs():
        again = REGISTRATION | {"containerInstanceArn": agent.arn}
        _, answer = agent.server.ecs("RegisterContainerInstance", again)
        assert answer["containerInstance"]["containerInstanceArn"] == agent.arn
        assert agent.described()["versionInfo"] == VERSIONS


@pytest.mark.parametrize("cluster", ["mini", "", "arn:aws:ecs:us-east-1:000000000000:cluster/mini"])
def test_a_cluster_is_named_in_any_way(agent: Agent, cluster: str) -> None:
    with agent.acs(clusterArn=cluster):
        assert agent.connected


@pytest.mark.parametrize("path", ["/acs/ws", "/tcs/ws"])
def test_who_is_not_registered_is_told_so_in_agents_words(server: ServerProcess, path: str) -> None:
    inactive = {"InactiveInstanceException": "The container instance is not registered."}
    nobody = "arn:aws:ecs:us-east-1:000000000000:container-instance/mini/" + 32 * "0"
    names = {"containerInstanceArn": nobody, "containerInstance": nobody}
    assert server.refusal(path, names) == (400, inactive)
    assert server.refusal(path) == (400, inactive)


def test_another_cluster_and_an_unreadable_query_are_refused(server: ServerProcess, agent: Agent) -> None:
    wrong = {"InvalidClusterException": f"{agent.arn} is not in the cluster maxi."}
    assert server.refusal("/acs/ws", agent.query(clusterArn="maxi")) == (400, wrong)
    status, body = server.refusal("/acs/ws", {f"p{number}": "" for number in range(60)})
    assert (status, list(body)) == (400, ["BadRequestException"])
    status, body = server.refusal("/acs/ws?containerInstanceArn=%FF")
    assert (status, list(body)) == (400, ["BadRequestException"])


def test_a_deregistered_instances_agent_is_hung_up_and_refused(server: ServerProcess, agent: Agent) -> None:
    acs, tcs = agent.acs(), agent.tcs()
    gone = {"cluster": "mini", "containerInstance": agent.arn, "force": True}
    assert server.ecs("DeregisterContainerInstance", gone)[0] == 200
    assert acs.ended() == (1000, "")
    assert tcs.ended() == (1000, "")
    status, body = server.refusal("/acs/ws", agent.query())
    assert (status, list(body)) == (400, ["InactiveInstanceException"])


JUNK: list[Any] = [
    {},
    {"type": None},
    {"type": ["AckRequest"], "message": {}},
    {"type": "AckRequest"},
    {"type": "AckRequest", "message": []},
    {"type": "AckRequest", "message": {"messageId": {"a": 1}}},
    {"type": "NackRequest", "message": {"messageId": None}},
    {"type": "TaskStopVerificationMessage", "message": {"stopCandidates": 5}},
    {"type": "TaskStopVerificationMessage", "message": {"stopCandidates": [None]}},
    {"type": "TaskStopVerificationMessage", "message": {"stopCandidates": [{"taskArn": []}]}},
    {"type": "miniecs.StreamData", "message": {"stream": {}}},
    {"type": "miniecs.", "message": {}},
    {"type": "PublishMetricsRequest", "message": {"taskMetrics": [1]}},
    {"type": "PublishMetricsRequest", "message": {"taskMetrics": [{"taskArn": "x" * 10000}]}},
    {"type": "PublishHealthRequest", "message": {"tasks": [{"containers": "x"}]}},
    {"type": "PublishInstanceStatusRequest", "message": {"statuses": [{"type": "ContainerRuntime"}]}},
]


def test_messages_that_make_no_sense_end_nothing(agent: Agent) -> None:
    acs, tcs = agent.acs(), agent.tcs()
    for message in JUNK:
        acs.socket.send(json.dumps(message))
        acs.socket.send(json.dumps(message).encode())  # as a binary frame
        tcs.socket.send(json.dumps(message))
    tcs.send("PublishHealthRequest", tasks=[])
    tcs.receive("AckPublishHealth")
    candidate = {"taskArn": "arn:nobody", "taskClusterArn": "c", "desiredStatus": "RUNNING"}
    acs.send("TaskStopVerificationMessage", messageId="m", stopCandidates=[candidate])
    stop = acs.receive("TaskStopVerificationAck")
    assert stop["stopTasks"] == [candidate | {"desiredStatus": "STOPPED"}]
    for channel in (acs, tcs):
        channel.close()


NO_MESSAGES = ["hello", "[1]", "", "5", "{", "[" * 100_000, "Authorization: x\r\n\r\nnothing"]


@pytest.mark.parametrize("frame", NO_MESSAGES)
@pytest.mark.parametrize("channel", ["acs", "tcs"])
def test_what_is_no_message_is_hung_up(agent: Agent, channel: str, frame: str) -> None:
    opened: Channel = getattr(agent, channel)()
    opened.socket.send(frame)
    assert opened.ended() == (1008, "a message is a JSON object")


def test_a_frame_that_is_too_large_is_hung_up(agent: Agent) -> None:
    acs = agent.acs()
    with contextlib.suppress(ConnectionClosed):  # it may be hung up before it is all sent
        acs.socket.send(json.dumps({"type": "x" * (4 * 1024 * 1024)}))
    assert acs.ended()[0] in (1009, None)  # a reset on what was still coming can swallow the reason
    until("the agent to be gone", lambda: not agent.connected)


def test_telemetry_is_taken_with_and_without_the_agents_signature(agent: Agent) -> None:
    tcs = agent.tcs()
    impaired = {"statuses": [{"type": "ContainerRuntime", "status": "IMPAIRED"}]}
    message = json.dumps({"type": "PublishInstanceStatusRequest", "message": impaired})
    signature = ("Authorization: AWS4-HMAC-SHA256 x", "Host: 127.0.0.1", "X-Amz-Date: 20261120T224148Z")
    tcs.socket.send("\r\n".join((*signature, "", message)))
    assert tcs.receive("AckPublishInstanceStatus") == {"message": "ok"}
    assert agent.described()["healthStatus"] == {"overallStatus": "IMPAIRED"}
    tcs.send("PublishMetricsRequest", metadata={"idle": True, "fin": True})
    assert tcs.receive("AckPublishMetric") == {"message": "ok"}
    tcs.close()


def test_an_agent_that_answers_keeps_its_place(server: ServerProcess, agent: Agent) -> None:
    with agent.acs() as first, agent.tcs():
        heartbeat = first.receive("HeartbeatMessage")
        first.receive("TaskManifestMessage")

        def answer() -> None:
            challenge = first.receive("HeartbeatMessage")
            assert challenge["messageId"] != heartbeat["messageId"]
            first.send("HeartbeatAckRequest", messageId=challenge["messageId"])

        for path, query in (("/acs/ws", agent.query()), ("/tcs/ws", agent.telemetry)):
            thread = Thread(target=answer)
            thread.start()
            status, body = server.refusal(path, query)
            thread.join()
            assert (status, list(body)) == (409, ["AccessDeniedException"])
            assert agent.arn in body["AccessDeniedException"]
        refused = f"refused an agent at 127.0.0.1 (/acs/ws): Another agent is connected as {agent.arn}"
        assert refused in server.log
        assert agent.connected


def test_an_old_agent_answers_with_the_manifests_acknowledgement(server: ServerProcess, agent: Agent) -> None:
    """1.48.1 does not know heartbeats' acknowledgements."""
    with agent.acs() as first:
        first.receive("TaskManifestMessage")

        def answer() -> None:
            manifest = first.receive("TaskManifestMessage")
            first.send("AckRequest", containerInstance=agent.arn, messageId=manifest["messageId"])

        thread = Thread(target=answer)
        thread.start()
        assert server.refusal("/acs/ws", agent.query())[0] == 409
        thread.join()


def test_an_agent_that_is_silent_is_replaced(agent: Agent) -> None:
    silent = agent.acs()
    second = agent.acs()
    assert silent.ended() == (1000, "")
    second.receive("TaskManifestMessage")
    assert agent.connected
    second.close()
    until("the agent to be gone", lambda: not agent.connected)


def test_a_line_that_breaks_frees_the_place_at_once(agent: Agent) -> None:
    first = agent.acs()
    first.socket.socket.shutdown(socket.SHUT_RDWR)
    second = agent.acs()
    assert agent.connected
    second.close()


def test_a_server_that_ends_takes_nobody_for_lost(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data").start()
    try:
        server.ecs("CreateCluster", {"clusterName": "mini"})
        agent = Agent(server)
        acs = agent.acs()
        server.stop()
        assert acs.ended()[0] == 1012
        server.start()
        assert agent.connected
        assert "Traceback" not in server.log
    finally:
        server.close()
