"""What the agent says and answers, message by message, as amazon-ecs-agent 1.105.1 was recorded to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from miniecs.ids import Ids
from miniecs_agent.core.agent import AgentCore
from miniecs_agent.core.effects import ApiFailure, Channel, Close, Effect, Exit, Open, SendAcs, Submit, WakeAt
from miniecs_agent.core.tasks import AgentSettings
from miniecs_agent.engine import EngineContainer

from .cases import CLUSTER, FACTS, INSTANCE, Bench, ack, arn, container, document, reports, seen, sent

REGISTERED = {"containerInstance": {"containerInstanceArn": INSTANCE}}


def agent(known_arn: str | None = None) -> AgentCore:
    return AgentCore(AgentSettings("mini"), FACTS, Ids(seed=1), known_arn)


def test_it_registers_discovers_and_opens_both_channels() -> None:
    core = agent()
    [register] = core.start(0.0)
    assert isinstance(register, Submit)
    assert register.operation == "RegisterContainerInstance"
    assert json.loads(register.params.pop("instanceIdentityDocument")) == {
        "instanceId": "i-0123456789abcdef0",
        "imageId": "ami-1",
        "instanceType": "t3.medium",
        "availabilityZone": "us-east-1a",
        "privateIp": "172.31.0.16",
        "architecture": "x86_64",
    }
    token = register.params.pop("clientToken")
    assert len(token) == 36
    assert register.params == {
        "cluster": "mini",
        "instanceIdentityDocumentSignature": "",
        "attributes": [
            {"name": "ecs.os-type", "value": "linux"},
            {"name": "ecs.os-family", "value": "LINUX"},
            {"name": "ecs.os-type-detailed", "value": "LINUX"},
            {"name": "ecs.cpu-architecture", "value": "x86_64"},
            {"name": "ecs.capability.task-eni"},
            {"name": "stack", "value": "blue"},
        ],
        "totalResources": [
            {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 4096},
            {
                "name": "PORTS",
                "type": "STRINGSET",
                "stringSetValue": ["22", "2375", "2376", "51678", "51679"],
            },
            {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
        ],
        "versionInfo": {"agentVersion": "1.105.1", "agentHash": "miniecs", "dockerVersion": ""},
    }
    assert core.answered(1.0, "register", REGISTERED) == [
        Submit(
            "discover",
            "DiscoverPollEndpoint",
            {"cluster": "mini", "containerInstance": INSTANCE, "zoneId": ""},
        )
    ]
    assert core.arn == INSTANCE
    assert core.answered(1.0, "discover", {}) == [Open(Channel.ACS), Open(Channel.TCS)]


def test_registering_again_names_the_instance_and_sends_no_custom_attributes() -> None:
    [register] = agent(known_arn=INSTANCE).start(0.0)
    assert isinstance(register, Submit)
    assert register.params["containerInstanceArn"] == INSTANCE
    assert "stack" not in {attribute["name"] for attribute in register.params["attributes"]}


def test_registration_is_tried_again_while_nobody_answers() -> None:
    core, now = agent(), 0.0
    [register] = core.start(now)
    waited = []
    for _ in range(8):
        [wake] = core.answered(now, "register", ApiFailure("", "connection refused"))
        assert isinstance(wake, WakeAt)
        waited.append(wake.at - now)
        now = wake.at
        assert core.tick(now) == [register]
    assert waited == [3, 6, 12, 24, 48, 96, 192, 192]


@pytest.mark.parametrize("code", ["ClientException", "InvalidParameterException", "ClusterNotFoundException"])
def test_a_refused_registration_is_final(code: str) -> None:
    core = agent()
    core.start(0.0)
    assert core.answered(0.0, "register", ApiFailure(code, "no")) == [Exit(5, f"{code}: no")]


def test_heartbeats_are_answered() -> None:
    assert Bench().message("HeartbeatMessage", healthy=True, messageId="h1") == [
        SendAcs({"type": "HeartbeatAckRequest", "message": {"messageId": "h1"}})
    ]


def test_a_payload_is_acknowledged_with_its_own_names_after_each_set_of_credentials() -> None:
    credentials = {"credentialsId": "c1", "expiration": "2026-11-21T04:41:51Z", "roleArn": "arn"}
    effects = Bench().take(document(roleCredentials=credentials), id="m7")
    assert sent(effects) == [
        (
            "IAMRoleCredentialsAckRequest",
            {"messageId": "m7", "expiration": "2026-11-21T04:41:51Z", "credentialsId": "c1"},
        ),
        ("AckRequest", {"cluster": CLUSTER, "containerInstance": INSTANCE, "messageId": "m7"}),
    ]


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (document(container(overrides="not json")), "Could not unmarshal ContainerOverrides"),
        (document(container(overrides="[]")), "Could not unmarshal ContainerOverrides"),
        (document(container(overrides='{"cpu": 5}')), "unrecognized overrides ['cpu']"),
        (document(overrides="{"), "Could not unmarshal ContainerOverrides"),
        (document({"image": "busybox"}), "task.containers[0] has no name"),
    ],
)
def test_a_task_that_is_not_understood_is_reported_and_its_payload_not_acknowledged(
    broken: dict[str, Any], problem: str
) -> None:
    bench = Bench()
    effects = bench.take(broken, document(name="good"))
    assert [kind for kind, _ in sent(effects)] == []
    [report] = [e for e in effects if isinstance(e, Submit)]
    assert report.params["status"] == "STOPPED"
    assert report.params["reason"].startswith(f"UnrecogniedTaskError: Error loading task - {problem}")
    assert bench.core.tasks.get(arn("good")) is not None


def test_the_report_of_a_task_that_is_not_understood_is_repeated_until_it_is_answered() -> None:
    bench = Bench()
    [report] = [e for e in bench.take(document(overrides="{")) if isinstance(e, Submit)]
    bench.core.answered(bench.now, report.key, ApiFailure("", "no answer"))
    bench.at(3)
    assert bench.tick() == [report]
    bench.core.answered(bench.now, report.key, {"acknowledgment": "ACK"})
    bench.at(1000)
    assert report not in bench.tick()


def test_dependencies_in_a_circle_end_the_task_but_are_acknowledged() -> None:
    circle = document(
        container("a", dependsOn=[{"containerName": "b", "condition": "START"}]),
        container("b", links=["a"]),
    )
    effects = Bench().take(circle)
    assert effects[-1] == ack()
    [report] = [e for e in effects if isinstance(e, Submit)]
    assert report.params["reason"] == (
        f"TaskDependencyError: Task dependencies cannot be resolved, taskArn: {arn()}"
    )


def manifest(bench: Bench, timeline: int, *tasks: str) -> list[Effect]:
    return bench.message(
        "TaskManifestMessage",
        clusterArn=CLUSTER,
        containerInstanceArn=INSTANCE,
        messageId="m9",
        timeline=timeline,
        tasks=[{"taskArn": task, "taskClusterArn": CLUSTER, "desiredStatus": "RUNNING"} for task in tasks],
    )


def test_a_manifest_names_back_what_should_not_run() -> None:
    bench = Bench(found=[EngineContainer(arn("found"), "main", "id", "running")])
    bench.take(document(name="listed"), document(name="stray"), seq=5)
    candidates = [
        {"taskArn": arn(name), "taskClusterArn": CLUSTER, "desiredStatus": "STOPPED"}
        for name in ("stray", "found")
    ]
    assert manifest(bench, 6, arn("listed")) == [
        ack("m9"),
        SendAcs(
            {
                "type": "TaskStopVerificationMessage",
                "message": {"messageId": "m9", "stopCandidates": candidates},
            }
        ),
    ]


@pytest.mark.parametrize("timeline", [4, 5])
def test_an_old_manifest_means_nothing(timeline: int) -> None:
    bench = Bench()
    bench.take(document(), seq=5)
    assert manifest(bench, timeline) == []


def test_a_manifest_that_agrees_is_only_acknowledged() -> None:
    bench = Bench()
    bench.take(document(), seq=5)
    assert manifest(bench, 6, arn()) == [ack("m9")]
    assert manifest(bench, 6, arn()) == []


def test_network_interfaces_are_confirmed() -> None:
    bench = Bench()
    effects = bench.message(
        "AttachTaskNetworkInterfacesMessage",
        clusterArn=CLUSTER,
        containerInstanceArn=INSTANCE,
        messageId="m3",
        taskArn=arn(),
        waitTimeoutMs=1000,
        elasticNetworkInterfaces=[{"attachmentArn": "attachment/1", "macAddress": "02:00:00:00:00:01"}],
    )
    assert effects[0] == ack("m3")
    [confirmation] = [e for e in effects if isinstance(e, Submit)]
    assert (confirmation.operation, confirmation.params) == (
        "SubmitTaskStateChange",
        {
            "cluster": "mini",
            "task": arn(),
            "attachments": [{"attachmentArn": "attachment/1", "status": "ATTACHED"}],
        },
    )


def test_updates_are_refused_and_what_is_unknown_is_ignored() -> None:
    bench = Bench()
    reply = {"cluster": CLUSTER, "containerInstance": INSTANCE, "messageId": "m4"}
    update = {"clusterArn": CLUSTER, "containerInstanceArn": INSTANCE, "messageId": "m4"}
    assert sent(bench.message("StageUpdateMessage", **update)) == [
        ("NackRequest", {**reply, "reason": "Updates are disabled"})
    ]
    assert sent(bench.message("ConfirmAttachmentMessage", **update)) == [("AckRequest", reply)]
    assert bench.message("CloseMessage", message="bye") == []
    assert bench.message("SomethingNew", messageId="m5") == []


def test_health_is_published_when_it_changes_and_whole_when_the_channel_opens() -> None:
    bench = Bench()
    bench.take(document(container(healthCheckType="docker"), container("plain", essential=False)))
    bench.run()
    bench.at(7)
    [(kind, message)] = sent(bench.health("HEALTHY"))
    assert kind == "PublishHealthRequest"
    message_id = message["metadata"].pop("messageId")
    assert len(message_id) == 36
    published = {
        "metadata": {"cluster": "mini", "containerInstance": INSTANCE, "fin": True},
        "tasks": [
            {
                "taskArn": arn(),
                "clusterArn": CLUSTER,
                "taskDefinitionFamily": "web",
                "taskDefinitionVersion": "3",
                "containers": [
                    {"containerName": "main", "healthStatus": "HEALTHY", "statusSince": 1007.0}
                ],
            }
        ],
        "timestamp": 1007.0,
    }
    assert message == published
    assert bench.health("HEALTHY") == []
    bench.core.closed(bench.now, Channel.TCS)
    assert sent(bench.health("UNHEALTHY")) == []  # nobody listens; it is told at the next opening
    [(_, message)] = sent(seen(bench.core.opened(bench.now, Channel.TCS)))
    assert [c["healthStatus"] for t in message["tasks"] for c in t["containers"]] == ["UNHEALTHY"]


def test_health_of_many_tasks_goes_out_ten_a_message() -> None:
    bench = Bench()
    for n in range(23):
        bench.take(document(container(healthCheckType="docker"), name=f"t{n}"), seq=n + 2)
        bench.run(task=f"t{n}")
    bench.core.closed(bench.now, Channel.TCS)
    messages = [body for _, body in sent(seen(bench.core.opened(bench.now, Channel.TCS)))]
    parts = [(len(m["tasks"]), m["metadata"]["fin"]) for m in messages]
    assert parts == [(10, False), (10, False), (3, True)]


# Channels


def test_a_closed_channel_is_dialled_again_at_once_and_a_refused_one_later_and_later() -> None:
    bench = Bench()
    bench.at(5)
    assert seen(bench.core.closed(bench.now, Channel.ACS)) == [Open(Channel.ACS)]
    waited = []
    for _ in range(18):
        effects = bench.core.refused(bench.now, Channel.ACS)
        [wake] = [e.at for e in effects if isinstance(e, WakeAt)] or [bench.core._links[Channel.ACS].retry_at]
        waited.append(wake - bench.now)
        bench.now = wake
        assert Open(Channel.ACS) in bench.core.tick(bench.now)
        bench.core.handle_telemetry(bench.now, {"type": "HeartbeatMessage"})
    assert [round(w, 3) for w in waited[:4]] == [0.25, 0.375, 0.562, 0.844]
    assert round(waited[-1], 6) == 120.0


def test_an_inactive_instance_waits_an_hour_and_drops_its_telemetry() -> None:
    bench = Bench()
    bench.core.closed(bench.now, Channel.ACS)
    assert seen(bench.core.refused(bench.now, Channel.ACS, inactive=True)) == [Close(Channel.TCS)]
    bench.at(3599)
    assert bench.tick() == []
    bench.at(3600)
    assert bench.tick() == [Open(Channel.ACS), Open(Channel.TCS)]


def test_nothing_waits_any_longer_when_the_control_plane_is_known_to_be_back() -> None:
    bench = Bench()
    bench.take(document())
    bench.run()
    [refused] = [e for e in bench.take(document(overrides="{", name="bad"), seq=3) if isinstance(e, Submit)]
    bench.answered(ApiFailure("", "no answer"))
    bench.core.answered(bench.now, refused.key, ApiFailure("", "no answer"))
    bench.at(5)
    bench.core.closed(bench.now, Channel.ACS)
    bench.core.refused(bench.now, Channel.ACS)
    effects = seen(bench.core.reachable(bench.now))
    assert [e.key if isinstance(e, Submit) else e for e in effects] == [
        refused.key,
        arn(),
        Open(Channel.ACS),
    ]
    assert seen(bench.core.reachable(bench.now)) == []


def test_a_silent_channel_is_hung_up_and_dialled_again() -> None:
    bench = Bench()
    bench.at(200)
    bench.core.handle_telemetry(bench.now, {"type": "HeartbeatMessage", "message": {"healthy": True}})
    assert bench.tick() == [Close(Channel.ACS), Open(Channel.ACS)]


def test_an_agent_asks_to_be_woken_only_when_it_is_earlier_than_before() -> None:
    core = agent()
    core.start(0.0)
    core.answered(0.0, "register", REGISTERED)
    core.answered(0.0, "discover", {})
    wakes = [e.at for e in core.opened(0.0, Channel.ACS) if isinstance(e, WakeAt)]
    assert len(wakes) == 1
    assert 60 <= wakes[0] <= 120
    heard = core.handle(10.0, {"type": "HeartbeatMessage", "message": {"messageId": "h"}})
    assert [e for e in heard if isinstance(e, WakeAt)] == []
    assert core.tick(wakes[0])[-1] == WakeAt(wakes[0] + 10.0)


def test_answers_to_nothing_that_is_known_are_ignored() -> None:
    bench = Bench()
    assert bench.answered({"acknowledgment": "ACK"}, "gone") == []
    assert reports(bench.exited(0, task="gone")) == []
    assert bench.message("TaskStopVerificationAck", stopTasks=[{"taskArn": arn("gone")}]) == []
