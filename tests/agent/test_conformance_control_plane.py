"""The ECS agent's side of the recordings, replayed against our control plane.

The agent is told of tasks that are made through the API as the recorded ones were, its calls and messages are
handed in word for word (but for the ARNs and ids that our control plane gave). What it is answered and what
becomes of the tasks is compared with what the ECS agent needs and meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miniecs.model.scope import Scope
from miniecs.model.task import STATUS_ORDER, Task
from miniecs_api.agent_session import RESEND_AFTER, AgentSession, TelemetrySession
from miniecs_api.agents import AgentSessions
from miniecs_api.wire.errors import AwsError
from miniecs_api.wire.outputs import problems

from ..api.conftest import Aws
from .acs_shapes import faults
from .recordings import INSTANCE, VERSIONS, Said, by, payload_tasks, recording, submissions

Body = dict[str, Any]
CONTAINER_ORDER = ("PENDING", "RUNNING", "STOPPED")

# stopCode and stoppedReason are the control plane's to find: the ECS agent's reports have neither.
ENDS = {
    "short": ("EssentialContainerExited", "Essential container in task exited"),
    "websvc": ("UserInitiated", "Task stopped by user"),
    "orphan": ("UserInitiated", "Task stopped by user"),
    "badimage": ("TaskFailedToStart", "Task failed to start"),
    "badcmd": ("TaskFailedToStart", "Task failed to start"),
    "baddep": ("TaskFailedToStart", "Task failed to start"),
}


class ControlPlane:
    """Ours, with the recorded cluster, and the recorded agent registered in it."""

    def __init__(self, said: list[Said]) -> None:
        self.aws = Aws(scope=Scope("123456789012", "us-west-2"))
        self.sessions = AgentSessions(self.aws.store, self.aws.ids, self.aws.clock)
        self.sessions.start()
        self.ours: dict[str, str] = {}  # ARNs and message ids, by the recorded ones
        self.families: dict[str, str] = {}  # of tasks, by our ARNs
        self.aws.ecs("CreateCluster", clusterName="mini")
        register = next(s.body for s in said if s.name == "RegisterContainerInstance")
        self.registered = self.aws.ecs("RegisterContainerInstance", **register)["containerInstance"]
        self.arn = self.ours[INSTANCE] = self.registered["containerInstanceArn"]

    def start(self, recorded: Body) -> str:
        """Start a task like the recorded one; its ARN."""
        containers = [_definition(container) for container in recorded["containers"]]
        self.aws.ecs(
            "RegisterTaskDefinition",
            family=recorded["family"],
            networkMode=recorded["networkMode"],
            containerDefinitions=containers,
        )
        [task] = self.aws.ecs(
            "StartTask", cluster="mini", taskDefinition=recorded["family"], containerInstances=[self.arn]
        )["tasks"]
        arn = self.ours[recorded["arn"]] = str(task["taskArn"])
        self.families[arn] = recorded["family"]
        return arn

    def task(self, arn: str) -> Body:
        [task] = self.aws.ecs("DescribeTasks", cluster="mini", tasks=[arn])["tasks"]
        return dict(task)

    def translated(self, value: Any) -> Any:
        """With our ARNs and ids in place of the recorded ones."""
        if isinstance(value, dict):
            return {name: self.translated(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.translated(each) for each in value]
        return self.ours.get(value, value) if isinstance(value, str) else value

    def call(self, said: Said) -> Body:
        """An operation of the agent; its answer, which is checked against the API's model."""
        answer = self.aws.ecs(said.name, **self.translated(said.body))
        assert problems("ecs", said.name, answer) == []
        return answer


def _definition(container: Body) -> Body:
    """A container definition from what agents are told of a container."""
    copied = (
        *("name", "image", "cpu", "memory", "essential", "command"),
        *("portMappings", "dependsOn", "startTimeout", "stopTimeout"),
    )
    definition = {name: container[name] for name in copied if container.get(name) is not None}
    definition["environment"] = [{"name": n, "value": v} for n, v in container["environment"].items()]
    config = json.loads(container["dockerConfig"]["config"])
    if "Labels" in config:
        definition["dockerLabels"] = config["Labels"]
    if "Healthcheck" in config:
        check = config["Healthcheck"]
        definition["healthCheck"] = {
            "command": check["Test"],
            "interval": check["Interval"] // 10**9 + 3,  # ECS allows no less than 5 seconds
            "timeout": check["Timeout"] // 10**9,
            "retries": check["Retries"],
        }
    return definition


