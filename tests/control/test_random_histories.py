"""Random histories, each repeatable by its seed: the bounds hold at every plan, and peace brings the goal."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from miniecs.apply import write_task
from miniecs.control import census
from miniecs.control.deployments import bounds
from miniecs.control.plan import Key, LaunchTasks, Plan, StopTask
from miniecs.control.reports import apply_health
from miniecs.control.stopping import STOPPED_BY_USER, USER_INITIATED, stop
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import CircuitBreaker, DeploymentConfiguration, Service
from miniecs.model.task import STATUS_ORDER, Task
from miniecs.model.task_definition import TaskDefinition
from miniecs.store import Commit

from .cases import completed, definition, deployment, group, instance, service
from .cases import task as a_task
from .lab import Lab
from .test_history import listener

SEEDS = range(40)


class Guard:
    """Asserts what must hold of every plan and every commit."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.lost = 0  # plans that shall be lost before they are applied
        self.applied: Key | None = None  # whose plan the next commit carries out
        lab.reconciler.on_planned = self.planned
        lab.store.subscribe(self.committed)

    def planned(self, key: Key, plan: Plan) -> bool:
        if key.loop == "service":
            self.check(plan)
        if self.lost:
            self.lost -= 1
            return False
        self.applied = key
        return True

    def check(self, plan: Plan) -> None:
        of = self.lab.service
        if of.status != "ACTIVE":
            return
        counted = census.take(self.lab.store, of, now=self.lab.now, timing=self.lab.timing)
        desired = of.desired_count
        lower, upper = bounds(desired, of.deployment_configuration)
        healthy = {t.arn for c in counted.cohorts for t in c.healthy}
        healthy |= {arn for c in counted.cohorts for arn in c.leaving_healthy}
        stopped = {a.task.arn for a in plan.actions if isinstance(a, StopTask)} & healthy
        launched = sum(a.count for a in plan.actions if isinstance(a, LaunchTasks))
        daemon = of.scheduling_strategy == "DAEMON"
        if stopped and not daemon:
            assert len(healthy) - len(stopped) >= lower
        if launched and not daemon:
            assert counted.size + launched <= upper

    def committed(self, commit: Commit) -> None:
        key, self.applied = self.applied, None
        if key is not None:
            assert self.lab.reconciler.plan(key, self.lab.now).actions == (), key
        for change in commit.changes:
            before, after = change.before, change.after
            if change.kind is Task and before is not None and after is not None:
                assert STATUS_ORDER[after.last_status] >= STATUS_ORDER[before.last_status]
                assert not (before.desired_status == "STOPPED" and after.desired_status == "RUNNING")
                if (before.last_status, before.desired_status) != (after.last_status, after.desired_status):
                    assert after.version > before.version


def a_world(random: Random) -> Lab:
    lab = Lab(
        *(definition(1), definition(2), definition(3, check=True), group(), listener()),
        instances=random.randint(2, 5),
    )
    low, high = random.choice([(100, 200), (50, 100), (0, 100), (75, 150), (50, 200)])
    breaker = CircuitBreaker(random.random() < 0.3, random.random() < 0.5)
    configuration = DeploymentConfiguration(high, low, breaker)
    daemon = random.random() < 0.2
    spec = service(0 if daemon else random.randint(1, 8), config=configuration)
    if daemon:
        spec = replace(
            spec,
            scheduling_strategy="DAEMON",
            deployment_configuration=DeploymentConfiguration(100, 0),
        )
    revision = deployment(1, balanced=random.random() < 0.4).revision
    lab.deploy(replace(spec, revision=revision, deployments=()))
    return lab


