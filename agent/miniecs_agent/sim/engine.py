"""Containers that are only imagined: an engine for one simulated host, on whatever time its timers keep.

Behind the same protocol as Docker, so that the agent is the real one. It keeps the promises
that matter to the rest: a port is published once, a stopped container does not run again, what
takes time takes time; a container costs one timer to start and none to go on running.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import sha256
from typing import NamedTuple

from miniecs.config import Timing
from miniecs.ids import Ids
from miniecs.model.task import NetworkBinding
from miniecs_agent import engine
from miniecs_agent.core.spec import ContainerSpec, TaskSpec
from miniecs_agent.core.state import CREATE, PULL, REMOVE, START, STOP
from miniecs_agent.engine import EngineCall, EngineContainer, EngineEvent
from miniecs_agent.host_ports import HostPorts, Taken
from miniecs_agent.shell.timers import Timers
from miniecs_agent.sim.behaviours import NORMAL, Behaviour, UnknownBehaviour, behaviour_of

_DAEMON = "Error response from daemon"
KILLED = 137
TERMINATED = 0  # what an obedient container exits with


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds that engine calls take, from-to; an image is pulled once a host."""

    pull: tuple[float, float] = (0.2, 1.5)
    create: tuple[float, float] = (0.0, 0.0)
    start: tuple[float, float] = (0.05, 0.4)
    stop: tuple[float, float] = (0.05, 0.5)


@lru_cache(maxsize=1024)
def digest_of(image: str, pushes: int = 0) -> str:
    """What a tag stands for after so many pushes: any two contents differ."""
    return f"sha256:{sha256(f'{image} {pushes}'.encode()).hexdigest()}"


class SimRegistry:
    """Has every image, and keeps what a tag stood for before it was pushed again. For all hosts."""

    def __init__(self) -> None:
        self._pushes: Counter[str] = Counter()

    def push(self, image: str) -> None:
        """Give the tag another content."""
        self._pushes[image] += 1

    def pushes(self, image: str) -> int:
        return self._pushes[image]

    def resolve(self, image: str) -> str:
        return digest_of(image, self._pushes[image])


class ProbeAnswer(NamedTuple):
    """What a health check probe met: an HTTP code, or ``timeout`` or ``refused``."""

    code: int | None
    detail: str = ""


@dataclass(slots=True, eq=False)
class SimContainer:
    """One container. ``run`` counts starts: a timer of an earlier run means nothing any more."""

    task: TaskSpec
    spec: ContainerSpec
    runtime_id: str
    behaviour: Behaviour
    state: str = "created"  # created starting running exited
    run: int = 0
    exit_code: int | None = None
    started_at: float | None = None
    bindings: tuple[NetworkBinding, ...] = ()
    health: str = "UNKNOWN"
    reported: bool = False
    digest: str | None = None
    stopping: bool = False


