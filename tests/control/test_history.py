"""Short histories of a service, told from its events: the reconciler, the store and obedient agents."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miniecs.apply import write_task
from miniecs.control.plan import Key
from miniecs.control.stopping import STOPPED_BY_USER, USER_INITIATED, stop
from miniecs.model import arns
from miniecs.model.event import EventKind
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Listener
from miniecs.model.service import (
    CircuitBreaker,
    DeploymentConfiguration,
    PlacementConstraint,
    Revision,
    Service,
)
from miniecs.model.task import Task

from .cases import GROUP_ARN, SCOPE, definition, deployment, group, instance, service
from .lab import WEB, Lab

WEB_2 = Revision(arns.task_definition(SCOPE, "web", 2))


def a_lab(desired: int = 2, *, instances: int = 3, low: int = 100, high: int = 200, **fields: Any) -> Lab:
    lab = Lab(definition(1), definition(2), instances=instances)
    lab.deploy(replace(service(desired, low=low, high=high, **fields), deployments=()))
    return lab


def listener() -> Listener:
    balancer = arns.load_balancer(SCOPE, "app", "front", "1")
    action = {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUP_ARN}]}}
    return Listener(arns.listener(balancer, "2"), balancer, 80, "HTTP", (action,))


def balanced(desired: int = 2) -> Lab:
    lab = Lab(definition(1), definition(2), group(), listener())
    revision = deployment(1, balanced=True).revision
    lab.deploy(replace(service(desired), revision=revision, deployments=()))
    return lab


def test_a_service_starts_and_becomes_steady() -> None:
    lab = a_lab(2)
    lab.run()
    assert [t.last_status for t in lab.tasks()] == ["PENDING", "PENDING"]
    lab.settle()
    lab.check_idle()
    lab.start_pending()
    lab.run(39)
    assert lab.service.primary.rollout_state == "IN_PROGRESS"
    lab.run(2)
    id = lab.service.primary.id
    assert lab.said() == [
        "(service web) has started 2 tasks: (task t1) (task t2).",
        f"(service web) (deployment {id}) deployment completed.",
        "(service web) has reached a steady state.",
    ]
    assert lab.service.primary.rollout_state_reason == f"ECS deployment {id} completed."
    assert {t.because.split(";")[0] for t in lab.tasks()} == {"0 of 2 tasks are in order"}
    lab.check_idle()
    assert lab.reconciler.step(lab.now) == lab.now - 1 + lab.timing.service_deployment_retention


def test_a_rolling_update_at_the_defaults() -> None:
    lab = a_lab(2)
    lab.converge()
    before = len(lab.said())
    old = lab.service.primary.id
    lab.deploy(lab.service, WEB_2)
    lab.settle()
    assert [t.last_status for t in lab.tasks()] == ["RUNNING", "RUNNING", "PENDING", "PENDING"]
    lab.start_pending()
    lab.run(39)
    assert [t.desired_status for t in lab.tasks()] == ["RUNNING"] * 4
    lab.run(2)
    assert [t.last_status for t in lab.tasks()] == ["STOPPING", "STOPPING", "RUNNING", "RUNNING"]
    assert {t.stopped_reason for t in lab.tasks("STOPPING")} == {
        f"Scaling activity initiated by (deployment {old})"
    }
    assert len(lab.service.deployments) == 2
    lab.stop_stopping()
    lab.settle()
    assert [d.rollout_state for d in lab.service.deployments] == ["COMPLETED"]
    assert lab.said()[before:] == [
        "(service web) has started 2 tasks: (task t3) (task t4).",
        "(service web) has stopped 2 running tasks: (task t1) (task t2).",
        f"(service web) (deployment {lab.service.primary.id}) deployment completed.",
        "(service web) has reached a steady state.",
    ]
    lab.check_idle()


def test_a_crashed_task_is_replaced_at_once() -> None:
    lab = a_lab(2)
    lab.converge()
    lab.report(lab.tasks()[0], "STOPPED", exit_code=1)
    lab.settle()
    crashed = lab.tasks("STOPPED")[0]
    assert (crashed.stop_code, crashed.stopped_reason) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert lab.said()[-1] == "(service web) has started 1 tasks: (task t3)."
    lab.converge()
    assert lab.said()[-1] == "(service web) has reached a steady state."


def test_targets_are_registered_drained_and_waited_for() -> None:
    lab = balanced(1)
    lab.settle()
    lab.start_pending()
    lab.settle()
    host = lab.store.get(ContainerInstance, lab.tasks()[0].container_instance_arn or "")
    assert host is not None
    assert [(t.state, t.id, t.port) for t in lab.targets()] == [("initial", host.ec2_instance_id, 32769)]
    lab.run(60)
    assert lab.service.primary.rollout_state == "IN_PROGRESS"
    lab.probe()
    lab.settle()
    assert lab.service.primary.rollout_state == "COMPLETED"
    scaled = replace(lab.service, desired_count=0)
    lab.put(scaled)
    lab.settle()
    assert [t.last_status for t in lab.tasks()] == ["DEACTIVATING"]
    assert [t.state for t in lab.targets()] == ["draining"]
    primary = lab.service.primary.id
    assert lab.said()[-3:] == [
        "(service web) has stopped 1 running tasks: (task t1).",
        f"(service web) deregistered 1 targets in (target-group {GROUP_ARN})",
        f"(service web, taskSet {primary}) has begun draining connections on 1 tasks.",
    ]
    lab.run(298)
    assert [t.last_status for t in lab.tasks()] == ["DEACTIVATING"]
    lab.run(2)
    assert lab.targets() == []
    assert [t.last_status for t in lab.tasks()] == ["STOPPING"]
    lab.check_idle()


def test_a_task_that_fails_its_targets_health_check_is_replaced_and_told_of() -> None:
    lab = balanced(1)
    lab.converge(probes=True)
    for _ in range(2):
        lab.probe(ok=False, code=503)
    lab.settle()
    assert lab.said()[-1] == (
        "(service web) has started 1 tasks: (task t2). Amazon ECS replaced 1 tasks due to an unhealthy"
        " status."
    )
    lab.start_pending()
    lab.settle()
    for target in lab.targets():
        if target.state == "initial":
            lab.put(replace(target, state="healthy", reason=None, description=None))
    lab.settle()
    sick = lab.tasks()[0]
    assert (sick.stop_code, sick.stopped_reason) == (
        "ServiceSchedulerInitiated",
        f"Task failed ELB health checks in (target-group {GROUP_ARN})",
    )
    assert (
        f"(service web) (task t1) (port 32769) is unhealthy in (target-group {GROUP_ARN})"
        " due to (reason Health checks failed with these codes: [503])."
    ) in lab.said()


def test_what_finds_no_host_is_told_and_tried_when_capacity_appears() -> None:
    lab = a_lab(0, instances=1)
    lab.put(definition(3, memory=3000), replace(lab.service, deployments=()))
    lab.deploy(
        replace(lab.service, desired_count=2), Revision(arns.task_definition(SCOPE, "web", 3))
    )
    lab.settle()
    first = lab.store.events(WEB, (EventKind.SERVICE_MESSAGE,))[-1].message
    assert first == (
        "(service web) was unable to place a task because no container instance met all of its requirements."
        " The closest matching (container-instance ci1) has insufficient memory available. For more"
        " information, see the Troubleshooting section of the Amazon ECS Developer Guide."
    )
    decision = lab.store.events(WEB, (EventKind.DECISION,))[-1].message
    assert decision.startswith("1 task not placed; of 1 container instances 1 RESOURCE:MEMORY; closest:")
    lab.check_idle()
    launches = len(lab.launches())
    lab.run(58)
    assert len(lab.launches()) == launches
    lab.run(2)
    assert len(lab.launches()) == launches + 1
    assert lab.store.events(WEB, (EventKind.SERVICE_MESSAGE,))[-1].message == first
    lab.put(instance(2))
    lab.run()
    assert len(lab.tasks("PENDING")) == 2
    assert lab.service.primary.blocked_until == 0


def test_an_empty_cluster_says_so() -> None:
    lab = a_lab(1, instances=0)
    lab.settle()
    assert lab.said() == [
        "(service web) was unable to place a task because no container instance met all of its requirements."
        " Reason: No Container Instances were found in your cluster. For more information, see the"
        " Troubleshooting section of the Amazon ECS Developer Guide."
    ]


def test_tasks_that_never_run_are_started_less_and_less_often() -> None:
    lab = a_lab(1)
    starts: list[float] = []
    for _ in range(6000):
        lab.run(0.5)
        for task in lab.tasks("PENDING"):
            starts.append(task.created_at)
            lab.report(task, "STOPPED", reason="CannotPullContainerError: no such image")
    gaps = [round(later - earlier) for earlier, later in zip(starts, starts[1:], strict=False)]
    assert gaps[:9] == [0, 10, 20, 40, 80, 160, 320, 640, 900]
    stopped = lab.tasks("STOPPED")[0]
    assert (stopped.stop_code, stopped.stopped_reason) == ("TaskFailedToStart", "Task failed to start")
    impaired = "(service web) is unable to consistently start tasks successfully."
    assert lab.said().count(impaired) >= 1
    assert lab.service.primary.failed_tasks == len(starts)


def test_the_circuit_breaker_rolls_back_to_the_last_completed_deployment() -> None:
    breaker = DeploymentConfiguration(circuit_breaker=CircuitBreaker(enable=True, rollback=True))
    lab = a_lab(2, config=breaker)
    lab.converge()
    good = lab.service.primary.id
    begun = lab.deploy(lab.service, WEB_2)
    bad = begun.primary.id
    for _ in range(10):
        lab.run(10)
        for task in lab.tasks("PENDING"):
            lab.report(task, "STOPPED", reason="CannotStartContainerError: no")
    assert lab.service.revision.task_definition_arn == arns.task_definition(SCOPE, "web", 1)
    lab.converge()
    texts = lab.said()
    failed = f"(service web) (deployment {bad}) deployment failed: tasks failed to start."
    assert texts[texts.index(failed) + 1] == f"(service web) rolling back to deployment {good}."
    assert [(d.id, d.rollout_state) for d in lab.service.deployments] == [(good, "COMPLETED")]
    assert [t.deployment_id for t in lab.tasks("RUNNING")] == [good, good]
    lab.check_idle()


def test_an_instance_that_goes_takes_its_tasks_along() -> None:
    lab = a_lab(3)
    lab.converge()
    gone = lab.store.get(ContainerInstance, lab.tasks()[0].container_instance_arn or "")
    assert gone is not None
    lab.change(gone, status="INACTIVE", deregistered_at=lab.now)
    lab.settle()
    lost = [t for t in lab.tasks("STOPPED") if t.container_instance_arn == gone.arn]
    assert [(t.stopped_reason, t.containers[0].last_status) for t in lost] == [
        ("Container instance deregistration forced by user", "STOPPED")
    ]
    lab.converge()
    assert len(lab.tasks("RUNNING")) == 3
    lab.run(3600)
    assert lab.store.get(ContainerInstance, gone.arn) is None
    assert lab.tasks("STOPPED") == []


def test_a_deleted_service_is_inactive_when_its_tasks_stop_and_later_forgotten() -> None:
    lab = a_lab(2)
    lab.converge()
    lab.put(replace(lab.service, status="DRAINING", desired_count=0))
    lab.settle()
    assert [t.last_status for t in lab.tasks()] == ["STOPPING", "STOPPING"]
    assert (lab.service.status, lab.service.deployments) == ("INACTIVE", ())
    lab.stop_stopping()
    lab.run(3599)
    assert lab.service.status == "INACTIVE"
    lab.run(3)
    assert list(lab.store.all(Service)) == []


def test_a_daemon_has_one_task_on_each_eligible_instance() -> None:
    lab = Lab(definition(1), definition(2), instances=3)
    lab.change(instance(3), attributes=())
    rule = PlacementConstraint("memberOf", "attribute:ecs.availability-zone exists")
    daemon = service(0, low=0, high=100, scheduling_strategy="DAEMON", placement_constraints=(rule,))
    lab.deploy(replace(daemon, deployments=()))
    lab.settle()
    assert sorted(arns.name_of(t.container_instance_arn or "") for t in lab.tasks()) == ["ci1", "ci2"]
    assert lab.service.desired_count == 2
    lab.put(instance(4))
    lab.converge()
    assert len(lab.tasks("RUNNING")) == 3
    lab.check_idle()
    lab.deploy(lab.service, WEB_2)
    lab.converge()
    running = lab.tasks("RUNNING")
    assert sorted(arns.name_of(t.container_instance_arn or "") for t in running) == ["ci1", "ci2", "ci4"]
    assert {t.deployment_id for t in running} == {lab.service.primary.id}
    lab.check_idle()


def test_a_daemons_task_leaves_a_draining_instance_last() -> None:
    lab = Lab(definition(1), instances=1)
    lab.deploy(replace(service(0, low=0, high=100, scheduling_strategy="DAEMON"), deployments=()))
    lab.converge()
    daemon = lab.tasks()[0]
    other = replace(
        daemon, arn=daemon.arn + "0", service_arn=None, deployment_id=None, group="family:web"
    )
    lab.put(other)
    lab.change(instance(1), status="DRAINING")
    lab.run(60)
    assert [t.desired_status for t in lab.tasks()] == ["RUNNING", "RUNNING"]
    lab.report(other, "STOPPED", exit_code=0)
    lab.settle()
    assert [(t.service_arn, t.last_status) for t in lab.tasks()] == [(WEB, "STOPPING"), (None, "STOPPED")]


@pytest.mark.parametrize("crashes", [1, 2, 5])
def test_a_crash_between_plan_and_apply_loses_nothing(crashes: int) -> None:
    lab = a_lab(2)
    lab.crashes = crashes
    lab.run(5)
    assert len(lab.tasks("PENDING")) == 2
    lab.reconciler.close()
    lab.restarted()
    lab.converge()
    assert len(lab.tasks()) == 2


def test_a_new_reconciler_finds_everything_that_is_left_to_do() -> None:
    lab = balanced(1)
    lab.converge(probes=True)
    lab.put(replace(lab.service, desired_count=0))
    lab.settle()
    lab.reconciler.close()
    lab.now += 400
    lab.restarted()
    lab.settle()
    assert [t.last_status for t in lab.tasks()] == ["STOPPING"]


def test_many_reports_are_few_plans() -> None:
    lab = a_lab(300, instances=30)
    lab.run(1)
    assert len(lab.tasks("PENDING")) == 300
    lab.plans.clear()
    seen = 0
    plan = lab.reconciler.plan

    def counted(key: Key, now: float, *, retry: bool = False) -> object:
        nonlocal seen
        seen += key.loop == "service"
        return plan(key, now, retry=retry)

    lab.reconciler.plan = counted  # type: ignore[method-assign,assignment]
    for task in lab.tasks("PENDING"):
        lab.report(task, "RUNNING")
        lab.run(0.001)
    lab.settle()
    assert 3 <= seen <= 12


def test_a_user_stops_a_task_of_a_service() -> None:
    lab = balanced(1)
    lab.converge(probes=True)
    task: Task = lab.tasks()[0]
    with lab.store.transaction() as tx:
        stopped = stop(task, now=lab.now, code=USER_INITIATED, reason=STOPPED_BY_USER)
        assert stopped.version == task.version + 1
        write_task(tx, task, stopped, now=lab.now)
    lab.settle()
    assert [t.last_status for t in lab.tasks()] == ["DEACTIVATING", "PENDING"]
    assert f"(service web) deregistered 1 targets in (target-group {GROUP_ARN})" in lab.said()
