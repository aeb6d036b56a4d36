"""The control plane's side of the agents' channels: who is told what, when, and again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miniecs.model.instance import Attribute, ContainerInstance
from miniecs.model.task import NetworkInterface, Task
from miniecs_agent.core.capabilities import CAPABILITIES
from miniecs_api.agent_session import AgentSession, TelemetrySession
from miniecs_api.agents import AgentSessions
from miniecs_api.metrics import TaskUsage

from .conftest import Aws

Sent = list[tuple[str, dict[str, Any]]]


class Agent:
    """The other end: everything that was sent, and whether the line was hung up."""

    def __init__(self, aws: Aws, sessions: AgentSessions, arn: str) -> None:
        self.aws = aws
        self.arn = arn
        self.inbox: Sent = []
        self.hung_up = 0
        self.channel = sessions.connect(aws.clock.time, arn, self._take, self._closed)

    def _take(self, message: dict[str, Any]) -> None:
        self.inbox.append((message["type"], message["message"]))

    def _closed(self) -> None:
        self.hung_up += 1

    @property
    def session(self) -> AgentSession:
        assert self.channel is not None
        return self.channel

    def heard(self) -> Sent:
        """What was sent since the last call."""
        inbox, self.inbox = self.inbox, []
        return inbox

    def told(self) -> list[tuple[str, str]]:
        """(task, desired status) of the payloads since the last call."""
        return [
            (task["arn"], task["desiredStatus"])
            for kind, body in self.heard()
            if kind == "PayloadMessage"
            for task in body["tasks"]
        ]

    def says(self, kind: str, **body: Any) -> None:
        self.session.receive(self.aws.clock.time, {"type": kind, "message": body})


@pytest.fixture
def sessions(aws: Aws) -> AgentSessions:
    aws.ecs("CreateCluster", clusterName="default")
    made = AgentSessions(aws.store, aws.ids, aws.clock)
    made.start()
    return made


@pytest.fixture
def agent(aws: Aws, sessions: AgentSessions) -> Agent:
    return Agent(aws, sessions, aws.register_instance())


def put(aws: Aws, *things: Any) -> None:
    with aws.store.transaction() as tx:
        for thing in things:
            tx.put(thing)


def task_on(aws: Aws, agent: Agent, **fields: Any) -> Task:
    definition = aws.register_task_definition()
    [shown] = aws.ecs("StartTask", taskDefinition=definition, containerInstances=[agent.arn])["tasks"]
    task = aws.store.get(Task, shown["taskArn"])
    assert task is not None
    if fields:
        task = replace(task, **fields)
        put(aws, task)
    return task


def instance(aws: Aws, arn: str) -> ContainerInstance:
    found = aws.store.get(ContainerInstance, arn)
    assert found is not None
    return found


def test_connecting_marks_the_instance_and_says_what_should_run(aws: Aws, sessions: AgentSessions) -> None:
    arn = aws.register_instance()
    put(aws, replace(instance(aws, arn), agent_connected=False))
    agent = Agent(aws, sessions, arn)
    assert instance(aws, arn).agent_connected
    assert sessions.is_connected(arn)
    [(first, heartbeat), (second, manifest)] = agent.heard()
    assert (first, heartbeat["healthy"], len(heartbeat["messageId"])) == ("HeartbeatMessage", True, 36)
    del manifest["messageId"]
    assert (second, manifest) == (
        "TaskManifestMessage",
        {
            "clusterArn": "arn:aws:ecs:us-east-1:000000000000:cluster/default",
            "containerInstanceArn": arn,
            "generatedAt": 1_700_000_000_000,
            "timeline": 1_700_000_000_000,
            "tasks": [],
        },
    )


@pytest.mark.parametrize("status", ["INACTIVE", None])
def test_an_instance_that_is_not_registered_is_refused(
    aws: Aws, sessions: AgentSessions, status: str | None
) -> None:
    arn = aws.register_instance()
    if status is None:
        arn = arn[:-1] + ("0" if arn[-1] != "0" else "1")
    else:
        put(aws, replace(instance(aws, arn), status=status))
    assert Agent(aws, sessions, arn).channel is None
    assert sessions.telemetry(0.0, arn, lambda message: None, lambda: None) is None


def test_a_placed_task_is_sent_at_once_and_once(aws: Aws, agent: Agent) -> None:
    agent.heard()
    task = task_on(aws, agent)
    [(kind, body)] = agent.heard()
    assert kind == "PayloadMessage"
    assert [(t["arn"], t["desiredStatus"]) for t in body["tasks"]] == [(task.arn, "RUNNING")]
    assert body["seqNum"] == body["timeline"] > 1_700_000_000_000
    assert body["containerInstanceArn"] == agent.arn
    put(aws, replace(task, connectivity="CONNECTED"))
    put(aws, replace(task, last_status="ACTIVATING"))
    put(aws, replace(task, last_status="RUNNING"))
    assert agent.heard() == []


def test_tasks_of_one_commit_are_one_message_up_to_a_limit(aws: Aws, agent: Agent) -> None:
    task = task_on(aws, agent)
    agent.heard()
    put(aws, *(replace(task, arn=f"{task.arn[:-4]}{n:04}") for n in range(120)))
    assert [len(body["tasks"]) for _, body in agent.heard()] == [50, 50, 20]


def test_a_task_is_told_to_stop_when_it_is_stopping_and_not_while_its_targets_drain(
    aws: Aws, agent: Agent
) -> None:
    task = task_on(aws, agent)
    agent.heard()
    put(aws, replace(task, desired_status="STOPPED"))
    put(aws, replace(task, desired_status="STOPPED", last_status="DEACTIVATING"))
    assert agent.told() == []
    put(aws, replace(task, desired_status="STOPPED", last_status="STOPPING"))
    assert agent.told() == [(task.arn, "STOPPED")]


def test_what_is_not_acknowledged_is_sent_again_as_it_then_is(
    aws: Aws, sessions: AgentSessions, agent: Agent
) -> None:
    stays, stops, ends, acknowledged = (task_on(aws, agent) for _ in range(4))
    last = agent.heard()[-1][1]
    agent.says("AckRequest", messageId=last["messageId"])
    put(aws, replace(stops, desired_status="STOPPED", last_status="STOPPING"))
    agent.heard()
    put(aws, replace(ends, desired_status="STOPPED", last_status="STOPPED"))
    aws.clock.time += 19.9
    sessions.tick(aws.clock.time)
    assert agent.told() == []
    aws.clock.time += 0.2
    sessions.tick(aws.clock.time)
    assert agent.told() == [(stays.arn, "RUNNING"), (stops.arn, "STOPPED")]
    sessions.tick(aws.clock.time)
    assert agent.told() == []
    aws.clock.time += 21
    sessions.tick(aws.clock.time)
    assert agent.told() == [(stays.arn, "RUNNING"), (stops.arn, "STOPPED")]


def test_a_new_connection_replaces_the_old_one_and_hears_everything_again(
    aws: Aws, sessions: AgentSessions, agent: Agent
) -> None:
    states = {
        "PENDING": "RUNNING",
        "ACTIVATING": "RUNNING",
        "RUNNING": "RUNNING",
        "DEACTIVATING": "RUNNING",
        "STOPPING": "STOPPED",
        "STOPPED": None,
    }
    tasks = {}
    for status in states:
        wanted = "RUNNING" if status in ("PENDING", "ACTIVATING", "RUNNING") else "STOPPED"
        tasks[status] = task_on(aws, agent, last_status=status, desired_status=wanted).arn
    again = Agent(aws, sessions, agent.arn)
    assert agent.hung_up == 1
    heard = again.heard()
    expected = {(tasks[status], told) for status, told in states.items() if told}
    assert {(t["arn"], t["desiredStatus"]) for t in heard[1][1]["tasks"]} == expected
    assert {(t["taskArn"], t["desiredStatus"]) for t in heard[2][1]["tasks"]} == expected
    assert heard[2][1]["timeline"] > heard[1][1]["seqNum"]
    agent.session.closed(aws.clock.time)  # the old one's end changes nothing
    assert instance(aws, agent.arn).agent_connected
    again.session.closed(aws.clock.time)
    assert not instance(aws, agent.arn).agent_connected


def test_only_what_must_not_run_is_verified_to_stop(aws: Aws, sessions: AgentSessions, agent: Agent) -> None:
    other = Agent(aws, sessions, aws.register_instance())
    runs = task_on(aws, agent, last_status="RUNNING")
    stopping = task_on(aws, agent, last_status="STOPPING", desired_status="STOPPED")
    stopped = task_on(aws, agent, last_status="STOPPED", desired_status="STOPPED")
    elsewhere = task_on(aws, other)
    unknown = runs.arn[:-4] + "beef"
    agent.heard()
    candidates = [
        {"taskArn": arn, "taskClusterArn": runs.cluster_arn, "desiredStatus": "STOPPED"}
        for arn in (runs.arn, stopping.arn, stopped.arn, elsewhere.arn, unknown)
    ]
    agent.says("TaskStopVerificationMessage", messageId="m1", stopCandidates=candidates)
    assert agent.heard() == [
        (
            "TaskStopVerificationAck",
            {"messageId": "m1", "generatedAt": 1_700_000_000_000, "stopTasks": candidates[1:]},
        )
    ]
    agent.says("TaskStopVerificationMessage", messageId="m2", stopCandidates=candidates[:1])
    assert agent.heard() == []


def test_heartbeats_and_the_end_of_a_line_that_nobody_answers(
    aws: Aws, sessions: AgentSessions, agent: Agent
) -> None:
    agent.heard()
    began = aws.clock.time
    beats = []
    while aws.clock.time < began + 300:
        aws.clock.time = sessions.tick(aws.clock.time)
        beats += [aws.clock.time - began for kind, _ in agent.heard() if kind == "HeartbeatMessage"]
    assert len(beats) == 9
    assert agent.hung_up == 0  # agent 1.48.1 answers no heartbeat: its silence proves nothing
    agent.says("HeartbeatAckRequest", messageId="h")
    aws.clock.time += 75
    sessions.tick(aws.clock.time)
    assert agent.hung_up == 0
    aws.clock.time += 1
    sessions.tick(aws.clock.time)
    assert agent.hung_up == 1
    assert not instance(aws, agent.arn).agent_connected


def test_a_deregistered_instance_is_hung_up_on(aws: Aws, sessions: AgentSessions, agent: Agent) -> None:
    lines: list[str] = []
    sessions.telemetry(0.0, agent.arn, lambda message: None, lambda: lines.append("closed"))
    aws.ecs("DeregisterContainerInstance", containerInstance=agent.arn, force=True)
    assert (agent.hung_up, lines) == (1, ["closed"])
    assert not sessions.is_connected(agent.arn)


def test_agents_have_a_minute_to_come_back_to_a_restarted_control_plane(aws: Aws, agent: Agent) -> None:
    absent = aws.register_instance()
    restarted = AgentSessions(aws.store, aws.ids, aws.clock)
    restarted.start()
    Agent(aws, restarted, agent.arn)
    aws.clock.time += 60
    restarted.tick(aws.clock.time)
    assert instance(aws, absent).agent_connected
    aws.clock.time += 1
    restarted.tick(aws.clock.time)
    assert not instance(aws, absent).agent_connected
    assert instance(aws, agent.arn).agent_connected


def test_a_stopped_control_plane_hangs_up_and_follows_nothing(
    aws: Aws, sessions: AgentSessions, agent: Agent
) -> None:
    sessions.stop()
    agent.heard()
    task_on(aws, agent)
    assert agent.heard() == []
    assert agent.hung_up == 1
    assert instance(aws, agent.arn).agent_connected  # it is this process that went away


def test_what_is_not_understood_is_ignored(agent: Agent) -> None:
    agent.heard()
    agent.says("NackRequest", messageId="unknown", reason="Updates are disabled")
    agent.says("SomethingNew")
    agent.session.receive(0.0, {"type": "AckRequest", "message": "text"})
    agent.session.receive(0.0, {})
    assert agent.heard() == []


# Telemetry


class Telemetry:
    def __init__(self, aws: Aws, sessions: AgentSessions, arn: str) -> None:
        self.aws = aws
        self.inbox: list[str] = []
        channel = sessions.telemetry(
            aws.clock.time, arn, lambda message: self.inbox.append(message["type"]), lambda: None
        )
        assert channel is not None
        self.channel: TelemetrySession = channel

    def says(self, kind: str, **body: Any) -> list[str]:
        self.inbox.clear()
        self.channel.receive(self.aws.clock.time, {"type": kind, "message": body})
        return self.inbox


def published(task_arn: str, status: str, name: str = "app") -> list[dict[str, Any]]:
    return [{"taskArn": task_arn, "containers": [{"containerName": name, "healthStatus": status}]}]


def test_health_is_written_to_the_instances_own_tasks(
    aws: Aws, sessions: AgentSessions, agent: Agent
) -> None:
    able = tuple(Attribute(name) for name in CAPABILITIES)
    put(aws, replace(instance(aws, agent.arn), attributes=able))
    definition = aws.register_task_definition(healthCheck={"command": ["CMD", "true"]})
    [shown] = aws.ecs("StartTask", taskDefinition=definition, containerInstances=[agent.arn])["tasks"]
    arn = shown["taskArn"]
    stranger = Telemetry(aws, sessions, aws.register_instance())
    telemetry = Telemetry(aws, sessions, agent.arn)

    def health() -> tuple[str, str]:
        task = aws.store.get(Task, arn)
        assert task is not None
        return task.health_status, task.containers[0].health_status

    assert stranger.says("PublishHealthRequest", tasks=published(arn, "HEALTHY")) == ["AckPublishHealth"]
    assert health() == ("UNKNOWN", "UNKNOWN")
    assert telemetry.says("PublishHealthRequest", tasks=published(arn, "HEALTHY")) == ["AckPublishHealth"]
    assert health() == ("HEALTHY", "HEALTHY")
    seq = aws.store.seq
    telemetry.says("PublishHealthRequest", tasks=published(arn, "HEALTHY"))
    telemetry.says("PublishHealthRequest", tasks=published(arn, "SPLENDID"))
    telemetry.says("PublishHealthRequest", tasks=published("arn:nothing", "HEALTHY"))
    assert aws.store.seq == seq


def metric(arn: str, *containers: tuple[float, float, int]) -> dict[str, Any]:
    """A TaskMetric; of each container percent of the instance, MiB and restarts, each read twice."""
    return {
        "taskArn": arn,
        "containerMetrics": [
            {
                "containerName": "app",
                "cpuStatsSet": {"min": 0.0, "max": 2 * cpu, "sampleCount": 2, "sum": 2 * cpu},
                "memoryStatsSet": {"min": memory, "max": memory, "sampleCount": 2, "sum": 2 * memory},
                "restartStatsSet": {"restartCount": restarts},
            }
            for cpu, memory, restarts in containers
        ],
    }


def test_the_last_metrics_of_a_task_are_kept_until_it_stops(
    aws: Aws, sessions: AgentSessions, agent: Agent
) -> None:
    task = task_on(aws, agent)
    telemetry = Telemetry(aws, sessions, agent.arn)
    stranger = Telemetry(aws, sessions, aws.register_instance())
    idle = telemetry.says("PublishMetricsRequest", metadata={"idle": True, "fin": True}, taskMetrics=None)
    assert idle == ["AckPublishMetric"]
    assert sessions.metrics.of(task.arn) is None
    telemetry.says("PublishMetricsRequest", taskMetrics=[metric(task.arn, (25.0, 10.5, 1), (5.0, 2.0, 0))])
    assert sessions.metrics.of(task.arn) == TaskUsage(614.4, 12.5, 1, aws.clock.time)  # 30 % of 2048 units
    assert stranger.says("PublishMetricsRequest", taskMetrics=[metric(task.arn, (99.0, 1.0, 0))]) == [
        "AckPublishMetric"
    ]
    telemetry.says("PublishMetricsRequest", taskMetrics=[metric("arn:nothing", (1.0, 1.0, 0))])
    assert sessions.metrics.of(task.arn) == TaskUsage(614.4, 12.5, 1, aws.clock.time)
    assert sessions.metrics.of("arn:nothing") is None
    aws.ecs("SubmitTaskStateChange", task=task.arn, status="STOPPED")
    assert sessions.metrics.of(task.arn) is None


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("PublishMetricsRequest", {"taskMetrics": 5}),
        ("PublishMetricsRequest", {"taskMetrics": [{"containerMetrics": [{"cpuStatsSet": []}]}]}),
        ("PublishHealthRequest", {"tasks": {"a": 1}}),
        ("PublishHealthRequest", {"tasks": [{"taskArn": ["x"]}]}),
        ("PublishInstanceStatusRequest", {"statuses": ["ContainerRuntime"]}),
        ("PublishInstanceStatusRequest", {"statuses": [{"type": "ContainerRuntime", "status": "SPLENDID"}]}),
    ],
)
def test_telemetry_that_is_none_is_acknowledged_and_changes_nothing(
    aws: Aws, sessions: AgentSessions, agent: Agent, kind: str, body: dict[str, Any]
) -> None:
    telemetry = Telemetry(aws, sessions, agent.arn)
    seq = aws.store.seq
    assert len(telemetry.says(kind, **body)) == 1
    assert aws.store.seq == seq


def test_the_container_runtimes_status_is_the_instances_health(
    aws: Aws, sessions: AgentSessions, agent: Agent
) -> None:
    telemetry = Telemetry(aws, sessions, agent.arn)
    statuses = [{"type": "ContainerRuntime", "status": "IMPAIRED"}]
    answer = telemetry.says("PublishInstanceStatusRequest", statuses=statuses)
    assert answer == ["AckPublishInstanceStatus"]
    assert instance(aws, agent.arn).health_status == "IMPAIRED"
    telemetry.says("PublishInstanceStatusRequest", statuses=[{"type": "Other", "status": "OK"}])
    assert instance(aws, agent.arn).health_status == "IMPAIRED"


def test_telemetry_has_heartbeats_of_its_own(aws: Aws, sessions: AgentSessions, agent: Agent) -> None:
    telemetry = Telemetry(aws, sessions, agent.arn)
    aws.clock.time += 30
    sessions.tick(aws.clock.time)
    assert telemetry.inbox == ["HeartbeatMessage"]
    telemetry.channel.closed(aws.clock.time)
    aws.clock.time += 30
    sessions.tick(aws.clock.time)
    assert telemetry.inbox == ["HeartbeatMessage"]


def test_an_agent_confirms_an_interface_before_it_hears_of_the_task(aws: Aws, agent: Agent) -> None:
    interface = NetworkInterface(
        "eni-1",
        "att-1",
        "subnet-1",
        "02:ec:0a:40:00:09",
        "10.64.0.9",
        status="ATTACHING",
        cidr="10.64.0.0/21",
        vpc_id="vpc-1",
        vpc_cidr="10.64.0.0/16",
    )
    agent.heard()
    task = task_on(aws, agent, last_status="PROVISIONING", network_interface=interface)
    agent.heard()
    put(aws, replace(task, last_status="PENDING"))
    (first, attach), (second, payload) = agent.heard()
    assert (first, second) == ("AttachTaskNetworkInterfacesMessage", "PayloadMessage")
    assert attach["elasticNetworkInterfaces"] == payload["tasks"][0]["elasticNetworkInterfaces"]
    assert (attach["taskArn"], attach["taskClusterArn"]) == (task.arn, task.cluster_arn)
    confirmed = attach["elasticNetworkInterfaces"][0]["attachmentArn"]
    aws.ecs(
        "SubmitTaskStateChange",
        task=task.arn,
        attachments=[{"attachmentArn": confirmed, "status": "ATTACHED"}],
    )
    [shown] = aws.ecs("DescribeTasks", tasks=[task.arn])["tasks"]
    assert shown["attachments"][0]["status"] == "ATTACHED"
    again = Agent(aws, agent.session._owner, agent.arn)
    assert [kind for kind, _ in again.heard()] == [
        "HeartbeatMessage",
        "PayloadMessage",
        "TaskManifestMessage",
    ]