class SimEngine:
    """The engine of one host. ``listener`` hears the events, during a call or later."""

    def __init__(
        self,
        timers: Timers,
        ids: Ids,
        address: str,
        listener: Callable[[EngineEvent], None],
        timing: Timing,
        latencies: Latencies,
        registry: SimRegistry | None = None,
    ) -> None:
        self.listener = listener
        self._timers = timers
        self._ids = ids
        self._address = address
        self._timing = timing
        self._latencies = latencies
        self._containers: dict[tuple[str, str], SimContainer] = {}
        self._images: set[tuple[str, str]] = set()  # name and digest
        self._registry = registry or SimRegistry()
        self._ports: HostPorts[SimContainer] = HostPorts(address)
        self._pulled: dict[tuple[str, str], str] = {}  # the digest that a container is to be made of
        self._pull_attempts: dict[tuple[str, str], int] = {}
        self.pull_fault: Callable[[str], tuple[float, bool]] | None = None  # image -> (seconds more, fails)

    # The protocol

    def perform(self, now: float, call: EngineCall) -> None:
        action = call.action
        if action is PULL:
            self._pull(now, call)
        elif action is CREATE:
            self._create(now, call)
        elif action is START:
            self._start(now, call)
        elif action is STOP:
            self._stop(now, call)
        elif action is REMOVE:
            self._remove(call)

    def containers(self) -> Sequence[EngineContainer]:
        return [
            EngineContainer(
                task_arn=each.task.arn,
                name=each.spec.name,
                runtime_id=each.runtime_id,
                state="created" if each.state == "starting" else each.state,
                exit_code=each.exit_code,
                started_at=each.started_at,
                bindings=each.bindings,
                health=each.health,
                digest=each.digest,
                document=each.task.document or None,
                reported=each.reported,
            )
            for each in self._containers.values()
        ]

    # For those who play the world around the host

    def adopt(self, task: TaskSpec, found: EngineContainer, now: float) -> None:
        """Have a container that ran before the server was restarted."""
        spec = next((c for c in task.containers if c.name == found.name), None)
        if spec is None:
            return
        container = SimContainer(
            task,
            spec,
            found.runtime_id,
            self._behaviour(spec),
            state=found.state,
            run=1,
            exit_code=found.exit_code,
            started_at=found.started_at,
            bindings=found.bindings,
            health=found.health,
            reported=found.reported,
            digest=found.digest,
        )
        self._containers[task.arn, spec.name] = container
        if found.digest is not None:
            self._images.add((spec.image.partition("@")[0], found.digest))
        if found.state == "running":
            for binding in found.bindings:
                self._ports.hold(container, binding)
            self._live(container, found.started_at or now)

    def crash(self, task_arn: str, name: str, exit_code: int, reason: str = "") -> bool:
        """End a running container as if by itself; False when there is none."""
        container = self._containers.get((task_arn, name))
        if container is None or container.state != "running":
            return False
        self._exit(container, container.run, exit_code, reason)
        return True

    def set_health(self, task_arn: str, name: str, status: str) -> bool:
        """Have a container's health check say this from now on; False when it has none or does not run."""
        container = self._containers.get((task_arn, name))
        if container is None or container.state != "running" or not container.spec.has_health_check:
            return False
        self._set_health(container, container.run, status)
        return True

    def change_behaviour(self, task_arn: str, name: str, behaviour: Behaviour) -> None:
        """From now on; what was set going by the old one (an exit) still happens."""
        container = self._containers.get((task_arn, name))
        if container is not None:
            container.behaviour = behaviour

    def publisher(self, port: int) -> SimContainer | None:
        """Who has published a TCP port of the host."""
        return self._ports.owner("tcp", port)

    def of_task(self, task_arn: str, port: int) -> SimContainer | None:
        """Who has a port at a task's own address (awsvpc)."""
        for container in self._containers.values():
            if container.task.arn == task_arn and any(p.container_port == port for p in container.spec.ports):
                return container
        return None

    def running(self) -> list[SimContainer]:
        return [container for container in self._containers.values() if container.state == "running"]

    def answer(self, container: SimContainer | None) -> ProbeAnswer:
        """What a load balancer's probe of a container meets."""
        if container is None or container.state != "running" or container.started_at is None:
            return ProbeAnswer(None, "refused")
        behaviour = container.behaviour
        if behaviour.answers_after and self._timers.now() < container.started_at + behaviour.answers_after:
            return ProbeAnswer(200)
        return ProbeAnswer(behaviour.answers, "" if behaviour.answers is not None else "timeout")

    # Calls

    def _pull(self, now: float, call: EngineCall) -> None:
        container = call.container
        behaviour = self._behaviour(container)
        more, fails = self.pull_fault(container.image) if self.pull_fault is not None else (0.0, False)
        key = (call.task.arn, container.name)
        name, _, digest = container.image.partition("@")
        image = (name, digest or self._registry.resolve(name))
        if behaviour.pull_failures:
            attempts = self._pull_attempts[key] = self._pull_attempts.get(key, 0) + 1
            fails = fails or attempts <= behaviour.pull_failures
        if fails:
            message = (
                f"{_DAEMON}: pull access denied for {container.image}, repository does not exist or may "
                "require 'docker login': denied: requested access to the resource is denied"
            )
            event: EngineEvent = engine.Failed(
                *key, PULL, "CannotPullContainerError", message, temporary=True
            )
        else:
            self._pull_attempts.pop(key, None)
            self._pulled[key] = image[1]
            event = engine.Pulled(*key, image[1])
        if behaviour.pull_seconds is not None:
            seconds = behaviour.pull_seconds
        elif fails:
            seconds = self._latencies.pull[0]
        elif image in self._images:
            seconds = 0.0
        else:
            seconds = self._between(self._latencies.pull)
        if not fails:
            self._images.add(image)
        self._after(now, seconds + more, partial(self._tell, event))

    def _create(self, now: float, call: EngineCall) -> None:
        key = (call.task.arn, call.container.name)
        seconds = self._between(self._latencies.create)
        try:
            behaviour = behaviour_of(call.container.document)
        except UnknownBehaviour as problem:
            self._fail(now, seconds, call, "CannotCreateContainerError", str(problem))
            return
        if behaviour.create_fails:
            self._fail(now, seconds, call, "CannotCreateContainerError", f"{_DAEMON}: conflict")
            return
        container = self._containers.get(key)
        if container is None:
            digest = self._pulled.pop(key, None)
            container = SimContainer(
                call.task, call.container, self._ids.hex(64), behaviour, digest=digest
            )
            self._containers[key] = container
        self._after(now, seconds, partial(self._tell, engine.Created(*key, container.runtime_id)))

    def _start(self, now: float, call: EngineCall) -> None:
        container = self._containers.get((call.task.arn, call.container.name))
        if container is None:
            self._fail(now, 0.0, call, "CannotStartContainerError", f"{_DAEMON}: No such container")
            return
        if container.state == "running":
            self._tell(engine.Started(call.task.arn, call.container.name, container.bindings))
            return
        if container.state == "starting":
            return
        container.state = "starting"
        container.run += 1
        self._after(now, self._between(self._latencies.start), partial(self._run, container, container.run))

    def _run(self, container: SimContainer, run: int) -> None:
        if container.run != run or container.state != "starting":
            return
        key = (container.task.arn, container.spec.name)
        problem = None
        if not container.bindings and container.spec.ports:
            published = self._ports.publish(container, container.spec.ports, container.task.network_mode)
            if isinstance(published, Taken):
                problem = f"Bind for {self._address}:{published.port} failed: port is already allocated"
            else:
                container.bindings = published
        if container.behaviour.start_fails:
            problem = 'failed to create task: exec: "start-fails": executable file not found in $PATH'
        if problem is not None:
            container.state = "created"
            self._release(container)
            message = f"{_DAEMON}: {problem}"
            self._tell(engine.Failed(*key, START, "CannotStartContainerError", message))
            return
        now = self._timers.now()
        container.state, container.started_at, container.health = "running", now, "UNKNOWN"
        container.exit_code = None
        self._tell(engine.Started(*key, container.bindings))
        self._live(container, now)

    def _live(self, container: SimContainer, started_at: float) -> None:
        """Set going what the container does by itself."""
        behaviour, run = container.behaviour, container.run
        if behaviour.exit_after is not None:
            self._timers.call_at(
                started_at + behaviour.exit_after,
                partial(self._exit, container, run, behaviour.exit_code, behaviour.exit_reason),
            )
        if container.spec.has_health_check:
            self._schedule_health(container, started_at)

    def _schedule_health(self, container: SimContainer, started_at: float) -> None:
        """One timer for each verdict that will come, not one for each check."""
        behaviour, run = container.behaviour, container.run
        check = _health_check((container.spec.document.get("dockerConfig") or {}).get("config", "{}"))
        interval = self._timing.wait(check.interval)
        failing = self._timing.wait(check.start_period) + check.retries * interval
        healthy_at: float | None = None
        if behaviour.healthy_after is not None:
            healthy_at = started_at + max(interval, behaviour.healthy_after)
        if container.health == "UNKNOWN":
            if healthy_at is None or healthy_at > started_at + failing:
                self._timers.call_at(
                    started_at + failing, partial(self._set_health, container, run, "UNHEALTHY")
                )
            if healthy_at is not None:
                self._timers.call_at(healthy_at, partial(self._set_health, container, run, "HEALTHY"))
        if behaviour.unhealthy_after is not None:
            at = started_at + behaviour.unhealthy_after + check.retries * interval
            self._timers.call_at(at, partial(self._set_health, container, run, "UNHEALTHY"))

    def _stop(self, now: float, call: EngineCall) -> None:
        container = self._containers.get((call.task.arn, call.container.name))
        if container is None or container.state != "running":
            code = container.exit_code if container is not None else None
            self._tell(engine.Exited(call.task.arn, call.container.name, code))
            return
        behaviour = container.behaviour
        seconds, code = behaviour.stops_in, TERMINATED
        if seconds is None:
            seconds = self._between(self._latencies.stop)
        if behaviour.ignores_sigterm or seconds > call.timeout:
            seconds, code = call.timeout, KILLED
        container.stopping = True
        self._after(now, seconds, partial(self._exit, container, container.run, code, ""))

    def _remove(self, call: EngineCall) -> None:
        container = self._containers.pop((call.task.arn, call.container.name), None)
        if container is not None:
            container.run += 1
            self._release(container)
        self._pull_attempts.pop((call.task.arn, call.container.name), None)
        self._tell(engine.Removed(call.task.arn, call.container.name))

    def _release(self, container: SimContainer) -> None:
        self._ports.release(container, container.bindings)

    # Outcomes

    def _exit(self, container: SimContainer, run: int, code: int, reason: str) -> None:
        if container.run != run or container.state != "running":
            return
        container.state, container.exit_code = "exited", code
        container.reported = False
        if container.stopping or container.spec.restart is None:
            self._release(container)
        self._tell(engine.Exited(container.task.arn, container.spec.name, code, reason))

    def _set_health(self, container: SimContainer, run: int, status: str) -> None:
        if container.run != run or container.state != "running" or container.health == status:
            return
        container.health = status
        self._tell(engine.HealthChanged(container.task.arn, container.spec.name, status))

    def _fail(self, now: float, seconds: float, call: EngineCall, name: str, message: str) -> None:
        failed = engine.Failed(call.task.arn, call.container.name, call.action, name, message)
        self._after(now, seconds, partial(self._tell, failed))

    def _tell(self, event: EngineEvent) -> None:
        self.listener(event)

    def _after(self, now: float, seconds: float, fn: Callable[[], None]) -> None:
        if seconds <= 0:
            fn()
        else:
            self._timers.call_at(now + seconds, fn)

    def _between(self, span: tuple[float, float]) -> float:
        low, high = span
        return low if low == high else low + (high - low) * self._ids.number(1 << 16) / (1 << 16)

    def _behaviour(self, spec: ContainerSpec) -> Behaviour:
        try:
            return behaviour_of(spec.document)
        except UnknownBehaviour:
            return NORMAL  # said when the container is created


class _HealthCheck(NamedTuple):
    """Seconds."""

    interval: float
    retries: int
    start_period: float


@lru_cache(maxsize=1024)
def _health_check(config: str) -> _HealthCheck:
    """Docker's Healthcheck: nanoseconds, and its defaults."""
    check: Mapping[str, int] = json.loads(config).get("Healthcheck") or {}
    second = 1_000_000_000
    return _HealthCheck(
        (check.get("Interval") or 30 * second) / second,
        check.get("Retries") or 3,
        (check.get("StartPeriod") or 0) / second,
    )

