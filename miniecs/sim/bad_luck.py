"""Which fault a random cluster meets next, and whom it hits: ``faults`` knows how each is done."""

from __future__ import annotations

from collections.abc import Callable

from miniecs.sim.choices import Choices
from miniecs.sim.faults import Faults
from miniecs.sim.kinds import BAD_IMAGES, GOOD_IMAGE
from miniecs.sim.world import World
from miniecs_agent.sim.instances import SimulatedHost


class BadLuck:
    """Faults by chance, each where it has something to hit."""

    def __init__(self, world: World, choices: Choices, faults: Faults) -> None:
        self._world = world
        self._choices = choices
        self._faults = faults

    def strike(self) -> None:
        """One fault that hits: another is tried where nothing is there for the first.

        Where every host was lost, others take their places first.
        """
        self._world.run_until(lambda: bool(self._world.hosts()))
        faults = self._world.history.faults
        before = faults.total()
        while faults.total() == before:
            self._try()

    def _try(self) -> None:
        world, faults = self._world, self._faults
        host = self._choices.one(world.hosts())
        seconds = 5.0 + self._choices.number(120)
        noticed_after = 5.0 + self._choices.number(90)
        match self._choices.number(17):
            case 0:
                faults.lose_host(host, noticed_after=noticed_after)
            case 1 if self._choices.number(2):
                faults.lose_zone(self._choices.one(world.zones), noticed_after=noticed_after)
            case 2 | 1:
                self._cut(self._busy_host() or host, seconds)
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
            case 9 | 15:
                faults.duplicate_reports(40 + self._choices.number(60), seconds)
            case 10 | 16:
                faults.delay_reports(40 + self._choices.number(60), seconds)
            case 11:
                faults.restart_agent(host)
            case 12:
                faults.push(self._choices.one((GOOD_IMAGE, GOOD_IMAGE, self._choices.one(BAD_IMAGES))))
            case 13:
                if world.is_up:
                    faults.kill_control_plane(self._down_for())
            case _:
                if world.is_up:
                    faults.kill_control_plane(self._down_for(), at_next_plan=True)

    def _down_for(self) -> float:
        """Mostly not for long: while nobody answers, little happens but that hosts ask again."""
        return 1.0 + self._choices.number((4, 40)[self._choices.number(6) == 0])

    def _busy_host(self) -> SimulatedHost | None:
        """One on which a task is starting or stopping: where a report may be under way."""
        busy = [task for task in self._world.tasks("PENDING", "STOPPING") if task.container_instance_arn]
        if not busy:
            return None
        host = self._world.instances.get(self._choices.one(busy).container_instance_arn or "")
        return host if host is not None and host.alive else None

    def _cut(self, host: SimulatedHost, seconds: float) -> None:
        """In half of the cases something ends there of which nobody hears for so long."""
        self._faults.cut_link(host, seconds)
        running = host.engine.running()
        if running and self._choices.number(2):
            container = self._choices.one(running)
            self._faults.crash(host, container.task.arn, container.spec.name)

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
