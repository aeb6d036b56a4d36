"""What can go wrong with a simulated cluster: each fault a method, ended by the clock or by ``heal``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from miniecs.model.instance import ContainerInstance
from miniecs.model.load_balancing import Target
from miniecs.store import Change, Commit
from miniecs_agent.sim.behaviours import NORMAL, OUT_OF_MEMORY, Behaviour
from miniecs_agent.sim.instances import SimulatedHost

if TYPE_CHECKING:
    from miniecs.sim.world import World

KINDS = (
    "lose host",
    "lose zone",
    "cut link",
    "slow pulls",
    "failed pulls",
    "image pushed",
    "container crash",
    "out of memory",
    "failing health check",
    "failing probes",
    "duplicate reports",
    "delayed reports",
    "control plane killed",
    "control plane killed between plan and apply",
    "agent restart",
)


class Faults:
    """Faults of one world. Those on a container say False, and count nothing, when it does not run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sick: list[tuple[SimulatedHost, str, str]] = []
        self._unwatch: Callable[[], None] = lambda: None

    # Hosts

    def lose_host(self, host: SimulatedHost, *, noticed_after: float = 60.0, replace: bool = True) -> None:
        """The machine is gone. Later its instance is deregistered, as after an EC2 termination.

        Another takes its place, by its Auto Scaling group if it is of one; else if ``replace``.
        """
        self._world.history.fault("lose host", host=host.arn)
        self._lose(host, noticed_after, replace)

    def lose_zone(self, zone: str, *, noticed_after: float = 60.0, replace: bool = True) -> int:
        """Every host of a zone is gone; how many."""
        hosts = [host for host in self._world.hosts() if host.facts.zone == zone]
        if hosts:
            self._world.history.fault("lose zone", zone=zone, hosts=len(hosts))
        for host in hosts:
            self._lose(host, noticed_after, replace)
        return len(hosts)

    def _lose(self, host: SimulatedHost, noticed_after: float, replace: bool) -> None:
        if host.facts.instance_id in self._world.instances.group_machines():
            replace = False  # its group does so
        host.lose()
        self._world.network.cut(host.facts.instance_id)
        at = self._world.now + noticed_after
        self._world.timeline.call_at(at, partial(self._notice, host, replace))

    def _notice(self, host: SimulatedHost, replace: bool) -> None:
        """EC2 tells ECS that the instance has terminated, and its Auto Scaling group starts another."""
        world = self._world
        if not world.is_up:
            world.timeline.call_at(world.now + 5.0, partial(self._notice, host, replace))
            return
        instance = world.store.get(ContainerInstance, host.arn)
        if instance is not None and instance.status != "INACTIVE":
            world.call(
                "ecs",
                "DeregisterContainerInstance",
                cluster=world.cluster,
                containerInstance=host.arn,
                force=True,
            )
        world.network.heal(host.facts.instance_id)
        world.instances.remove(host.arn)
        if replace:
            world.add_host(zone=host.facts.zone, type=host.facts.instance_type)

    def restart_agent(self, host: SimulatedHost) -> None:
        """The agent's process ends and starts again; its containers run on."""
        self._world.history.fault("agent restart", host=host.arn)
        host.restart_agent()

    # Links

    def cut_link(self, host: SimulatedHost, seconds: float) -> None:
        """Nothing gets through between host and control plane for so long."""
        self._world.history.fault("cut link", host=host.arn, seconds=seconds)
        self._world.network.cut(host.facts.instance_id)
        self._later(seconds, partial(self._heal_link, host))

    def _heal_link(self, host: SimulatedHost) -> None:
        if host.alive:
            self._world.network.heal(host.facts.instance_id)

    def duplicate_reports(self, percent: int, seconds: float) -> None:
        """So many of the agents' calls arrive twice, the second up to 40 s later."""
        self._world.history.fault("duplicate reports", percent=percent, seconds=seconds)
        network = self._world.network
        network.duplicated_percent = percent
        self._later(seconds, lambda: setattr(network, "duplicated_percent", 0))

    def delay_reports(self, percent: int, seconds: float) -> None:
        """So many of the agents' calls take up to 40 s, so that they overtake each other."""
        self._world.history.fault("delayed reports", percent=percent, seconds=seconds)
        network = self._world.network
        network.delayed_percent = percent
        self._later(seconds, lambda: setattr(network, "delayed_percent", 0))

    # Containers

    def slow_pulls(self, host: SimulatedHost, seconds: float, *, lasting: float) -> None:
        """Every pull on the host takes so many seconds more."""
        self._world.history.fault("slow pulls", host=host.arn, seconds=seconds)
        self._pulls(host, (seconds, False), lasting)

    def failed_pulls(self, host: SimulatedHost, *, lasting: float) -> None:
        """No pull on the host succeeds."""
        self._world.history.fault("failed pulls", host=host.arn)
        self._pulls(host, (0.0, True), lasting)

    def push(self, image: str) -> None:
        """The image's tag stands for something else from now on."""
        self._world.history.fault("image pushed", image=image)
        self._world.instances.registry.push(image)

    def _pulls(self, host: SimulatedHost, outcome: tuple[float, bool], lasting: float) -> None:
        host.engine.pull_fault = lambda _image: outcome
        self._later(lasting, lambda: setattr(host.engine, "pull_fault", None))

    def crash(self, host: SimulatedHost, task_arn: str, container: str, exit_code: int = 1) -> bool:
        """A container ends by itself."""
        if not host.engine.crash(task_arn, container, exit_code):
            return False
        self._world.history.fault("container crash", task=task_arn, container=container)
        return True

    def out_of_memory(self, host: SimulatedHost, task_arn: str, container: str) -> bool:
        """A container is killed for its memory."""
        if not host.engine.crash(task_arn, container, 137, OUT_OF_MEMORY):
            return False
        self._world.history.fault("out of memory", task=task_arn, container=container)
        return True

    def fail_health_check(self, host: SimulatedHost, task_arn: str, container: str) -> bool:
        """A container's health check fails from now on."""
        if not host.engine.set_health(task_arn, container, "UNHEALTHY"):
            return False
        self._world.history.fault("failing health check", task=task_arn, container=container)
        return True

    def fail_probes(self, host: SimulatedHost, task_arn: str, container: str, code: int | None = 503) -> None:
        """A container answers its load balancer's probes with this code (None: not at all) from now on."""
        self._world.history.fault("failing probes", task=task_arn, container=container)
        host.engine.change_behaviour(task_arn, container, Behaviour(answers=code))
        self._sick.append((host, task_arn, container))

    # The control plane

    def kill_control_plane(self, down_for: float, *, at_next_plan: bool = False) -> None:
        """Its process is killed, now or between planning and applying, and started again on its store."""
        name = "control plane killed" + (" between plan and apply" if at_next_plan else "")
        self._world.history.fault(name, seconds=down_for)
        self._world.kill_control_plane(down_for, at_next_plan=at_next_plan)

    def kill_as_targets_drain(self, down_for: float) -> None:
        """Its process is killed when next a target begins to drain, before the load balancer is told."""
        self._unwatch()
        self._unwatch = self._world.store.subscribe(partial(self._see_draining, down_for))

    def _see_draining(self, down_for: float, commit: Commit) -> None:
        if any(change.kind is Target and _begins_to_drain(change) for change in commit.changes):
            self._unwatch()
            # Who commits is still at it.
            self._world.timeline.call_at(self._world.now, partial(self._die_draining, down_for))

    def _die_draining(self, down_for: float) -> None:
        if self._world.is_up:
            self._world.history.fault("control plane killed as targets begin to drain", seconds=down_for)
            self._world.kill_control_plane(down_for)

    def kill_proxy(self, down_for: float) -> None:
        """The load balancer's process is killed, and started again on its file."""
        self._world.history.fault("proxy killed", seconds=down_for)
        self._world.data_plane.kill(down_for)

    # The end

    def heal(self) -> None:
        """End every fault that still lasts; what was lost stays lost."""
        self._world.spare_control_plane()
        self._unwatch()
        network = self._world.network
        network.duplicated_percent = network.delayed_percent = 0
        for host in self._world.machines():
            host.engine.pull_fault = None
            network.heal(host.facts.instance_id)
        for host, task_arn, container in self._sick:
            host.engine.change_behaviour(task_arn, container, NORMAL)
        self._sick.clear()

    def _later(self, seconds: float, fn: Callable[[], None]) -> None:
        self._world.timeline.call_at(self._world.now + seconds, fn)


def _begins_to_drain(change: Change) -> bool:
    before: Target | None = change.before
    after: Target | None = change.after
    is_draining = after is not None and after.state == "draining"
    return is_draining and (before is None or before.state != "draining")
