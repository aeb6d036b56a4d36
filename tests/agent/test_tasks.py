"""A task's life on a host, as the recordings of amazon-ecs-agent 1.105.1 show it."""

from __future__ import annotations

from typing import Any

import pytest

from miniecs.config import Timing
from miniecs.model.task import NetworkBinding
from miniecs_agent.core.effects import ApiFailure, Channel, Submit
from miniecs_agent.core.spec import read_task
from miniecs_agent.core.state import Action
from miniecs_agent.engine import EngineCall, EngineContainer

from .cases import CLUSTER, Bench, ack, arn, calls, container, document, reports, seen, sent

ACKNOWLEDGED: dict[str, Any] = {"acknowledgment": "ACK"}
NO_ANSWER = ApiFailure("", "connection refused")


def test_a_short_task_runs_exits_and_is_removed_once_its_end_was_answered() -> None:
    bench = Bench(cleanup_after=0.0)
    spec = read_task(document())
    assert bench.take(document()) == [EngineCall(Action.PULL, spec, spec.containers[0]), ack()]
    bench.at(1)
    assert bench.pulled() == [EngineCall(Action.CREATE, spec, spec.containers[0])]
    assert bench.created() == [EngineCall(Action.START, spec, spec.containers[0], "id-main")]
    assert bench.started() == [
        Submit(
            arn(),
            "SubmitTaskStateChange",
            {
                "cluster": "mini",
                "task": arn(),
                "status": "RUNNING",
                "reason": "",
                "containers": [{"containerName": "main", "status": "RUNNING", "runtimeId": "id-main"}],
                "pullStartedAt": 1000.0,
                "pullStoppedAt": 1001.0,
            },
        )
    ]
    assert bench.answered(ACKNOWLEDGED) == []
    bench.at(3)
    assert reports(bench.exited(3)) == [
        {
            "status": "STOPPED",
            "containers": [
                {"containerName": "main", "status": "STOPPED", "runtimeId": "id-main", "exitCode": 3}
            ],
            "pullStartedAt": 1000.0,
            "pullStoppedAt": 1001.0,
            "executionStoppedAt": 1003.0,
        }
    ]
    assert bench.answered(ACKNOWLEDGED) == [
        EngineCall(Action.REMOVE, spec, spec.containers[0], "id-main")
    ]
    assert bench.removed() == []
    assert list(bench.core.tasks) == []


def test_stopped_containers_are_kept_for_three_hours_after_their_end_was_answered() -> None:
    bench = Bench()
    bench.take(document())
    bench.run()
    bench.answered(ACKNOWLEDGED)
    bench.exited(0)
    assert bench.answered(ACKNOWLEDGED) == []
    bench.at(3 * 3600 - 1)
    assert calls(bench.tick()) == []
    bench.at(3 * 3600)
    assert calls(bench.tick()) == ["remove main"]


def test_an_unanswered_end_keeps_its_container_and_is_reported_until_it_is_answered() -> None:
    bench = Bench(cleanup_after=0.0)
    bench.take(document())
    bench.run()
    bench.answered(ACKNOWLEDGED)
    [first] = reports(bench.exited(0))
    waited = []
    for _ in range(8):
        assert bench.answered(NO_ANSWER) == []
        wake = bench.core.tasks.wake_at
        assert wake is not None
        waited.append(wake - bench.now)
        bench.now = wake
        assert reports(bench.tick()) == [first]
    assert waited == [1, 2, 4, 8, 16, 30, 30, 30]
    assert calls(bench.answered(ACKNOWLEDGED)) == ["remove main"]


def test_reports_that_waited_for_the_control_plane_go_out_when_the_agent_is_connected_again() -> None:
    bench = Bench()
    bench.take(document())
    [report] = reports(bench.run())
    bench.answered(NO_ANSWER)
    bench.core.closed(bench.now, Channel.ACS)
    assert reports(seen(bench.core.opened(bench.now, Channel.ACS))) == [report]


def test_an_end_that_happens_while_a_report_is_unanswered_follows_it() -> None:
    bench = Bench()
    bench.take(document())
    bench.run()
    assert bench.exited(137, reason="OutOfMemoryError: Container killed due to memory usage") == []
    [end] = reports(bench.answered(ACKNOWLEDGED))
    assert (end["status"], end["containers"]) == (
        "STOPPED",
        [
            {
                "containerName": "main",
                "status": "STOPPED",
                "runtimeId": "id-main",
                "exitCode": 137,
                "reason": "OutOfMemoryError: Container killed due to memory usage",
            }
        ],
    )


