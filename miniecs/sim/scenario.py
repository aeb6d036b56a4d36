"""One random run: a cluster, services, users who change their minds, and faults; then it must come to rest.

A run is decided by its seed alone. It ends when all invariants held all the time and what is
wanted at the end runs; or with the first one that was broken, and the history that led there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from miniecs.ids import Ids
from miniecs.model.instance import ContainerInstance
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.sim import grouped
from miniecs.sim.broken import InvariantBroken
from miniecs.sim.faults import Faults
from miniecs.sim.record import Recorder
from miniecs.sim.rules import violations
from miniecs.sim.world import ControlPlaneDown, World
from miniecs_agent.sim.instances import SimulatedHost
from miniecs_api.wire.errors import AwsError

MIN_HOSTS = 20
FAULTS = 12  # in each run
SERVICES = 5
DEPLOYMENTS = 3  # at least, amid the faults
USER_STEPS = 7  # of any other sort
REST_LIMIT = 2400.0  # seconds after the last fault until everything must be as wanted

GOOD_IMAGE = "httpd:2.4"
BAD_IMAGES = (
    "sim/exit-1-after-20",
    "sim/pull-fails",
    "sim/start-fails",
    "sim/oom-after-30",
    "sim/ignores-sigterm",
    "sim/never-healthy",
    "sim/unhealthy-after-30",
    "sim/answers-503",
)


@dataclass
class Outcome:
    """How a run went. failure is '' when it went well. history: its last lines."""

    seed: int
    failure: str = ""
    history: list[str] = field(default_factory=list)
    actions: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)  # situations of the load balancer
    commits: int = 0
    services: int = 0  # that were created
    deployments: int = 0  # of services that were there
    seconds: float = 0.0  # simulated


def run(seed: int, with_history: bool = False) -> Outcome:
    """The run of this seed. A failed one always has its history."""
    outcome = Outcome(seed)
    choices = Ids(seed * 2 + 1)  # of its own, so that what is chosen does not depend on what happens
    world = World(
        seed,
        hosts=MIN_HOSTS + choices.number(5),
        zones=3,
        types=("m5.large", "c5.xlarge"),
        timing=grouped.TIMING if grouped.is_grouped(seed) else None,
    )
    return played(outcome, world, Run(world, choices).play, with_history)


def played(outcome: Outcome, world: World, play: Callable[[], None], with_history: bool) -> Outcome:
    """What came of playing in this world."""
    recorder = Recorder(world.store, lambda: world.now)
    try:
        play()
    except InvariantBroken as broken:
        outcome.failure = str(broken)
    recorder.close()
    broken_rules = violations(recorder.entries, healthy_after=world.timing.healthy_after)
    outcome.failure = outcome.failure or "; ".join(map(str, broken_rules[:3]))
    if outcome.failure or with_history:
        outcome.history = world.history.lines()
    outcome.actions, outcome.faults = world.history.actions, world.history.faults
    outcome.met = world.data_plane.met
    if world.requests is not None:
        outcome.met += world.requests.met
    if world.releases is not None:
        outcome.met += world.releases.met
    outcome.services, outcome.deployments = recorder.services_and_deployments()
    outcome.commits = world.invariants.checks if world.invariants is not None else 0
    outcome.seconds = world.history.elapsed
    return outcome


@dataclass(frozen=True)
class Kind:
    """A sort of service: what its task definition and its CreateService have besides the usual."""

    name: str
    container: dict[str, Any] = field(default_factory=dict)
    service: dict[str, Any] = field(default_factory=dict)
    network_mode: str = "bridge"
    size: dict[str, str] = field(default_factory=dict)  # of the task: Fargate needs one
    balanced: bool = False
    sidecar: bool = False
    alarm: str = ""  # ends its deployments


_HEALTH_CHECK = {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 2}
_IN_SUBNETS = {
    "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-11111111", "subnet-22222222"]}}
}
_ALARM = {
    "MetricName": "Latency",
    "Namespace": "Sim",
    "Statistic": "Average",
    "Period": 30,
    "EvaluationPeriods": 2,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
}
_DYNAMIC = [{"containerPort": 80, "hostPort": 0}]
_KINDS = (
    Kind("plain"),
    Kind(
        "checked",
        {"healthCheck": _HEALTH_CHECK},
        {"deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 100}},
    ),
    Kind(
        "balanced",
        {"portMappings": _DYNAMIC},
        {
            "healthCheckGracePeriodSeconds": 20,
            "deploymentConfiguration": {"minimumHealthyPercent": 75, "maximumPercent": 150},
        },
        balanced=True,
    ),
    Kind(
        "static",
        {"portMappings": [{"containerPort": 80, "hostPort": 8080}]},
        {
            "placementStrategy": [{"type": "binpack", "field": "memory"}],
            "deploymentConfiguration": {
                "minimumHealthyPercent": 100,
                "maximumPercent": 200,
                "deploymentCircuitBreaker": {"enable": True, "rollback": False},
            },
        },
    ),
    Kind(
        "paired",
        {"stopTimeout": 5},
        {
            "placementConstraints": [{"type": "distinctInstance"}],
            "deploymentConfiguration": {"minimumHealthyPercent": 67, "maximumPercent": 134},
        },
        sidecar=True,
    ),
    Kind(
        "dense",
        {"memory": 3000},
        {"placementStrategy": [{"type": "binpack", "field": "memory"}]},
    ),
    Kind(
        "breaking",
        {},
        {
            "deploymentConfiguration": {
                "minimumHealthyPercent": 50,
                "maximumPercent": 150,
                "deploymentCircuitBreaker": {
                    "enable": True,
                    "rollback": True,
                    "resetOnHealthyTask": False,
                    "thresholdConfiguration": {"type": "COUNT", "value": 4},
                },
                "earlySuccessCriteria": {
                    "enable": True,
                    "healthyPercent": 75,
                    "sourceServiceRevisionCleanup": "DEFERRED",
                },
            },
        },
    ),
    Kind(
        "alarmed",
        {"healthCheck": _HEALTH_CHECK},
        {
            "deploymentConfiguration": {
                "minimumHealthyPercent": 0,
                "maximumPercent": 100,
                "alarms": {"alarmNames": ["too-slow"], "enable": True, "rollback": True},
                "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            },
        },
        alarm="too-slow",
    ),
    Kind("daemon", {}, {"schedulingStrategy": "DAEMON"}),
    Kind("host-network", {"portMappings": [{"containerPort": 9090}]}, network_mode="host"),
    Kind("awsvpc", {"portMappings": [{"containerPort": 80}]}, _IN_SUBNETS, network_mode="awsvpc"),
    Kind(
        "fargate",
        {"portMappings": [{"containerPort": 80}]},
        {**_IN_SUBNETS, "launchType": "FARGATE"},
        network_mode="awsvpc",
        size={"cpu": "512", "memory": "2048"},
    ),
)
_PROVIDED = (
    Kind("provided", {"memory": 1500}, grouped.STRATEGY),
    Kind(
        "apart",
        {},
        {
            **grouped.STRATEGY,
            "placementConstraints": [{"type": "distinctInstance"}],
            "deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 150},
        },
    ),
)


class Run:
    """The users and the bad luck of one run."""

    def __init__(self, world: World, choices: Ids) -> None:
        self._world = world
        self._choices = choices
        self._faults = Faults(world)
        self._services: dict[str, Kind] = {}
        self._revisions = 0

    def play(self) -> None:
        world = self._world
        world.run(5.0)
        kinds = self._some(_KINDS, SERVICES)
        if grouped.is_grouped(world.seed):
            grouped.add_group(world, self._choices)
            kinds[:2] = [_PROVIDED[0], self._one((_PROVIDED[1], kinds[0]))]
        for kind in kinds:
            self._create(kind)
        if grouped.is_grouped(world.seed) and self._choices.number(2):
            grouped.run_tasks(world, self._choices, grouped.LARGEST)
        world.run(60.0 + self._choices.number(60))
        steps: list[Callable[[], None]] = [
            *[self._user_step] * USER_STEPS,
            *[self._deploy_step] * DEPLOYMENTS,
            *[self._fault] * FAULTS,
        ]
        while steps:
            step = steps.pop(self._choices.number(len(steps)))
            step()
            # Half of what happens, happens in the middle of what the last step set going.
            world.run(self._choices.number((2_000, 90_000)[self._choices.number(2)]) / 1000)
            self._check_explained()
        self._come_to_rest()

    # Users

    def _create(self, kind: Kind) -> None:
        definition = self._register(kind, GOOD_IMAGE)
        params: dict[str, Any] = {
            "serviceName": kind.name,
            "taskDefinition": definition,
            **kind.service,
        }
        if kind.service.get("schedulingStrategy") != "DAEMON":
            params["desiredCount"] = 3 + self._choices.number(8)
        if kind.balanced:
            params["loadBalancers"] = [
                {"targetGroupArn": self._target_group(), "containerName": "main", "containerPort": 80}
            ]
        if kind.alarm:
            self._world.call("cloudwatch", "PutMetricAlarm", AlarmName=kind.alarm, **_ALARM)
        self._world.ecs("CreateService", **params)
        self._services[kind.name] = kind

    def _register(self, kind: Kind, image: str) -> str:
        main: dict[str, Any] = {
            "name": "main",
            "image": image,
            "cpu": 64 + 64 * self._choices.number(4),
            "memory": 128 + 64 * self._choices.number(6),
            **kind.container,
        }
        containers = [main]
        if kind.sidecar:
            main["dependsOn"] = [
                {"containerName": "init", "condition": "SUCCESS"},
                {"containerName": "side", "condition": "START"},
            ]
            containers += [
                {"name": "init", "image": "sim/exit-0-after-2", "memory": 32, "essential": False},
                {"name": "side", "image": "envoy", "memory": 64, "essential": False},
            ]
        self._revisions += 1
        answer = self._world.ecs(
            "RegisterTaskDefinition",
            family=kind.name,
            networkMode=kind.network_mode,
            containerDefinitions=containers,
            **kind.size,
        )
        arn: str = answer["taskDefinition"]["taskDefinitionArn"]
        return arn

    def _target_group(self) -> str:
        world = self._world
        balancer = world.elbv2(
            "CreateLoadBalancer", Name="front", Subnets=["subnet-11111111", "subnet-22222222"]
        )["LoadBalancers"][0]["LoadBalancerArn"]
        group: str = world.elbv2(
            "CreateTargetGroup",
            Name="web",
            Protocol="HTTP",
            Port=80,
            VpcId="vpc-11111111",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        delay = str(10 + self._choices.number(50))
        world.elbv2(
            "ModifyTargetGroupAttributes",
            TargetGroupArn=group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": delay}],
        )
        world.elbv2(
            "CreateListener",
            LoadBalancerArn=balancer,
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )
        return group

    def _user_step(self) -> None:
        """Something that a user does; AWS may refuse it, as things change."""
        self._do_one_of(
            self._scale,
            self._scale,
            self._force_deployment,
            self._stop_deployment,
            self._set_alarm,
            self._drain,
            self._undrain,
            self._run_task,
            self._stop_task,
            self._protect,
            self._delete_service,
        )

    def _deploy_step(self) -> None:
        self._do_one_of(self._deploy_good, self._deploy_good, self._deploy_bad)

    def _do_one_of(self, *steps: Callable[[], None]) -> None:
        self._world.run_until(lambda: self._world.is_up, limit=120.0)
        step = steps[self._choices.number(len(steps))]
        try:
            step()
        except AwsError as refused:
            self._world.history.note("refuse", refused.code, {"message": refused.message})
        except ControlPlaneDown:
            self._world.history.note("refuse", "nobody answers", {})

    def _deploy_good(self) -> None:
        kind = self._any_service()
        if kind is not None:
            self._update(kind, taskDefinition=self._register(kind, GOOD_IMAGE))

    def _deploy_bad(self) -> None:
        kind = self._any_service()
        if kind is not None:
            self._update(kind, taskDefinition=self._register(kind, self._one(BAD_IMAGES)))

    def _scale(self) -> None:
        kind = self._any_service()
        if kind is not None and kind.service.get("schedulingStrategy") != "DAEMON":
            self._update(kind, desiredCount=self._choices.number(13))

    def _force_deployment(self) -> None:
        kind = self._any_service()
        if kind is not None:
            self._update(kind, forceNewDeployment=True)

    def _stop_deployment(self) -> None:
        """Of the service whose deployment began last, if it is under way yet."""
        found = [
            each
            for kind in self._services
            for each in self._world.ecs("ListServiceDeployments", service=kind)["serviceDeployments"]
        ]
        if found:
            newest = max(found, key=lambda each: float(each["createdAt"]))
            how = self._one(("ROLLBACK", "ABORT"))
            self._world.ecs(
                "StopServiceDeployment", serviceDeploymentArn=newest["serviceDeploymentArn"], stopType=how
            )

    def _set_alarm(self) -> None:
        self._set_alarms(self._one(("ALARM", "OK")))

    def _set_alarms(self, state: str) -> None:
        for kind in self._services.values():
            if kind.alarm:
                self._world.call(
                    "cloudwatch", "SetAlarmState", AlarmName=kind.alarm, StateValue=state, StateReason="sim"
                )

    def _update(self, kind: Kind, **params: Any) -> None:
        self._world.ecs("UpdateService", service=kind.name, **params)

    def _drain(self) -> None:
        hosts = self._some(self._world.hosts(), 1 + self._choices.number(2))
        self._set_state([host.arn for host in hosts if host.arn], "DRAINING")

    def _undrain(self) -> None:
        draining = [
            instance.arn
            for instance in self._world.store.find(ContainerInstance, "cluster", self._world.cluster_arn)
            if instance.status == "DRAINING"
        ]
        self._set_state(draining[:10], "ACTIVE")

    def _set_state(self, arns: list[str], status: str) -> None:
        if arns:
            self._world.ecs("UpdateContainerInstancesState", containerInstances=arns, status=status)

    def _run_task(self) -> None:
        if grouped.is_grouped(self._world.seed) and self._choices.number(3):
            grouped.run_tasks(self._world, self._choices)
            return
        image = self._one((GOOD_IMAGE, "sim/exit-0-after-20", "sim/exit-3"))
        definition = self._register(Kind("once"), image)
        self._world.ecs("RunTask", taskDefinition=definition, count=1 + self._choices.number(4))

    def _stop_task(self) -> None:
        tasks = [task for task in self._world.tasks() if task.wanted]
        if tasks:
            self._world.ecs("StopTask", task=self._one(tasks).arn, reason="enough")

    def _protect(self) -> None:
        """Half of what a service runs, for less than a scenario's rest at the end."""
        running = [t.arn for t in self._world.tasks("RUNNING") if t.wanted and t.service_arn is not None]
        chosen = self._some(running, min(10, len(running) // 2))
        if chosen:
            self._world.ecs(
                "UpdateTaskProtection",
                cluster=self._world.cluster_arn,
                tasks=chosen,
                protectionEnabled=True,
                expiresInMinutes=1 + self._choices.number(10),
            )

    def _delete_service(self) -> None:
        if len(self._services) > 3:
            kind = self._any_service()
            assert kind is not None
            self._world.ecs("DeleteService", service=kind.name, force=True)
            del self._services[kind.name]

    # Bad luck

    def _fault(self) -> None:
        world, faults = self._world, self._faults
        host = self._one(world.hosts())
        seconds = 5.0 + self._choices.number(120)
        match self._choices.number(14):
            case 0:
                faults.lose_host(host, noticed_after=seconds)
            case 1 if self._choices.number(3) == 0:
                faults.lose_zone(self._one(world.zones), noticed_after=seconds)
            case 2 | 1:
                faults.cut_link(self._busy_host() or host, seconds)
            case 3:
                faults.slow_pulls(host, 5.0 + self._choices.number(40), lasting=seconds)
            case 4:
                faults.failed_pulls(host, lasting=seconds)
            case 5:
                self._on_container(faults.crash)
            case 6:
                self._on_container(faults.out_of_memory)
            case 7:
                self._on_container(faults.fail_health_check)
            case 8:
                self._on_balanced(faults.fail_probes)
            case 9:
                faults.duplicate_reports(10 + self._choices.number(60), seconds)
            case 10:
                faults.delay_reports(10 + self._choices.number(60), seconds)
            case 11:
                faults.restart_agent(host)
            case 12:
                if world.is_up:
                    faults.kill_control_plane(1.0 + self._choices.number(90))
            case _:
                if world.is_up:
                    faults.kill_control_plane(1.0 + self._choices.number(30), at_next_plan=True)

    def _busy_host(self) -> SimulatedHost | None:
        """One on which a task is starting or stopping: where a report may be under way."""
        busy = [task for task in self._world.tasks("PENDING", "STOPPING") if task.container_instance_arn]
        if not busy:
            return None
        host = self._world.instances.get(self._one(busy).container_instance_arn)
        return host if host is not None and host.alive else None

    def _on_container(self, fault: Callable[[SimulatedHost, str, str], bool]) -> None:
        """Try a fault on running containers until one takes it."""
        hosts = self._world.hosts()
        first = self._choices.number(len(hosts))
        for host in (*hosts[first:], *hosts[:first]):
            for container in host.engine.running():
                if fault(host, container.task.arn, container.spec.name):
                    return

    def _on_balanced(self, fault: Callable[[SimulatedHost, str, str], None]) -> None:
        for task in self._world.tasks("RUNNING", service="balanced"):
            host = self._world.instances.get(task.container_instance_arn or "")
            if host is not None and host.alive:
                fault(host, task.arn, "main")
                return

    # The end

    def _come_to_rest(self) -> None:
        """No more faults, only good images and hosts that may be used: everything must end as wanted."""
        world = self._world
        self._faults.heal()
        world.run(200.0)  # hosts that were lost are noticed and replaced, the control plane is up
        world.run_until(lambda: world.is_up, limit=200.0)
        if world.invariants is not None:
            world.invariants.check_reported()
        self._check_explained()
        self._undrain()
        self._set_alarms("OK")
        has_group = grouped.is_grouped(world.seed)
        if has_group:
            grouped.end_standalone(world)
        for kind in list(self._services.values()):
            params: dict[str, Any] = {"taskDefinition": self._register(kind, GOOD_IMAGE)}
            if kind.service.get("schedulingStrategy") != "DAEMON":
                # With one or two tasks some of the bounds allow no move: ECS deadlocks then, and so do we.
                params["desiredCount"] = 4 + self._choices.number(6)
            self._update(kind, **params)
        self._rest()
        for kind in self._services.values():
            if kind.service.get("schedulingStrategy") != "DAEMON":
                # A group that shrinks empties instances: then too the bounds have to allow moves.
                self._update(kind, desiredCount=(3 if has_group else 1) + self._choices.number(4))
        self._rest()

    def _rest(self) -> None:
        """Run until everything is as wanted, and see whether it is."""
        world = self._world
        end = world.now + REST_LIMIT
        rested = False
        while world.now < end and not rested:
            while world.now < end and not self._is_at_rest():
                world.run(20.0)
            world.run(200.0)  # what is only slow has ended by now
            rested = self._is_at_rest()  # zones that were balanced meanwhile may have emptied an instance
        assert world.invariants is not None
        world.invariants.check_at_rest()
        assert world.group_invariants is not None
        world.group_invariants.check_at_rest()

    def _is_at_rest(self) -> bool:
        store = self._world.store
        if any(service.status == "ACTIVE" and not service.steady for service in store.all(Service)):
            return False
        if self._world.group_invariants is not None and not self._world.group_invariants.are_settled():
            return False
        return not any(
            task.desired_status == "STOPPED" or task.last_status != "RUNNING"
            for task in store.find(Task, "cluster", self._world.cluster_arn)
            if not task.is_stopped
        )

    def _check_explained(self) -> None:
        if self._world.invariants is not None:
            self._world.invariants.check_explained()
        if self._world.group_invariants is not None:
            self._world.group_invariants.check_waiting()

    # Choosing

    def _any_service(self) -> Kind | None:
        return self._one(list(self._services.values())) if self._services else None

    def _one(self, things: Any) -> Any:
        return things[self._choices.number(len(things))]

    def _some(self, things: Any, count: int) -> list[Any]:
        left = list(things)
        return [left.pop(self._choices.number(len(left))) for _ in range(min(count, len(left)))]
