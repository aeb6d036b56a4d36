"""A service's whole plans: every action with its words, and the deployments' states."""

from __future__ import annotations

from dataclasses import replace

from miniecs.control import messages, services
from miniecs.control.plan import (
    NOTHING,
    DeregisterTarget,
    Forget,
    LaunchTasks,
    Plan,
    RegisterTarget,
    Say,
    SetService,
    StopTask,
)
from miniecs.model import arns
from miniecs.model.load_balancing import Target
from miniecs.model.service import CircuitBreaker, DeploymentConfiguration, Service
from miniecs.model.task import NetworkInterface, Task

from .cases import (
    GROUP_ARN,
    NOW,
    SCOPE,
    TIMING,
    VERSION,
    FakeView,
    completed,
    definition,
    deployment,
    group,
    instance,
    listening,
    message,
    service,
    stopping,
    target,
    task,
)
from .test_rolling import plan

SCALING = "Scaling activity initiated by (deployment ecs-svc/1)"


def world(of: Service, *things: object) -> FakeView:
    return FakeView(of, definition(1), definition(2), instance(), *things)


def test_an_unknown_service_and_one_of_another_controller_are_left_alone() -> None:
    assert plan(FakeView()) == NOTHING
    external = service(2, deployment(1), deployment_controller="EXTERNAL")
    assert plan(world(external)) == NOTHING


def test_the_first_plan() -> None:
    new = service(2, deployment(1, desired_count=2))
    because = "0 of 2 tasks are in order; maximumPercent 200 allows 4 at once and 0 are there: starts 2"
    assert plan(world(new)) == Plan((LaunchTasks(new, VERSION, "ecs-svc/1", 2, because),))


def test_waiting_is_an_empty_plan_with_a_wake() -> None:
    new = service(2, deployment(1, desired_count=2, proven=True))
    young = task("b", started_at=NOW - 30)
    assert plan(world(new, task("a"), young)) == Plan((), NOW + 10)
    assert plan(world(new, task("a"), task("b", status="PENDING"))) == NOTHING


def test_completion_and_steady_state_come_together_when_nothing_stops() -> None:
    new = service(1, deployment(1, desired_count=1, proven=True))
    done = replace(
        deployment(1, desired_count=1, proven=True),
        rollout_state="COMPLETED",
        rollout_state_reason="ECS deployment ecs-svc/1 completed.",
        updated_at=NOW,
    )
    told = Say(
        new,
        "(deployment ecs-svc/1) deployment completed.",
        "1 of 1 tasks are healthy and no older deployment has any",
    )
    steady = Say(
        new,
        "has reached a steady state.",
        "1 tasks are wanted, 1 are healthy and none is stopping",
        name="SERVICE_STEADY_STATE",
    )
    because = "counts of its deployments have changed"
    after = replace(new, deployments=(done,), completed=done, steady=True, steady_since=NOW)
    assert plan(world(new, task("a"))) == Plan((SetService(new, VERSION, after, because), told, steady))
    after = replace(new, deployments=(done,), completed=done)
    assert plan(world(new, task("a"), stopping("b"))) == Plan(
        (SetService(new, VERSION, after, because), told)
    )


def test_a_steady_service_plans_nothing() -> None:
    assert plan(world(service(1, completed(1, 1), steady=True), task("a"))) == NOTHING
    assert plan(world(service(0, completed(1, 0), steady=True))) == NOTHING


def test_a_crash_ends_the_steady_state() -> None:
    steady = service(2, completed(1, 2), steady=True)
    because = "1 of 2 tasks are in order; maximumPercent 200 allows 4 at once and 1 are there: starts 1"
    assert plan(world(steady, task("a"))) == Plan(
        (
            SetService(
                steady, VERSION, replace(steady, steady=False), "its tasks are no longer as desired"
            ),
            LaunchTasks(steady, VERSION, "ecs-svc/1", 1, because),
        )
    )


def test_scale_in_with_all_its_words() -> None:
    fewer = service(1, completed(1, 2))
    a, b, c = task("a"), task("b"), task("c", status="PENDING")
    because = "3 tasks of the deployment are there and 1 are wanted"
    assert plan(world(fewer, a, b, c)) == Plan(
        (
            SetService(
                fewer,
                VERSION,
                replace(fewer, deployments=(replace(completed(1, 1), updated_at=NOW),)),
                "counts of its deployments have changed",
            ),
            StopTask(c, VERSION, "ServiceSchedulerInitiated", SCALING, because),
            StopTask(a, VERSION, "ServiceSchedulerInitiated", SCALING, because),
            Say(fewer, "has stopped 1 running tasks: (task a).", because),
            Say(fewer, "stopped 1 pending tasks.", because),
        )
    )


