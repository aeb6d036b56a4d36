"""One random run of a service behind a load balancer under steady requests, of which none may fail.

Users update, scale, drain and stop; control plane and proxy die in the middle. In one run of four hosts and
containers are lost too: then requests to these may fail, and to nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from miniecs.ids import Ids
from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.sim.broken import broken
from miniecs.sim.faults import Faults
from miniecs.sim.kinds import GOOD_IMAGE
from miniecs.sim.outcome import Outcome, played
from miniecs.sim.requests import Requests
from miniecs.sim.world import ControlPlaneDown, World
from miniecs_agent.sim.instances import SimulatedHost
from miniecs_api.wire.errors import AwsError

ROLLS = 5  # rolling updates in each run
EVERY = 0.2  # seconds between two requests, beside those at the worst moments
MOST_TASKS = 6
LOSSES_IN = 4  # one run of so many
REST_LIMIT = 1200.0

_IMAGES = (GOOD_IMAGE, "sim/ignores-sigterm", "sim/stops-in-3", "sim/pull-takes-4")
_SICK_IMAGE = "sim/answers-503"
_PERCENTAGES = ((100, 200), (50, 200), (50, 100), (75, 150), (100, 150))
_HEALTH_CHECK = {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 2}
_SUBNETS = ["subnet-11111111", "subnet-22222222"]

SITUATIONS = (
    "rolling update",
    "rolling update to a version that fails its health check",
    "scale-out",
    "scale-in",
    "instance drain",
    "stop-task",
    "stop-task while its new target takes requests, as none is healthy",
    "control plane killed while targets drain",
    "control plane killed as targets begin to drain",
    "proxy killed",
    "proxy connected",
    "requests",
    "requests at the worst moment",
    "requests in flight as their target began to drain",
    "requests that were lost with the proxy",
    "requests that failed at a lost target",
    "requests to targets that are not healthy, as all are",
    "targets by address",
    "targets by host port",
    "targets that drained anew",
)
"""What a batch of runs must have met, or it has shown nothing."""


class Network(NamedTuple):
    """How a service's tasks are reached.

    hosts: enough for all tasks and one that comes, with one host drained and one lost.
    """

    mode: str
    target_type: str
    hosts: int
    host_port: int | None = None
    fargate: bool = False


NETWORKS = (
    Network("bridge", "instance", 4, host_port=0),
    Network("host", "instance", MOST_TASKS + 3),  # one static port a host
    Network("awsvpc", "ip", 6),  # three interfaces a host
    Network("awsvpc", "ip", 1, fargate=True),
)


def run(seed: int, with_history: bool = False) -> Outcome:
    """The run of this seed. A failed one always has its history."""
    choices = Ids(seed * 2 + 1)
    network = NETWORKS[seed // LOSSES_IN % len(NETWORKS)]
    world = World(seed, hosts=network.hosts, types=("m5.2xlarge",))
    return played(seed, world, Run(world, choices, seed, network).play, with_history)


class Run:
    """The service's users, and what dies under them."""

    def __init__(self, world: World, choices: Ids, seed: int, network: Network) -> None:
        self._world = world
        self._choices = choices
        self._faults = Faults(world)
        self._losses = seed % LOSSES_IN == LOSSES_IN - 1
        self._network = network
        self._checked = choices.number(3) == 0
        self._delay = 5 + choices.number(20)
        self._requests = Requests(world, every=EVERY, longest=self._delay - 0.5, losses=self._losses)
        self._desired = 2 + choices.number(4)
        self._is_sick = False  # the newest version fails its health check

    def play(self) -> None:
        world = self._world
        world.run(5.0)
        self._create()
        self._rest()
        self._requests.start()
        steps = self._steps()
        while steps:
            step = steps.pop(self._choices.number(len(steps)))
            world.run_until(lambda: world.is_up, limit=120.0)
            try:
                step()
            except (AwsError, ControlPlaneDown) as refused:
                world.history.note("refuse", type(refused).__name__, {"message": str(refused)})
            world.run(self._choices.number((1_000, 40_000)[self._choices.number(2)]) / 1000)
        self._come_to_rest()

    def _steps(self) -> list[Callable[[], None]]:
        kills = [self._kill, self._kill_between, self._kill_as_targets_drain, self._kill_while_targets_drain]
        steps = [
            *[self._roll] * ROLLS,
            self._roll_sick,
            self._scale_out,
            self._scale_in,
            self._drain,
            self._undrain,
            self._stop_task,
            self._restart_agent,
            self._kill_proxy,
            *(kills[self._choices.number(len(kills))] for _ in range(2)),
        ]
        return [*steps, *self._lossy_steps()] if self._losses else steps

    # Users

    def _create(self) -> None:
        network = self._network
        low, high = _PERCENTAGES[self._choices.number(len(_PERCENTAGES))]
        params: dict[str, Any] = {
            "serviceName": "web",
            "taskDefinition": self._register(GOOD_IMAGE),
            "desiredCount": self._desired,
            "loadBalancers": [
                {"targetGroupArn": self._target_group(), "containerName": "main", "containerPort": 80}
            ],
            "deploymentConfiguration": {"minimumHealthyPercent": low, "maximumPercent": high},
            "healthCheckGracePeriodSeconds": self._choices.number(2) * 15,
        }
        if network.mode == "awsvpc":
            params["networkConfiguration"] = {"awsvpcConfiguration": {"subnets": _SUBNETS}}
        if network.fargate:
            params["launchType"] = "FARGATE"
        self._world.ecs("CreateService", **params)

    def _register(self, image: str) -> str:
        network = self._network
        port: dict[str, Any] = {"containerPort": 80}
        if network.host_port is not None:
            port["hostPort"] = network.host_port
        main: dict[str, Any] = {"name": "main", "image": image, "memory": 128, "portMappings": [port]}
        if self._checked:
            main["healthCheck"] = _HEALTH_CHECK
        sizes = {"cpu": "256", "memory": "512"} if network.fargate else {}
        answer = self._world.ecs(
            "RegisterTaskDefinition",
            family="web",
            networkMode=network.mode,
            containerDefinitions=[main],
            **sizes,
        )
        arn: str = answer["taskDefinition"]["taskDefinitionArn"]
        return arn

    def _target_group(self) -> str:
        elbv2 = self._world.elbv2
        balancer = elbv2("CreateLoadBalancer", Name="front", Subnets=_SUBNETS)["LoadBalancers"][0]
        group: str = elbv2(
            "CreateTargetGroup",
            Name="web",
            Protocol="HTTP",
            Port=80,
            VpcId="vpc-11111111",
            TargetType=self._network.target_type,
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(self._delay)}
        elbv2("ModifyTargetGroupAttributes", TargetGroupArn=group, Attributes=[delay])
        forward = [{"Type": "forward", "TargetGroupArn": group}]
        arn = balancer["LoadBalancerArn"]
        elbv2("CreateListener", LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=forward)
        return group

    def _roll(self) -> None:
        self._met("rolling update")
        self._is_sick = False
        image = _IMAGES[self._choices.number(len(_IMAGES))]
        self._world.ecs("UpdateService", service="web", taskDefinition=self._register(image))

    def _roll_sick(self) -> None:
        self._met("rolling update to a version that fails its health check")
        self._is_sick = True
        self._world.ecs("UpdateService", service="web", taskDefinition=self._register(_SICK_IMAGE))

    def _scale_out(self) -> None:
        self._met("scale-out")
        self._desired = min(MOST_TASKS, self._desired + 1 + self._choices.number(3))
        self._world.ecs("UpdateService", service="web", desiredCount=self._desired)

    def _scale_in(self) -> None:
        self._met("scale-in")
        self._desired = max(2, self._desired - 1 - self._choices.number(3))
        self._world.ecs("UpdateService", service="web", desiredCount=self._desired)

    def _drain(self) -> None:
        hosts = [task.container_instance_arn for task in self._world.tasks("RUNNING")]
        users = {host.arn for host in self._world.hosts()}
        host = next((arn for arn in hosts if arn in users), None)
        if host is not None:
            self._met("instance drain")
            self._set_state([host], "DRAINING")

    def _undrain(self) -> None:
        found = self._world.store.find(ContainerInstance, "cluster", self._world.cluster_arn)
        if draining := [instance.arn for instance in found if instance.status == "DRAINING"]:
            self._set_state(draining, "ACTIVE")

    def _set_state(self, arns: list[str], status: str) -> None:
        self._world.ecs("UpdateContainerInstancesState", containerInstances=arns, status=status)

    def _stop_task(self) -> None:
        """Of several: whoever stops the last healthy one has an outage, as in ECS."""
        healthy = [target for target in self._world.store.all(Target) if target.state == "healthy"]
        if len(healthy) > 1:
            self._met("stop-task")
            arn = healthy[self._choices.number(len(healthy))].task_arn
            self._world.ecs("StopTask", task=arn, reason="enough")

    # What dies, and nobody may notice

    def _down_for(self) -> float:
        """Shorter and longer than draining takes."""
        return 0.2 + self._choices.number(2 * self._delay * 10) / 10

    def _kill(self) -> None:
        self._faults.kill_control_plane(self._down_for())

    def _kill_between(self) -> None:
        self._faults.kill_control_plane(self._down_for(), at_next_plan=True)

    def _kill_as_targets_drain(self) -> None:
        self._faults.kill_as_targets_drain(self._down_for())

    def _kill_while_targets_drain(self) -> None:
        if self._world.run_until(self._is_draining, limit=30.0) and self._world.is_up:
            self._met("control plane killed while targets drain")
            self._kill()

    def _is_draining(self) -> bool:
        return any(target.state == "draining" for target in self._world.store.all(Target))

    def _kill_proxy(self) -> None:
        self._faults.kill_proxy(0.1 + self._choices.number(800) / 1000)

    def _restart_agent(self) -> None:
        self._faults.restart_agent(self._one(self._world.machines()))

    # What is lost

    def _lossy_steps(self) -> list[Callable[[], None]]:
        lossy = (self._crash, self._out_of_memory, self._lose_host, self._fail_all_probes)
        return [lambda lose=lose: self._alone(lose) for lose in lossy]  # type: ignore[misc]

    def _alone(self, lose: Callable[[], None]) -> None:
        """One loss at a time, of several tasks that serve: it is to be seen that the others go on."""
        if self._is_sick:
            self._roll()
        self._rest()
        lose()
        self._world.run(30.0)
        self._rest()

    def _crash(self) -> None:
        host, task = self._victim()
        self._faults.crash(host, task.arn, "main")

    def _out_of_memory(self) -> None:
        host, task = self._victim()
        self._faults.out_of_memory(host, task.arn, "main")

    def _lose_host(self) -> None:
        host, _ = self._victim()
        if host in self._world.hosts():  # Fargate's machines are nobody's to lose
            self._faults.lose_host(host, noticed_after=5.0 + self._choices.number(60))

    def _fail_all_probes(self) -> None:
        """Of as few tasks as can be: with more of them a gap would not show."""
        self._desired = 2
        self._world.ecs("UpdateService", service="web", desiredCount=self._desired)
        self._rest()
        for task in self._world.tasks("RUNNING"):
            host = self._world.instances.get(task.container_instance_arn or "")
            if host is not None:
                self._faults.fail_probes(host, task.arn, "main")
        self._stop_new_task()

    def _stop_new_task(self) -> None:
        """What is new is not healthy yet either, and takes requests with the others until it is."""

        def registered(*states: str) -> list[Target]:
            return [target for target in self._world.store.all(Target) if target.state in states]

        if not self._world.run_until(lambda: bool(registered("initial")), limit=40.0):
            return
        self._world.run(0.5)  # for some requests
        new = registered("initial")
        if new and len(registered("initial", "unhealthy", "healthy")) > 1:
            self._met("stop-task while its new target takes requests, as none is healthy")
            self._world.ecs("StopTask", task=new[0].task_arn, reason="enough")

    def _victim(self) -> tuple[SimulatedHost, Task]:
        task = self._one(self._world.tasks("RUNNING"))
        host = self._world.instances.get(task.container_instance_arn or "")
        assert host is not None
        return host, task

    # The end

    def _come_to_rest(self) -> None:
        world = self._world
        self._faults.heal()
        world.run(5.0)
        world.run_until(lambda: world.is_up, limit=200.0)
        self._undrain()
        self._desired = 2 + self._choices.number(3)
        definition = self._register(GOOD_IMAGE)
        world.ecs("UpdateService", service="web", taskDefinition=definition, desiredCount=self._desired)
        self._rest()
        assert world.invariants is not None
        world.invariants.check_at_rest()

    def _rest(self) -> None:
        """Run until the service is steady and nothing drains or stops any more."""
        world = self._world
        if not world.run_until(self._is_at_rest, limit=REST_LIMIT):
            why = [event.message for event in world.store.events(limit=3)]
            broken("a service behind a load balancer becomes steady", f"{why}")

    def _is_at_rest(self) -> bool:
        [service] = self._world.store.all(Service)
        return (
            service.steady
            and not self._is_draining()
            and all(task.last_status == "RUNNING" for task in self._world.tasks() if not task.is_stopped)
        )

    def _met(self, what: str) -> None:
        self._requests.met[what] += 1

    def _one(self, things: Any) -> Any:
        return things[self._choices.number(len(things))]