def test_a_report_that_failed_is_sent_together_with_what_happened_meanwhile() -> None:
    bench = Bench()
    bench.take(document())
    bench.run()
    bench.exited(1)
    bench.answered(NO_ANSWER)
    bench.at(1)
    [both] = reports(bench.tick())
    assert both["status"] == "STOPPED"
    assert [c["status"] for c in both["containers"]] == ["RUNNING", "STOPPED"]


def test_an_unknown_task_drops_its_report_for_good() -> None:
    bench = Bench(cleanup_after=0.0)
    bench.take(document())
    bench.run()
    refused = ApiFailure("InvalidParameterException", "The referenced task was not found.")
    assert bench.answered(refused) == []
    bench.at(3600)
    assert reports(bench.tick()) == []


def test_published_ports_are_reported() -> None:
    bench = Bench()
    bench.take(document())
    bench.pulled()
    bench.created()
    [report] = reports(
        bench.started(
            "main",
            "t1",
            NetworkBinding("172.31.0.16", "tcp", 8080, 32768),
            NetworkBinding("172.31.0.16", "udp", None, None, "9100-9102", "32769-32771"),
        )
    )
    assert report["containers"][0]["networkBindings"] == [
        {"bindIP": "172.31.0.16", "containerPort": 8080, "hostPort": 32768, "protocol": "tcp"},
        {
            "bindIP": "172.31.0.16",
            "containerPortRange": "9100-9102",
            "hostPortRange": "32769-32771",
            "protocol": "udp",
        },
    ]


def test_a_task_is_running_when_all_its_containers_are_and_finished_ones_count() -> None:
    """The recording's websvc: init runs and ends, then web, then side; one report holds all of it."""
    bench = Bench()
    assert calls(
        bench.take(
            document(
                container("web", dependsOn=[{"containerName": "init", "condition": "SUCCESS"}]),
                container("init", essential=False),
                container("side", dependsOn=[{"containerName": "web", "condition": "START"}]),
            )
        )
    ) == ["pull init"]
    assert reports(bench.run("init")) == []
    assert calls(bench.exited(0, "init")) == ["pull web"]
    assert calls(bench.run("web")) == ["pull side"]
    [report] = reports(bench.run("side"))
    assert report["status"] == "RUNNING"
    assert [(c["containerName"], c["status"]) for c in report["containers"]] == [
        ("init", "RUNNING"),
        ("init", "STOPPED"),
        ("web", "RUNNING"),
        ("side", "RUNNING"),
    ]


def test_changes_of_containers_alone_are_told_after_a_while_with_the_status_as_known() -> None:
    bench = Bench()
    bench.take(document(container("web"), container("side", essential=False)))
    bench.run("web")
    bench.run("side")
    bench.answered(ACKNOWLEDGED)
    bench.at(60)
    assert reports(bench.exited(0, "side")) == []
    bench.at(69)
    assert reports(bench.tick()) == []
    bench.at(70)
    [report] = reports(bench.tick())
    assert (report["status"], [c["containerName"] for c in report["containers"]]) == ("RUNNING", ["side"])


def test_changes_of_containers_alone_wait_for_a_control_plane_that_does_not_answer() -> None:
    bench = Bench()
    bench.take(document(container("web"), container("side", essential=False)))
    bench.run("web")
    bench.run("side")
    bench.answered(ACKNOWLEDGED)
    bench.exited(0, "side")
    bench.at(10)
    [report] = reports(bench.tick())
    bench.answered(NO_ANSWER)
    bench.at(11)
    assert reports(bench.tick()) == []  # it waits to be flushed again, and no longer for the back-off
    bench.at(20)
    assert reports(bench.tick()) == [report]
    for _ in range(6):
        bench.answered(NO_ANSWER)
        wake = bench.core.tasks.wake_at
        assert wake is not None
        assert wake > bench.now
        bench.now = wake
        assert reports(bench.tick()) == [report]