def test_an_older_deployment_loses_its_tasks_and_then_goes() -> None:
    rolling = service(1, deployment(2, desired_count=1, proven=True), completed(1, 1))
    old, new = task("old", 1), task("new", 2)
    because = (
        "2 of 1 healthy, minimumHealthyPercent 100 keeps 1: stops 1 now that its substitute is healthy"
    )
    older = replace(rolling.deployments[1], desired_count=0, updated_at=NOW)
    after = replace(rolling, deployments=(rolling.primary, older))
    assert plan(world(rolling, old, new)) == Plan(
        (
            SetService(rolling, VERSION, after, "counts of its deployments have changed"),
            StopTask(old, VERSION, "ServiceSchedulerInitiated", SCALING, because),
            Say(rolling, "has stopped 1 running tasks: (task old).", because),
        )
    )
    assert plan(world(after, stopping("old", 1), new)) == NOTHING
    gone = plan(world(after, new)).actions[0]
    assert isinstance(gone, SetService)
    assert gone.because == "deployment ecs-svc/1 has no tasks left"
    assert [d.id for d in gone.after.deployments] == ["ecs-svc/2"]


def test_a_task_of_a_vanished_deployment_is_stopped() -> None:
    stray = task("stray", 7)
    stop = plan(world(service(0, completed(1, 0)), stray)).actions[0]
    assert stop == StopTask(
        stray,
        VERSION,
        "ServiceSchedulerInitiated",
        "Scaling activity initiated by (deployment ecs-svc/7)",
        "its deployment is gone",
    )


def test_running_tasks_are_registered_with_every_target_group_once() -> None:
    balanced = service(2, deployment(1, desired_count=2, balanced=True))
    a, b = listening(task("a"), 40001), listening(task("b"), 40002)
    actions = plan(world(balanced, group(), a, b)).actions
    assert [(x.target.id, x.target.port) for x in actions if isinstance(x, RegisterTarget)] == [
        ("i-1", 40001),
        ("i-1", 40002),
    ]
    assert [x.text for x in actions if isinstance(x, Say)] == [
        f"registered 2 targets in (target-group {GROUP_ARN})"
    ]
    unused = Target(
        GROUP_ARN,
        "i-1",
        40001,
        "unused",
        "Target.NotInUse",
        "Target group is not configured to receive traffic from the load balancer",
        task_arn=a.arn,
        registered_at=NOW,
    )
    assert [x.target for x in actions if isinstance(x, RegisterTarget)][0] == unused
    half = plan(world(balanced, group(), a, b, target(a, 40001))).actions
    assert [x.target.port for x in half if isinstance(x, RegisterTarget)] == [40002]
    assert not [
        x
        for x in plan(world(balanced, group(), a, target(a, 40001), b, target(b, 40002))).actions
        if isinstance(x, RegisterTarget)
    ]


def test_addresses_of_targets() -> None:
    balanced = service(1, deployment(1, desired_count=1, balanced=True))
    a = listening(task("a"), 40001)

    def registered(of: Task, *things: object) -> list[tuple[str, int]]:
        view = FakeView(balanced, of, *things)
        actions = plan(view).actions
        return [(x.target.id, x.target.port) for x in actions if isinstance(x, RegisterTarget)]

    host = instance(1, private_ip="10.0.0.1")
    assert registered(a, definition(1), host, group()) == [("i-1", 40001)]
    assert registered(a, definition(1), host, group(target_type="ip")) == [("10.0.0.1", 40001)]
    bare = instance(1, ec2_instance_id=None)
    assert registered(a, definition(1), bare, group()) == [("ci1", 40001)]
    assert registered(task("a"), definition(1, network_mode="host"), host, group()) == [("i-1", 80)]
    interface = NetworkInterface("eni-1", "att", "subnet-1", "02:00", "10.0.9.9")
    own = task("a", network_interface=interface)
    ip = group(target_type="ip")
    assert registered(own, definition(1, network_mode="awsvpc"), host, ip) == [("10.0.9.9", 80)]


def test_a_task_without_a_published_port_is_not_registered_yet() -> None:
    balanced = service(1, deployment(1, desired_count=1, balanced=True))
    assert plan(world(balanced, group(), task("a"))) == NOTHING


def test_a_target_group_that_is_gone_is_told_of() -> None:
    balanced = service(1, deployment(1, desired_count=1, balanced=True))
    (said,) = plan(world(balanced, listening(task("a"), 1))).actions
    assert isinstance(said, Say)
    assert said.text == (
        f"failed to register targets in (target-group {group().arn}) with (error One or more target groups"
        " not found)"
    )
    assert said.because == "the target group was deleted; RUNNING tasks without a target in it: 1"


