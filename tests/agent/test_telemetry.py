"""Readings of counters in, messages of TCS out: as amazon-ecs-agent 1.105.1 was recorded to send them."""

from __future__ import annotations

from typing import Any

from miniecs_agent.core.effects import Channel, Effect, ReadUsage, SendTcs, WakeAt
from miniecs_agent.core.spec import read_task
from miniecs_agent.core.state import ContainerState, Known, TaskState
from miniecs_agent.core.telemetry import Meter, publish_metrics
from miniecs_agent.host_engine import Usage

from .cases import CLUSTER, INSTANCE, Bench, arn, container, document, seen

MIB = 1024 * 1024


def running(name: str = "t1", **fields: Any) -> TaskState:
    spec = read_task(document(container(**fields), name=name))
    return TaskState(spec, tuple(ContainerState(each, known=Known.RUNNING) for each in spec.containers))


def once(value: float) -> dict[str, Any]:
    return {"min": value, "max": value, "sampleCount": 1, "sum": value}


def counter(value: int) -> dict[str, Any]:
    return {**once(value), "overflowMin": 0, "overflowMax": 0, "overflowSum": 0}


def test_usage_is_the_difference_of_two_readings_and_cpu_a_share_of_the_whole_instance() -> None:
    meter, task = Meter(cpus=2.0), running()
    first = {(arn(), "main"): Usage(1_000_000_000, 7 * MIB, 100, 50, 4096, 0)}
    assert meter.measure(100.0, [task], first) == []
    # 20 s later: 10 s of one core, which is a quarter of two cores' 40 s.
    second = {(arn(), "main"): Usage(11_000_000_000, 9 * MIB + 5, 2100, 90, 4096, 512)}
    assert meter.measure(120.0, [task], second) == [
        {
            "taskArn": arn(),
            "clusterArn": CLUSTER,
            "taskDefinitionFamily": "web",
            "taskDefinitionVersion": "3",
            "containerMetrics": [
                {
                    "containerName": "main",
                    "cpuStatsSet": once(25.0),
                    "memoryStatsSet": once(9),
                    "networkStatsSet": {
                        "rxBytes": counter(2100),
                        "rxBytesPerSecond": once(100.0),
                        "txBytes": counter(90),
                        "txBytesPerSecond": once(2.0),
                    },
                    "storageStatsSet": {"readSizeBytes": counter(4096), "writeSizeBytes": counter(512)},
                }
            ],
        }
    ]


def test_a_container_that_was_started_anew_is_measured_from_its_next_reading_on() -> None:
    meter, task = Meter(cpus=1.0), running()
    reading = {(arn(), "main"): Usage(5_000_000_000, 0, 0, 0, 0, 0)}
    meter.measure(0.0, [task], reading)
    younger = {(arn(), "main"): Usage(1_000_000_000, 0, 0, 0, 0, 0)}
    assert meter.measure(20.0, [task], younger) == []
    later = {(arn(), "main"): Usage(3_000_000_000, 0, 0, 0, 0, 0)}
    [metric] = meter.measure(40.0, [task], later)
    assert metric["containerMetrics"][0]["cpuStatsSet"] == once(10.0)


def test_what_does_not_run_or_was_not_read_is_not_measured() -> None:
    meter, task, stopped = Meter(cpus=1.0), running(), running("t2")
    stopped.containers[0].known = Known.STOPPED
    readings = {(arn(name), "main"): Usage(0, 0, 0, 0, 0, 0) for name in ("t1", "t2", "t3")}
    meter.measure(0.0, [task, stopped], readings)
    assert [m["taskArn"] for m in meter.measure(20.0, [task, stopped], readings)] == [arn("t1")]
    assert meter.measure(40.0, [task, stopped], {}) == []


def test_restarts_are_told_of_containers_with_a_restart_policy() -> None:
    meter, task = Meter(cpus=1.0), running(restartPolicy={"enabled": True})
    task.containers[0].restarts = 3
    reading = {(arn(), "main"): Usage(0, 0, 0, 0, 0, 0)}
    meter.measure(0.0, [task], reading)
    [metric] = meter.measure(20.0, [task], reading)
    assert metric["containerMetrics"][0]["restartStatsSet"] == {"restartCount": 3}


def test_ten_tasks_a_message_and_the_last_one_says_so() -> None:
    ids = iter("abc")
    metrics = [{"taskArn": arn(str(number))} for number in range(21)]
    messages = publish_metrics(metrics, "mini", INSTANCE, lambda: next(ids), 5.0)
    assert [message["type"] for message in messages] == ["PublishMetricsRequest"] * 3
    bodies = [message["message"] for message in messages]
    assert [(b["metadata"]["messageId"], b["metadata"]["fin"], b["metadata"]["idle"]) for b in bodies] == [
        ("a", False, False),
        ("b", False, False),
        ("c", True, False),
    ]
    assert [metric for body in bodies for metric in body["taskMetrics"]] == metrics