def test_an_essential_container_takes_the_others_with_it() -> None:
    bench = Bench()
    bench.take(document(container("web"), container("log", essential=False, stopTimeout=7)))
    bench.run("web")
    bench.run("log")
    bench.answered(ACKNOWLEDGED)
    bench.at(20)
    [stop] = [e for e in bench.exited(1, "web") if isinstance(e, EngineCall)]
    assert (stop.action, stop.container.name, stop.timeout) == (Action.STOP, "log", 7)
    bench.at(22)
    [report] = reports(bench.exited(0, "log"))
    assert (report["status"], report["executionStoppedAt"]) == ("STOPPED", 1020.0)


def test_stopping_goes_against_the_order_of_dependencies() -> None:
    task = document(
        container("db"),
        container("app", links=["db:database"]),
        container("proxy", volumesFrom=[{"sourceContainer": "app"}]),
    )
    bench = Bench()
    assert calls(bench.take(task)) == ["pull db"]
    assert calls(bench.run("db")) == ["pull app"]
    bench.pulled("app")
    assert calls(bench.created("app")) == ["start app", "pull proxy"]
    bench.started("app")
    bench.run("proxy")
    bench.answered(ACKNOWLEDGED)
    assert calls(bench.take({**task, "desiredStatus": "STOPPED"}, seq=3)) == ["stop proxy"]
    assert calls(bench.exited(0, "proxy")) == ["stop app"]
    assert calls(bench.exited(0, "app")) == ["stop db"]
    assert [r["status"] for r in reports(bench.exited(0, "db"))] == ["STOPPED"]


@pytest.mark.parametrize(
    ("condition", "exit_code", "outcome"),
    [
        ("SUCCESS", 0, ["pull b"]),
        ("SUCCESS", 7, "as dependency did not exit successfully."),
        ("COMPLETE", 7, ["pull b"]),
        ("HEALTHY", 0, "as dependency will never be met: the container has stopped."),
    ],
)
def test_what_an_exited_dependency_means(condition: str, exit_code: int, outcome: Any) -> None:
    bench = Bench()
    bench.take(
        document(
            container("a", essential=False),
            container("b", dependsOn=[{"containerName": "a", "condition": condition}]),
        )
    )
    bench.run("a")
    effects = bench.exited(exit_code, "a")
    if isinstance(outcome, list):
        assert calls(effects) == outcome
        return
    [report] = reports(effects)
    assert report["status"] == "STOPPED"
    assert report["containers"][-1] == {
        "containerName": "b",
        "status": "STOPPED",
        "exitCode": 143,
        "reason": "CannotStartContainerError: dependency graph: failed to resolve container ordering "
        f"dependency [a(busybox:latest) (STOPPED->RUNNING) - Exit: {exit_code}] for target "
        f"[b(busybox:latest) (MANIFEST_PULLED->RUNNING)] {outcome}",
    }


def test_digests_that_others_wait_for_are_told_before_the_container_runs() -> None:
    bench = Bench()
    bench.take(document(container("a"), container("b"), resolvesImages=True))
    [report] = reports(bench.pulled("a", digest="sha256:a"))
    change = {"containerName": "a", "status": "PENDING", "imageDigest": "sha256:a"}
    assert (report["status"], report["containers"]) == ("PENDING", [change])
    assert reports(bench.pulled("b", digest="sha256:b")) == [], "one report at a time"
    [report] = reports(bench.answered({}))
    assert [each["containerName"] for each in report["containers"]] == ["b"]
    other = Bench()
    other.take(document(container("a")))
    assert reports(other.pulled("a", digest="sha256:a")) == [], "nobody waits for it"


def test_a_dependency_that_takes_longer_than_its_start_timeout_ends_the_task() -> None:
    bench = Bench(timing=Timing().scaled(10), flush_after=1000.0)
    bench.take(
        document(
            container("db", startTimeout=30, healthCheckType="docker", stopTimeout=50),
            container("app", dependsOn=[{"containerName": "db", "condition": "HEALTHY"}]),
        )
    )
    bench.at(5)
    bench.run("db")
    bench.health("UNHEALTHY", "db")
    bench.at(7.9)
    assert bench.tick() == []
    bench.at(8)
    effects = bench.tick()
    [stop] = [e for e in effects if isinstance(e, EngineCall)]
    assert (stop.action, stop.container.name, stop.timeout) == (Action.STOP, "db", 5.0)
    [report] = reports(bench.exited(0, "db"))
    assert report["containers"][1]["reason"] == (
        "CannotStartContainerError: dependency graph: container ordering dependency [db(busybox:latest) "
        "(RUNNING->RUNNING)] for target [app(busybox:latest) (MANIFEST_PULLED->RUNNING)] has timed out."
    )