class Replay:
    """The recorded agent's part against our control plane, checked at every step."""

    def __init__(self, version: str) -> None:
        self.said = recording(version)
        self.plane = ControlPlane(self.said)
        self.told: list[tuple[str, Body]] = []  # by our control plane, since the last look
        self.session: AgentSession | None = None
        self.telemetry: TelemetrySession | None = None

    @property
    def now(self) -> float:
        return self.plane.aws.clock.time

    def run(self) -> None:
        began = self.now
        for said in self.said:
            self.plane.aws.clock.time = began + said.at
            if said.by == "server":
                self._server(said)
            else:
                getattr(self, f"_{said.on}")(said)

    # What the recorded server did, our control plane is brought to do

    def _server(self, said: Said) -> None:
        match said.name:
            case "HeartbeatMessage":
                assert self.session is not None
                self.session.heartbeat(self.now)
                self._answers(said, "HeartbeatMessage")
            case "PayloadMessage":
                [task] = said.body["tasks"]
                if task["desiredStatus"] == "RUNNING":
                    self.plane.start(task)
                else:
                    self._stop(task["arn"])
                payload = self._answers(said, "PayloadMessage")
                assert shown_to_agent(payload["tasks"][0]) == shown_to_agent(self.plane.translated(task))
            case "TaskManifestMessage":  # the recorded one names no task, and one runs
                [left] = [s for s in self.said if s.name == "TaskStopVerificationMessage"]
                self._stop(left.body["stopCandidates"][0]["taskArn"])
                self._answers(said, "PayloadMessage")
            case "TaskStopVerificationAck":
                answer = self._answers(said, "TaskStopVerificationAck")
                assert answer["stopTasks"] == self.plane.translated(said.body["stopTasks"])
            case "AckPublishMetric" | "AckPublishHealth" | "AckPublishInstanceStatus":
                self._answers(None, said.name)
            case "close":
                assert self.session is not None
                self.session.closed(self.now)
                assert not self.plane.sessions.is_connected(self.plane.arn)
            case other:
                assert other == "IAMRoleCredentialsMessage"

    def _stop(self, recorded_arn: str) -> None:
        """StopTask, and what the control loop makes of it: agents are told once the task is STOPPING."""
        aws, arn = self.plane.aws, self.plane.ours[recorded_arn]
        aws.ecs("StopTask", cluster="mini", task=arn, reason="Task stopped by user")
        with aws.store.transaction() as tx:
            task = tx.get(Task, arn)
            assert task is not None
            tx.put(replace(task, last_status="STOPPING"))

    def _answers(self, said: Said | None, name: str) -> Body:
        """The one message that our control plane has sent, of this type and of the right shape."""
        [(type, body)] = self.told
        self.told.clear()
        assert (type, faults(type, body)) == (name, [])
        if said is not None and "messageId" in said.body:
            self.plane.ours[said.body["messageId"]] = body["messageId"]
        return body

    # What the agent did

    def _api(self, said: Said) -> None:
        if said.name == "RegisterContainerInstance":
            self._registered(said)
            return
        answer = self.plane.call(said)
        if said.name == "DiscoverPollEndpoint":
            assert answer == {
                "endpoint": "http://127.0.0.1:4566/acs",
                "telemetryEndpoint": "http://127.0.0.1:4566/tcs",
            }
        elif said.name == "SubmitTaskStateChange":
            assert answer == {"acknowledgment": "ACK"}
            self._submitted(said.body)

    def _registered(self, said: Said) -> None:
        """The agent ends itself when an attribute comes back with another value; absent is '' to it."""
        shown = self.plane.registered
        assert problems("ecs", said.name, {"containerInstance": shown}) == []
        echoed = {a["name"]: a.get("value", "") for a in shown["attributes"]}
        sent = {a["name"]: a.get("value", "") for a in said.body["attributes"]}
        assert echoed == sent | {"ecs.availability-zone": "us-west-2a"}
        again = self.plane.aws.ecs(
            "RegisterContainerInstance", **said.body, containerInstanceArn=self.plane.arn
        )
        assert again["containerInstance"]["containerInstanceArn"] == self.plane.arn
        assert again["containerInstance"]["attributes"] == shown["attributes"]

    def _submitted(self, body: Body) -> None:
        task = self.plane.task(self.plane.ours[body["task"]])
        assert task["lastStatus"] == body["status"]
        shown = {c["name"]: c for c in task["containers"]}
        for report in body.get("containers", ()):
            container = shown[report["containerName"]]
            final = [r for r in body["containers"] if r["containerName"] == report["containerName"]][-1]
            assert container["lastStatus"] == final["status"]
            assert container.get("exitCode") == final.get("exitCode")
            assert container.get("reason") == final.get("reason")
            assert container.get("runtimeId") == final.get("runtimeId")
            assert container.get("networkBindings", []) == final.get("networkBindings", [])
        if body["status"] == "STOPPED":
            refused = ("TaskFailedToStart", body["reason"])
            family = self.plane.families[task["taskArn"]]
            assert (task["stopCode"], task["stoppedReason"]) == ENDS.get(family, refused)

    def _acs(self, said: Said) -> None:
        if said.name == "connect":
            self.session = self.plane.sessions.connect(
                self.now, self.plane.arn, self._take, lambda: pytest.fail("hung up")
            )
            beginning = self.told[:]
            assert [faults(type, body) for type, body in beginning] == [[]] * len(beginning)
            assert [type for type, _ in beginning if type != "PayloadMessage"] == [
                "HeartbeatMessage",
                "TaskManifestMessage",
            ]
            for type, body in beginning:
                self.session_receives("AckRequest", {"messageId": body["messageId"]}, of=type)
            self.told.clear()
            return
        self.session_receives(said.name, self.plane.translated(said.body))
        if said.name == "AckRequest":
            heard = len(self.told)
            self.plane.sessions.tick(self.now + RESEND_AFTER)
            assert "PayloadMessage" not in [type for type, _ in self.told[heard:]]  # no need to send it again
            del self.told[heard:]

    def session_receives(self, name: str, body: Body, of: str = "") -> None:
        assert self.session is not None
        if of != "HeartbeatMessage":
            self.session.receive(self.now, {"type": name, "message": body})

    def _tcs(self, said: Said) -> None:
        if said.name == "connect":
            self.telemetry = self.plane.sessions.telemetry(
                self.now, self.plane.arn, self._take, lambda: pytest.fail("hung up")
            )
            return
        assert self.telemetry is not None
        self.telemetry.receive(self.now, {"type": said.name, "message": self.plane.translated(said.body)})
        if said.name == "PublishHealthRequest":
            for published in said.body["tasks"]:
                assert self.plane.task(self.plane.ours[published["taskArn"]])["healthStatus"] == "HEALTHY"
        if said.name == "PublishInstanceStatusRequest":
            [instance] = self.plane.aws.ecs(
                "DescribeContainerInstances",
                cluster="mini",
                containerInstances=[self.plane.arn],
                include=["CONTAINER_INSTANCE_HEALTH"],
            )["containerInstances"]
            assert instance["healthStatus"]["overallStatus"] == "OK"

    def _take(self, message: Body) -> None:
        self.told.append((message["type"], message["message"]))