def test_targets_of_stopped_tasks_drain_in_the_same_plan() -> None:
    none = service(0, completed(1, 1, balanced=True))
    a = listening(task("a"), 40001)
    actions = plan(world(none, group(), a, target(a, 40001))).actions
    assert [type(action) for action in actions[:3]] == [SetService, StopTask, DeregisterTarget]
    assert [(x.text, x.task_set) for x in actions if isinstance(x, Say)] == [
        ("has stopped 1 running tasks: (task a).", ""),
        (f"deregistered 1 targets in (target-group {GROUP_ARN})", ""),
        ("has begun draining connections on 1 tasks.", "ecs-svc/1"),
    ]


def test_connections_drain_for_each_deployment_by_itself() -> None:
    """ECS counts what is deregistered over the service, and what drains for each deployment."""
    both = service(0, completed(2, balanced=True), completed(1, balanced=True))
    tasks = [task("a", 1), task("b", 1), task("c", 2)]
    targets = [target(each, n) for n, each in enumerate(tasks, 1)]
    actions = plan(world(both, group(), *tasks, *targets)).actions
    said = {(x.text, x.task_set) for x in actions if isinstance(x, Say) and "tasks:" not in x.text}
    assert said == {
        (f"deregistered 3 targets in (target-group {GROUP_ARN})", ""),
        ("has begun draining connections on 2 tasks.", "ecs-svc/1"),
        ("has begun draining connections on 1 tasks.", "ecs-svc/2"),
    }


def test_a_deleted_service() -> None:
    draining = service(0, completed(1, 1), status="DRAINING")
    a = task("a")
    because = "the service is being deleted"
    assert plan(world(draining, a)) == Plan(
        (
            StopTask(a, VERSION, "ServiceSchedulerInitiated", SCALING, because),
            Say(draining, "has stopped 1 running tasks: (task a).", because),
        )
    )
    assert plan(world(draining, stopping("a", status="DEACTIVATING"))) == NOTHING
    inactive = replace(draining, status="INACTIVE", inactive_at=NOW, deployments=())
    done = SetService(draining, VERSION, inactive, "all its tasks are STOPPING or STOPPED")
    assert plan(world(draining, stopping("a"))) == Plan((done,))
    assert plan(world(draining)) == Plan((done,))


def test_a_deleted_service_without_deployments_becomes_inactive_too() -> None:
    draining = replace(service(0), deployments=(), status="DRAINING")
    after = replace(draining, status="INACTIVE", inactive_at=NOW)
    assert plan(world(draining)) == Plan(
        (SetService(draining, VERSION, after, "all its tasks are STOPPING or STOPPED"),)
    )


def test_an_inactive_service_is_forgotten_when_its_time_and_its_tasks_are_gone() -> None:
    gone = replace(service(0), status="INACTIVE", inactive_at=NOW - 3599, deployments=())
    assert plan(world(gone)) == Plan(wake_at=NOW + 1)
    gone = replace(gone, inactive_at=NOW - 3600)
    forget = Forget(Service, gone.arn, VERSION, "it has been INACTIVE for 3600 s")
    assert plan(world(gone)) == Plan((forget,))
    assert plan(world(gone, stopping("a"))) == NOTHING


def test_unplaceable_tasks_rest_until_their_time_or_until_capacity_appears() -> None:
    blocked = service(1, deployment(1, desired_count=1, blocked_until=NOW + 20))
    assert plan(world(blocked)) == Plan(wake_at=NOW + 20)
    retried = plan(world(blocked), retry=True).actions[0]
    assert isinstance(retried, LaunchTasks)


def test_failing_launches_wait_and_are_told_of_once() -> None:
    failing = service(
        1, deployment(1, desired_count=1, launch_failures=3, last_failure_at=NOW, failed_tasks=3)
    )
    because = "3 launches in a row ended before RUNNING; the next one waits"
    told = Say(
        failing, messages.IMPAIRED, because, name="SERVICE_TASK_START_IMPAIRED", level="WARN"
    )
    assert plan(world(failing)) == Plan((told,), NOW + 20)
    view = FakeView(failing, definition(1), instance(), events=[message(messages.IMPAIRED, NOW - 5)])
    assert plan(view) == Plan((), NOW + 20)


def breaker(failed: int, *, rollback: bool, before: bool = True) -> Service:
    configuration = DeploymentConfiguration(circuit_breaker=CircuitBreaker(True, rollback))
    older = (completed(1, 4),) if before else ()
    newest = deployment(2, desired_count=4, failed_tasks=failed)
    return service(4, newest, *older, config=configuration)


OLD_FOUR = [task(f"old{n}", 1) for n in range(4)]
WHY = "3 tasks failed in a row; the circuit breaker's threshold is 3"
FAILED = Say(
    breaker(3, rollback=False), "(deployment ecs-svc/2) deployment failed: tasks failed to start.", WHY
)