def test_a_healthy_dependency_lets_its_dependents_start() -> None:
    bench = Bench()
    bench.take(
        document(
            container("db", healthCheckType="docker"),
            container("app", dependsOn=[{"containerName": "db", "condition": "HEALTHY"}]),
        )
    )
    assert calls(bench.run("db")) == []
    assert calls(bench.health("HEALTHY", "db")) == ["pull app"]


def test_a_passing_failure_is_tried_five_times_over_fifteen_seconds() -> None:
    bench = Bench()
    bench.take(document())
    waited = []
    for _ in range(4):
        assert bench.failed(Action.PULL, "CannotPullContainerError", "no such host", temporary=True) == []
        wake = bench.core.tasks.wake_at
        assert wake is not None
        waited.append(wake - bench.now)
        bench.now = wake
        assert calls(bench.tick()) == ["pull main"]
    assert waited == [1, 2, 4, 8]
    [report] = reports(bench.failed(Action.PULL, "CannotPullContainerError", "no such host", temporary=True))
    assert report == {
        "status": "STOPPED",
        "containers": [
            {
                "containerName": "main",
                "status": "STOPPED",
                "reason": "CannotPullContainerError: no such host",
            }
        ],
        "pullStartedAt": 1000.0,
        "pullStoppedAt": 1015.0,
        "executionStoppedAt": 1015.0,
    }


def test_a_final_failure_is_the_tasks_end_in_the_engines_words() -> None:
    bench = Bench()
    bench.take(document())
    bench.pulled()
    bench.created()
    [report] = reports(bench.failed(Action.START, "CannotStartContainerError", "x" * 2000))
    assert report["containers"][0]["reason"] == ("CannotStartContainerError: " + "x" * 2000)[:1024]
    assert "exitCode" not in report["containers"][0]