def shown_to_agent(task: Body) -> Body:
    """What of a payload's task decides about what an agent does.

    Not the task's own CPU (that of the recorded one is less than its containers', which ECS refuses) nor the
    health check's interval (of 2 seconds, where ECS wants 5).
    """
    shown = {n: task.get(n) for n in ("arn", "family", "version", "desiredStatus", "networkMode")}
    containers = []
    for container in task["containers"]:
        config = json.loads(container["dockerConfig"]["config"])
        check = config.pop("Healthcheck", None)
        host = json.loads(container["dockerConfig"]["hostConfig"])
        decides = (
            *("name", "image", "cpu", "memory", "essential", "command", "environment", "portMappings"),
            *("dependsOn", "startTimeout", "stopTimeout", "healthCheckType", "links"),
        )
        containers.append(
            {n: container.get(n) for n in decides}
            | {"config": config, "check": check and (check["Test"], check["Retries"])}
            | {"network": host["NetworkMode"]}
        )
    return shown | {"containers": containers}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_ecs_agent_finds_in_our_control_plane_what_it_needs(version: str) -> None:
    replay = Replay(version)
    replay.run()
    plane = replay.plane
    assert {plane.families[arn]: plane.task(arn)["lastStatus"] for arn in plane.families} == dict.fromkeys(
        [*ENDS, "badovr"], "STOPPED"
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_registration_that_nobody_answered_is_repeated_and_makes_one_instance(version: str) -> None:
    """The agent is told no cluster, so it makes ``default`` first, too."""
    aws = Aws()
    arns: list[str] = []
    refused: list[tuple[str, Body]] = []
    said = recording(f"{version}-unanswered")
    for call in by("agent", said):
        try:
            if call.name == "DiscoverPollEndpoint":
                call.body["containerInstance"] = arns[-1]
            answer = aws.ecs(call.name, **call.body)
        except AwsError as error:
            refused.append((error.code, {"message": error.message}))
            continue
        if call.name == "RegisterContainerInstance":
            arns.append(answer["containerInstance"]["containerInstanceArn"])
    assert refused == [(told.name, told.body) for told in by("server", said)]
    assert len(arns) == 2
    assert aws.ecs("ListContainerInstances")["containerInstanceArns"] == list(set(arns))


# Reports twice, late, in any order


def _apply(plane: ControlPlane, bodies: Iterable[Body]) -> None:
    """Hand reports in; nothing that was known may be taken back by any of them."""
    for body in bodies:
        before = plane.task(plane.ours[body["task"]])
        answer = plane.aws.ecs("SubmitTaskStateChange", **plane.translated(body))
        assert answer == {"acknowledgment": "ACK"}
        after = plane.task(plane.ours[body["task"]])
        assert STATUS_ORDER[after["lastStatus"]] >= STATUS_ORDER[before["lastStatus"]]
        assert STATUS_ORDER[after["lastStatus"]] >= STATUS_ORDER[body["status"]]
        for old, new in zip(before["containers"], after["containers"], strict=True):
            assert CONTAINER_ORDER.index(new["lastStatus"]) >= CONTAINER_ORDER.index(old["lastStatus"])
            for name in ("exitCode", "reason", "runtimeId"):
                assert name not in old or new[name] == old[name]


def _outcome(plane: ControlPlane, said: list[Said]) -> dict[str, Any]:
    """Of every task: its status, and of the containers in its last report how they ended."""
    last = {body["task"]: body for body in submissions(said)}
    outcome = {}
    for arn, body in last.items():
        task = plane.task(plane.ours[arn])
        names = {report["containerName"] for report in body.get("containers", ())}
        outcome[plane.families[task["taskArn"]]] = (
            task["lastStatus"],
            [
                (c["name"], c.get("exitCode"), c.get("reason"))
                for c in task["containers"]
                if c["name"] in names
            ],
        )
    return outcome


def _with_tasks(said: list[Said]) -> ControlPlane:
    plane = ControlPlane(said)
    plane.sessions.connect(plane.aws.clock.time, plane.arn, lambda message: None, lambda: None)
    for task in payload_tasks(said):
        if task["desiredStatus"] == "RUNNING":
            plane.start(task)
    return plane


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_reports_in_any_order_and_number_never_take_a_status_back(version: str, data: st.DataObject) -> None:
    said = recording(version)
    bodies = submissions(said)
    in_order = _with_tasks(said)
    _apply(in_order, bodies)
    wanted = _outcome(in_order, said)
    shuffled = _with_tasks(said)
    _apply(shuffled, data.draw(st.permutations(bodies * 2)))
    assert _outcome(shuffled, said) == wanted