def test_the_circuit_breaker_without_rollback() -> None:
    tripping = breaker(3, rollback=False)
    failed = replace(
        tripping.primary,
        rollout_state="FAILED",
        rollout_state_reason="ECS deployment circuit breaker: tasks failed to start.",
        updated_at=NOW,
    )
    after = replace(tripping, deployments=(failed, tripping.deployments[1]))
    assert plan(world(tripping, *OLD_FOUR)) == Plan(
        (SetService(tripping, VERSION, after, WHY), replace(FAILED, service=after))
    )
    assert plan(world(after, *OLD_FOUR)) == NOTHING
    two = breaker(2, rollback=False)
    assert not [a for a in plan(world(two, *OLD_FOUR)).actions if isinstance(a, SetService)]


def test_what_completed_last_wants_its_count_though_it_finds_no_room() -> None:
    failed = replace(deployment(2, desired_count=4), rollout_state="FAILED")
    spec = service(4, failed, completed(1, 3), config=breaker(3, rollback=False).deployment_configuration)
    (set_service, launch) = plan(world(spec, *OLD_FOUR[:3])).actions
    assert isinstance(launch, LaunchTasks) and (launch.deployment_id, launch.count) == ("ecs-svc/1", 1)
    assert isinstance(set_service, SetService)
    primary, older = set_service.after.deployments
    assert (primary, older.desired_count) == (failed, 4)
    blocked = replace(set_service.after, deployments=(primary, replace(older, blocked_until=NOW + 20)))
    assert not plan(world(blocked, *OLD_FOUR[:3])).actions


def test_the_circuit_breaker_with_rollback() -> None:
    tripping = breaker(3, rollback=True)
    new = task("new", 2, status="PENDING")
    actions = plan(world(tripping, *OLD_FOUR, new)).actions
    first = actions[0]
    assert isinstance(first, SetService)
    after = first.after
    assert [(d.id, d.status, d.rollout_state) for d in after.deployments] == [
        ("ecs-svc/1", "PRIMARY", "IN_PROGRESS"),
        ("ecs-svc/2", "ACTIVE", "FAILED"),
    ]
    assert [d.rollout_state_reason for d in after.deployments] == [
        "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.",
        "ECS deployment circuit breaker: tasks failed to start.",
    ]
    assert after.revision == completed(1).revision
    assert [action.text for action in actions if isinstance(action, Say)] == [
        "(deployment ecs-svc/2) deployment failed: tasks failed to start.",
        "rolling back to deployment ecs-svc/1.",
        "stopped 1 pending tasks.",
    ]


def test_a_failed_deployment_without_tasks_fails_first_and_goes_then() -> None:
    tripping = breaker(3, rollback=True)
    states = [
        [(d.id, d.rollout_state) for d in action.after.deployments]
        for action in plan(world(tripping, *OLD_FOUR)).actions
        if isinstance(action, SetService)
    ]
    assert states == [
        [("ecs-svc/1", "IN_PROGRESS"), ("ecs-svc/2", "FAILED")],
        [("ecs-svc/1", "COMPLETED")],
    ]
    alone = plan(world(breaker(3, rollback=True, before=False))).actions[0]
    assert isinstance(alone, SetService)
    assert [(d.id, d.rollout_state) for d in alone.after.deployments] == [("ecs-svc/2", "FAILED")]


def test_a_healthy_task_ends_the_counting_of_failures() -> None:
    counting = service(2, deployment(1, desired_count=2, failed_tasks=2))
    (action,) = plan(world(counting, task("a"), task("b", status="PENDING"))).actions
    assert isinstance(action, SetService)
    assert action.after.primary == replace(counting.primary, failed_tasks=0, proven=True)


def test_tasks_that_fail_their_checks_count_for_the_breaker_until_one_is_healthy() -> None:
    for proven, failed in ((False, 1), (True, 0)):
        sick = service(1, deployment(1, desired_count=1, proven=proven), high=100)
        view = FakeView(
            sick, definition(1, check=True), instance(), task("a", health_status="UNHEALTHY")
        )
        actions = plan(view).actions
        assert [x.reason for x in actions if isinstance(x, StopTask)] == [
            "Task failed container health checks"
        ]
        assert [x.text for x in actions if isinstance(x, Say)] == [
            "(task a) failed container health checks.",
            "has stopped 1 running tasks: (task a).",
        ]
        counted = [x.after.primary.failed_tasks for x in actions if isinstance(x, SetService)]
        assert counted == ([failed] if failed else [])


def test_the_plan_is_made_on_the_services_own_version() -> None:
    spec = service(1, deployment(1, desired_count=1))
    (launch,) = plan(world(spec)).actions
    assert isinstance(launch, LaunchTasks)
    assert (launch.version, arns.name_of(launch.service.arn)) == (VERSION, "web")
    assert services.plan(
        world(spec), arns.service(SCOPE, "default", "other"), now=NOW, timing=TIMING, order=lambda _, t: t
    ) == NOTHING