def test_restart_policy() -> None:
    policy = {"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 60}
    bench = Bench()
    bench.take(document(container(restartPolicy=policy)))
    bench.run()
    bench.answered(ACKNOWLEDGED)
    bench.at(60)
    assert calls(bench.exited(1)) == ["start main"]
    assert bench.started() == []  # a restart is not a change of state
    bench.at(119)
    [report] = reports(bench.exited(1))  # too soon after the restart
    assert (report["status"], report["containers"][0]["exitCode"]) == ("STOPPED", 1)


@pytest.mark.parametrize(("code", "after"), [(0, 500), (None, 500), (1, 59)])
def test_exits_that_the_restart_policy_lets_be(code: int | None, after: float) -> None:
    policy = {"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 60}
    bench = Bench()
    bench.take(document(container(restartPolicy=policy)))
    bench.run()
    bench.answered(ACKNOWLEDGED)
    bench.at(after)
    assert [r["status"] for r in reports(bench.exited(code))] == ["STOPPED"]


def test_a_task_that_is_stopped_while_it_restarts_is_stopped() -> None:
    policy = {"enabled": True, "restartAttemptPeriod": 0}
    task = document(container(restartPolicy=policy))
    bench = Bench()
    bench.take(task)
    bench.run()
    bench.answered(ACKNOWLEDGED)
    assert calls(bench.exited(1)) == ["start main"]
    assert bench.take({**task, "desiredStatus": "STOPPED"}, id="m2") == [ack("m2")]
    assert calls(bench.started()) == ["stop main"]
    assert [r["status"] for r in reports(bench.exited(143))] == ["STOPPED"]


@pytest.mark.parametrize("reached", ["pulling", "pulled", "created"])
def test_a_task_that_is_stopped_before_it_runs_is_stopped_at_once(reached: str) -> None:
    bench = Bench()
    bench.take(document())
    if reached != "pulling":
        bench.pulled()
    effects = bench.take(document(desiredStatus="STOPPED"))
    if reached == "created":  # a call to the engine is under way: its end is waited for
        effects = bench.created()
        assert calls(effects) == []
    elif reached == "pulled":
        assert reports(effects) == []
        effects = bench.created()
    [report] = reports(effects)
    assert report["status"] == "STOPPED"
    assert "exitCode" not in report["containers"][0]


def test_a_stop_for_an_unknown_task_is_answered_with_its_end() -> None:
    bench = Bench()
    [report] = reports(bench.take(document(desiredStatus="STOPPED")))
    assert report["status"] == "STOPPED"
    assert calls(bench.answered(ACKNOWLEDGED)) == []


def test_what_has_stopped_never_runs_again() -> None:
    bench = Bench(cleanup_after=0.0)
    bench.take(document())
    bench.run()
    bench.answered(ACKNOWLEDGED)
    bench.exited(0)
    assert calls(bench.take(document())) == []  # RUNNING after STOPPED means nothing
    bench.answered(ACKNOWLEDGED)
    bench.removed()
    again = bench.take(document())
    assert calls(again) == []
    assert [r["status"] for r in reports(again)] == ["STOPPED"]


def test_an_agent_that_starts_anew_takes_over_what_runs() -> None:
    spec = document(container("web"), container("side", essential=False))
    bench = Bench(
        found=[
            EngineContainer(arn(), "web", "id-web", "running", started_at=900.0, document=spec),
            EngineContainer(arn(), "side", "id-side", "exited", 0, started_at=900.0, document=spec),
        ]
    )
    [report] = reports(bench.first)
    assert report["status"] == "RUNNING"
    assert [(c["containerName"], c["status"]) for c in report["containers"]] == [
        ("web", "RUNNING"),
        ("side", "STOPPED"),
    ]
    assert calls(bench.take(spec)) == []


VANISHED = "ContainerVanishedError: No container matching saved ID found"


def test_a_task_that_ran_and_is_not_here_any_more_is_reported_stopped_and_never_started_again() -> None:
    bench = Bench()
    effects = bench.take(document(container("a"), container("b", essential=False), lastStatus="RUNNING"))
    assert (calls(effects), reports(effects)) == (
        [],
        [
            {
                "status": "STOPPED",
                "containers": [
                    {"containerName": "a", "status": "STOPPED", "reason": VANISHED},
                    {"containerName": "b", "status": "STOPPED", "reason": VANISHED},
                ],
                "executionStoppedAt": 1000.0,
            }
        ],
    )
    assert calls(bench.take(document(container("a"), lastStatus="RUNNING"), seq=3)) == []


@pytest.mark.parametrize("status", ["PENDING", "ACTIVATING"])
def test_a_task_that_has_not_run_yet_is_started(status: str) -> None:
    assert calls(Bench().take(document(lastStatus=status))) == ["pull main"]


def test_what_is_missing_of_a_task_is_not_made_before_the_control_plane_says_how_far_it_was() -> None:
    whole = document(container("a"), container("b"))
    found = [EngineContainer(arn(), "a", "id-a", "running", document=whole)]
    died_between_two_containers = Bench(found=found)
    assert calls(died_between_two_containers.first) == []
    assert calls(died_between_two_containers.take(whole)) == ["pull b"]
    one_was_removed = Bench(found=found)
    assert calls(one_was_removed.take(document(container("a"), container("b"), lastStatus="RUNNING"))) == [
        "stop a"
    ]
    [report] = reports(one_was_removed.exited(0, "a"))
    assert [(c["containerName"], c["status"], c.get("reason")) for c in report["containers"]] == [
        ("a", "RUNNING", None),
        ("b", "STOPPED", VANISHED),
        ("a", "STOPPED", None),
    ]


def test_a_task_that_was_found_in_part_can_be_stopped() -> None:
    whole = document(container("a"), container("b"))
    bench = Bench(found=[EngineContainer(arn(), "a", "id-a", "running", document=whole)])
    assert calls(bench.take({**whole, "desiredStatus": "STOPPED"})) == ["stop a"]
    assert [r["status"] for r in reports(bench.exited(143, "a"))] == ["STOPPED"]


def test_containers_without_their_task_wait_until_it_is_wanted() -> None:
    bench = Bench(found=[EngineContainer(arn(), "main", "id-main", "running", reported=True)])
    assert bench.core.tasks.live() == [arn()]
    assert bench.take(document()) == [ack()]
    bench.at(1)
    assert calls(bench.take(document(desiredStatus="STOPPED"))) == ["stop main"]


def test_containers_of_a_task_that_nobody_knows_are_stopped_when_the_control_plane_insists() -> None:
    bench = Bench(found=[EngineContainer(arn(), "main", "id-main", "running")])
    effects = bench.message(
        "TaskStopVerificationAck", messageId="m9", stopTasks=[{"taskArn": arn(), "taskClusterArn": CLUSTER}]
    )
    assert calls(effects) == ["stop main"]


def test_an_exited_essential_container_that_is_found_ends_its_task() -> None:
    ended = EngineContainer(arn(), "main", "id", "exited", 9, document=document())
    [report] = reports(Bench(found=[ended]).first)
    assert (report["status"], report["containers"][0]["exitCode"]) == ("STOPPED", 9)


def test_an_end_that_nobody_heard_of_is_told_with_its_reason() -> None:
    out = "OutOfMemoryError: Container killed due to memory usage"
    ended = EngineContainer(arn(), "main", "id", "exited", 137, document=document(), reason=out)
    [report] = reports(Bench(found=[ended]).first)
    assert (report["containers"][0]["exitCode"], report["containers"][0]["reason"]) == (137, out)


@pytest.mark.parametrize(
    ("ran", "code", "again"), [(60.0, 1, True), (59.0, 1, False), (60.0, 3, False), (60.0, None, False)]
)
def test_a_container_that_ended_unheard_is_started_again_as_its_policy_says(
    ran: float, code: int | None, again: bool
) -> None:
    policy = {"enabled": True, "restartAttemptPeriod": 60, "ignoredExitCodes": [3]}
    whole = document(container("main", restartPolicy=policy))
    found = EngineContainer(
        arn(), "main", "id-main", "exited", code, started_at=500.0, document=whole, ended_at=500.0 + ran
    )
    bench = Bench(found=[found])
    assert calls(bench.first) == []  # perhaps it was told to stop
    assert [report["status"] for report in reports(bench.first)] == ["RUNNING" if again else "STOPPED"]
    if again:
        assert calls(bench.take({**whole, "lastStatus": "RUNNING"})) == ["start main"]
        stopping = Bench(found=[found])
        assert calls(stopping.take({**whole, "desiredStatus": "STOPPED", "lastStatus": "RUNNING"})) == []
        stopping.answered(ACKNOWLEDGED)
        assert [task.known for task in stopping.core.tasks] == ["STOPPED"]


def test_a_created_container_is_not_started_before_the_control_plane_wants_it() -> None:
    found = [EngineContainer(arn(), "main", "id", "created", document=document())]
    wanted = Bench(found=found)
    assert calls(wanted.first) == []
    assert calls(wanted.take(document(lastStatus="PENDING"))) == ["start main"]
    # It could not be started, its task stopped, and another agent finds what is left.
    long_over = Bench(found=found)
    asked = {"taskArn": arn(), "taskClusterArn": CLUSTER}
    effects = long_over.message("TaskManifestMessage", messageId="m9", timeline=7, tasks=[])
    [(_, verification)] = sent(effects)[1:]
    assert [candidate["taskArn"] for candidate in verification["stopCandidates"]] == [arn()]
    effects = long_over.message("TaskStopVerificationAck", messageId="m9", stopTasks=[asked])
    assert calls(effects) == []
    assert [report["status"] for report in reports(effects)] == ["STOPPED"]


def test_what_could_not_be_started_of_a_task_that_runs_is_not_started_by_the_next_agent() -> None:
    whole = document(container("main"), container("side", essential=False))
    found = [
        EngineContainer(arn(), "main", "id-main", "running", document=whole),
        EngineContainer(arn(), "side", "id-side", "created", document=whole),
    ]
    bench = Bench(found=found)
    assert calls(bench.first) == []
    effects = bench.take({**whole, "lastStatus": "RUNNING"})
    assert calls(effects) == []
    [report] = reports(effects)
    assert (report["status"], [(c["containerName"], c["status"]) for c in report["containers"]]) == (
        "RUNNING",
        [("main", "RUNNING"), ("side", "STOPPED")],
    )


def test_a_container_that_cannot_be_stopped_is_given_up_with_the_engines_words() -> None:
    bench = Bench()
    bench.take(document())
    bench.run()
    bench.answered(ACKNOWLEDGED)
    bench.take(document(desiredStatus="STOPPED"))
    [report] = reports(bench.failed(Action.STOP, "CannotStopContainerError", "daemon hangs"))
    assert report["containers"][0]["reason"] == "CannotStopContainerError: daemon hangs"