def test_without_tasks_the_one_message_says_idle() -> None:
    assert publish_metrics([], "mini", INSTANCE, lambda: "m1", 5.0) == [
        {
            "type": "PublishMetricsRequest",
            "message": {
                "metadata": {
                    "cluster": "mini",
                    "containerInstance": INSTANCE,
                    "messageId": "m1",
                    "idle": True,
                    "fin": True,
                },
                "timestamp": 5.0,
            },
        }
    ]


# What the core makes of it


def told(effects: list[Effect]) -> list[tuple[str, Any]]:
    """Types of messages with the member that tells most."""
    found: list[tuple[str, Any]] = []
    for effect in effects:
        if isinstance(effect, ReadUsage):
            found.append(("ReadUsage", None))
        elif isinstance(effect, SendTcs):
            body = effect.message["message"]
            match kind := effect.message["type"]:
                case "PublishMetricsRequest":
                    found.append((kind, [task["taskArn"] for task in body.get("taskMetrics", ())]))
                case "PublishInstanceStatusRequest":
                    [status] = body["statuses"]
                    found.append((kind, (status["type"], status["status"], status["lastStatusChange"])))
                case _:
                    found.append((kind, [task["taskArn"] for task in body["tasks"]]))
    return found


HEALTHY = ("PublishInstanceStatusRequest", ("ContainerRuntime", "OK", 1000.0))


def test_it_publishes_when_tcs_opens_and_every_twenty_seconds() -> None:
    bench = Bench(publish_every=20.0)
    bench.take(document(container(healthCheckType="docker")))
    bench.run()
    bench.at(5)
    bench.core.closed(bench.now, Channel.TCS)
    opened = bench.core.opened(bench.now, Channel.TCS)
    assert told(opened) == [("PublishHealthRequest", [arn()]), ("PublishMetricsRequest", []), HEALTHY]
    assert [effect.at for effect in opened if isinstance(effect, WakeAt)] == []  # an earlier one is set
    bench.at(24.9)
    assert told(bench.core.tick(bench.now)) == []
    for seconds in (25, 45, 65):
        bench.at(seconds)
        assert told(bench.tick()) == [("PublishHealthRequest", [arn()]), HEALTHY, ("ReadUsage", None)]
        reading = {(arn(), "main"): Usage(0, 0, 0, 0, 0, 0)}
        metrics = [] if seconds == 25 else [arn()]
        assert told(bench.core.usage_read(bench.now, reading)) == [("PublishMetricsRequest", metrics)]


def test_it_publishes_nothing_while_tcs_is_closed() -> None:
    bench = Bench(publish_every=20.0)
    bench.at(5)
    bench.core.closed(bench.now, Channel.TCS)
    bench.at(21)
    assert told(bench.tick()) == []
    assert told(bench.core.usage_read(bench.now, {})) == []
    assert told(bench.core.engine_answers(bench.now, False)) == []


def test_that_the_engine_goes_and_comes_back_is_told_at_once_and_once() -> None:
    bench = Bench(publish_every=20.0)
    bench.at(3)
    [message] = seen(bench.core.engine_answers(bench.now, False))
    assert isinstance(message, SendTcs)
    body = message.message["message"]
    assert body["metadata"].pop("requestId")
    assert body == {
        "metadata": {"cluster": "mini", "containerInstance": INSTANCE},
        "statuses": [
            {
                "type": "ContainerRuntime",
                "status": "IMPAIRED",
                "statusReason": "The container engine does not answer",
                "lastUpdated": 1003.0,
                "lastStatusChange": 1003.0,
            }
        ],
        "timestamp": 1003.0,
    }
    assert bench.core.engine_answers(bench.now, False) == []
    bench.at(9)
    assert told(bench.core.engine_answers(bench.now, True)) == [
        ("PublishInstanceStatusRequest", ("ContainerRuntime", "OK", 1009.0))
    ]


def test_an_agent_without_metrics_publishes_health_alone() -> None:
    bench = Bench()
    bench.take(document(container(healthCheckType="docker")))
    bench.run()
    bench.at(5)
    bench.core.closed(bench.now, Channel.TCS)
    assert told(bench.core.opened(bench.now, Channel.TCS)) == [("PublishHealthRequest", [arn()])]
    bench.at(100)
    assert ("ReadUsage", None) not in told(bench.tick())