def disturb(lab: Lab, guard: Guard, random: Random) -> None:
    """One thing that users, agents or fate do."""
    tasks = [t for t in lab.tasks() if not t.is_stopped]
    hosts = [i for i in lab.store.all(ContainerInstance) if i.status != "INACTIVE"]
    match random.randint(0, 12):
        case 0 if tasks:
            lab.report(random.choice(tasks), "STOPPED", exit_code=1)
        case 1 if lab.service.scheduling_strategy == "REPLICA":
            lab.put(replace(lab.service, desired_count=random.randint(0, 9)))
        case 2:
            balanced = bool(lab.service.revision.load_balancers)
            lab.deploy(lab.service, deployment(random.randint(1, 3), balanced=balanced).revision)
        case 3 if hosts:
            host = random.choice(hosts)
            lab.change(host, status="ACTIVE" if host.status == "DRAINING" else "DRAINING")
        case 4 if len(hosts) > 2:
            lab.change(random.choice(hosts), status="INACTIVE", deregistered_at=lab.now)
        case 5:
            lab.put(instance(random.randint(100, 10_000)))
        case 6 if tasks:
            user_stops(lab, random.choice(tasks))
        case 7:
            guard.lost = random.randint(1, 3)
        case 8:
            lab.reconciler.close()
            lab.restarted().on_planned = guard.planned
        case 9:
            lab.probe(ok=random.random() < 0.5, code=500)
        case 10 if tasks:
            check_says(lab, random.choice(tasks), random.choice(["HEALTHY", "UNHEALTHY"]))
        case 11 if tasks:
            lab.report(random.choice(tasks), "STOPPED", reason="CannotStartContainerError: no")
        case 12 if hosts:
            host = random.choice(hosts)
            lab.change(host, agent_connected=not host.agent_connected)


def user_stops(lab: Lab, task: Task) -> None:
    after = stop(task, now=lab.now, code=USER_INITIATED, reason=STOPPED_BY_USER)
    with lab.store.transaction() as tx:
        write_task(tx, task, after, now=lab.now)


def check_says(lab: Lab, task: Task, health: str) -> None:
    definition = lab.store.get(TaskDefinition, task.task_definition_arn)
    assert definition is not None
    after = apply_health(task, definition, {"app": health}, now=lab.now)
    with lab.store.transaction() as tx:
        write_task(tx, task, after, now=lab.now)


def work(lab: Lab, random: Random, share: float) -> None:
    """Agents do a share of what they are told."""
    for task in lab.tasks("PENDING"):
        if random.random() < share:
            lab.report(task, "RUNNING")
    for task in lab.tasks("STOPPING"):
        if random.random() < share:
            lab.report(task, "STOPPED", exit_code=143)


@pytest.mark.parametrize("seed", SEEDS)
def test_bounds_hold_and_peace_brings_the_goal(seed: int) -> None:
    random = Random(seed)
    lab = a_world(random)
    guard = Guard(lab)
    for _ in range(60):
        disturb(lab, guard, random)
        lab.run(random.choice([0.0, 0.2, 3.0, 45.0, 310.0]))
        guard.applied = None  # what was applied without any effect commits nothing
        work(lab, random, 0.7)
        if random.random() < 0.5:
            lab.probe()
    guard.lost = 0
    lab.put(*(instance(n) for n in range(20_000, 20_010)), loosened(lab.service))
    for host in lab.store.all(ContainerInstance):
        lab.change(host, agent_connected=True)
    make_peace(lab)
    goal = lab.service
    running = [t for t in lab.tasks() if t.last_status == "RUNNING" and t.wanted]
    if goal.primary.rollout_state != "FAILED":
        assert goal.steady
        assert [d.rollout_state for d in goal.deployments] == ["COMPLETED"]
        assert len(running) == goal.desired_count
        assert {t.deployment_id for t in running} <= {goal.primary.id}
    lab.check_idle()
    lab.put(replace(goal, status="DRAINING", desired_count=0))
    make_peace(lab)
    lab.run(3700)
    assert list(lab.store.all(Service)) == []
    assert lab.tasks() == [] and lab.targets() == []


def loosened(of: Service) -> Service:
    """The service with bounds that leave a move at every count: 75/150 of one task is a deadlock in ECS."""
    if of.scheduling_strategy == "DAEMON":
        return of
    configuration = replace(of.deployment_configuration, minimum_healthy_percent=100, maximum_percent=200)
    return replace(of, deployment_configuration=configuration)


def make_peace(lab: Lab) -> None:
    """Healthy agents and targets for as long as the longest of ECS's own waits may take."""
    for _ in range(80):
        lab.run(61)
        work(lab, Random(0), 1.0)
        for task in lab.tasks("RUNNING"):
            check_says(lab, task, "HEALTHY")
        lab.probe()
    lab.settle()


def test_the_guard_sees_a_planted_bug() -> None:
    """A plan that stops a healthy task below the floor is caught; so the runs above mean something."""
    lab = Lab(definition(1))
    spec = service(1, completed(1, 1))
    lab.put(spec)
    only = a_task("planted", started_at=0.0)
    lab.put(only)
    guard = Guard(lab)
    with pytest.raises(AssertionError):
        guard.check(Plan((StopTask(only, 0, "x", "x", "planted"),)))

