"""One container instance on a Docker engine: its containers' lives, call by call and event by event.

Everything here runs on the loop. For each container the order is right by construction: it is Started by
the first of its start event and the answer to its start, Exited only when it was Started, and an answer or
event of an earlier run means nothing to a later one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from miniecs.model.task import NetworkBinding
from miniecs_agent import docker_names as names
from miniecs_agent import engine
from miniecs_agent.docker_api import CALL_TIMEOUT
from miniecs_agent.docker_config import (
    Place,
    create_body,
    has_tty,
    publishes_dynamic_ports,
    task_volumes,
    volumes,
)
from miniecs_agent.docker_connection import Connection
from miniecs_agent.docker_errors import (
    OUT_OF_MEMORY,
    Failure,
    Refused,
    TimedOut,
    failure,
    hint,
    image_missing,
    port_taken,
    timeout,
)
from miniecs_agent.docker_events import (
    Event,
    Seen,
    bindings_from,
    health,
    read_inspection,
    read_usage,
)
from miniecs_agent.docker_images import PULL_LIMIT, Images
from miniecs_agent.docker_streams import DockerCommand, Streams
from miniecs_agent.engine import EngineCall, EngineContainer, EngineEvent
from miniecs_agent.host_engine import Command, EngineError, EngineGone, Output, Usage
from miniecs_agent.host_ports import HostPorts
from miniecs_agent.spec import ContainerSpec, Document, InvalidTask, TaskSpec, read_task
from miniecs_agent.state import Action

log = logging.getLogger("miniecs.agent")

PORT_ATTEMPTS = 5  # of a container whose dynamic ports turn out to be taken by something else
_KILLED = 137

Key = tuple[str, str]  # task ARN and container name


@dataclass(slots=True, eq=False)
class _Container:
    """One container as the engine has it. ``run`` counts starts; times are of the engine's clock."""

    task: TaskSpec
    spec: ContainerSpec
    runtime_id: str
    bindings: tuple[NetworkBinding, ...] = ()
    state: str = "created"  # created starting running exited gone
    run: int = 0
    exit_code: int | None = None
    started_at: float | None = None
    died_at: float = 0.0
    health: str = "UNKNOWN"
    digest: str | None = None
    stop_signal: str = ""
    tty: bool = False
    document: Document | None = None
    out_of_memory: bool = False
    stopping: bool = False
    killed: bool = False  # by us
    port_attempts: int = 0
    deadline: asyncio.TimerHandle | None = None

    @property
    def key(self) -> Key:
        return self.task.arn, self.spec.name


@dataclass(slots=True)
class _PullAttempts:
    """Of one container: the sum of them must stay within what a launch may take."""

    began_at: float
    failures: int = 0


@dataclass(slots=True)
class _TaskVolumes:
    """Volumes that were made for a task; two of its containers may want the same one."""

    made: set[str] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class DockerInstance:
    """``InstanceEngine`` on Docker. ``listener`` hears the events."""

    def __init__(
        self,
        place: Place,
        address: str,
        dynamic_ports: tuple[int, int],
        listener: Callable[[EngineEvent], None],
        connection: Connection,
        images: Images,
    ) -> None:
        self._place = place
        self._address = address
        self._tell = listener
        self._connection = connection
        self._api = connection.api
        self._images = images
        self._loop = asyncio.get_running_loop()
        self._ports: HostPorts[_Container | Key] = HostPorts(address, dynamic_ports)
        self._containers: dict[Key, _Container] = {}
        self._by_id: dict[str, _Container] = {}
        self._pull_attempts: dict[Key, _PullAttempts] = {}
        self._volumes: dict[str, _TaskVolumes] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._streams = Streams(connection)

    @property
    def address(self) -> str:
        return self._address

    def close(self) -> None:
        """Nothing more is heard of it. Containers run on."""
        self._tell = _nobody
        self._streams.close()
        for work in self._work:
            work.cancel()
        for container in self._containers.values():
            _disarm(container)

    # The core's protocol

    def perform(self, now: float, call: EngineCall) -> None:
        match call.action:
            case Action.PULL:
                self._begin_pull(now, call)
            case Action.CREATE:
                self._spawn(self._create(call))
            case Action.START:
                self._begin_start(call)
            case Action.STOP:
                self._begin_stop(call)
            case Action.REMOVE:
                self._spawn(self._remove(call))

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
                document=each.document,
            )
            for each in self._containers.values()
            if each.state != "gone"
        ]

    # Pull

    def _begin_pull(self, now: float, call: EngineCall) -> None:
        image = self._images.known(call.container.image)
        if image is not None:
            self._tell(engine.Pulled(call.task.arn, call.container.name, image.digest))
            return
        self._spawn(self._pull(now, call))

    async def _pull(self, now: float, call: EngineCall) -> None:
        key = _key(call)
        attempts = self._pull_attempts.setdefault(key, _PullAttempts(now))
        left = max(PULL_LIMIT - (now - attempts.began_at), 2.0)
        began = self._loop.time()
        try:
            image = await self._images.get(call.container.image, key, left)
        except (Refused, TimedOut) as problem:
            attempts.failures += 1
            took = self._loop.time() - began
            # The next attempt comes after 1, 2, 4 … seconds, and takes as long as this one.
            wait = self._place.timing.wait(2 ** (attempts.failures - 1))
            over = now - attempts.began_at + took + wait + took > PULL_LIMIT
            failed = _failure(Action.PULL, problem)
            if over or not failed.temporary:
                failed = failed._replace(temporary=False)
                del self._pull_attempts[key]
            self._fail(call, failed)
        else:
            self._pull_attempts.pop(key, None)
            self._tell(engine.Pulled(*key, image.digest))

    # Create

    async def _create(self, call: EngineCall) -> None:
        known = self._containers.get(_key(call))
        if known is not None and known.state != "gone":
            self._tell(engine.Created(*known.key, known.runtime_id))
            return
        problem = await self._make(call.task, call.container, attempts=0)
        if problem is not None:
            self._fail(call, problem)

    async def _make(self, task: TaskSpec, spec: ContainerSpec, attempts: int) -> Failure | None:
        """Create a container, with ports that are free as far as we know, and tell of it."""
        key = (task.arn, spec.name)
        bindings = self._ports.choose(key, spec.ports, task.network_mode)
        try:
            made = await self._create_once(task, spec, bindings)
        except (Refused, TimedOut) as problem:
            made = _failure(Action.CREATE, problem)
        if isinstance(made, Failure):
            self._ports.release(key, bindings)
            return made
        image = self._images.known(spec.image)
        container = made if isinstance(made, _Container) else _Container(task, spec, made, bindings)
        if container is not made:
            container.document = task.document
            container.tty = has_tty(spec)
            if image is not None:
                container.digest, container.stop_signal = image.digest, image.stop_signal
        else:
            self._ports.release(key, bindings)
        container.port_attempts = attempts
        self._put(container)
        self._tell(engine.Created(*key, container.runtime_id))
        return None

    async def _create_once(
        self, task: TaskSpec, spec: ContainerSpec, bindings: tuple[NetworkBinding, ...]
    ) -> str | _Container | Failure:
        """The new container's id, or what an earlier attempt made. Raises Refused and TimedOut."""
        body = create_body(task, spec, self._place, bindings)
        if isinstance(body, Failure):
            return body
        problem = await self._make_volumes(task, spec)
        if problem is not None:
            return problem
        name = names.container_name(task, spec.name)
        try:
            return await self._connection.ask(partial(self._api.create, name, body))
        except Refused as refused:
            if refused.status == 409:
                found = await self._find(name, task, spec)
                if found is not None:
                    return found
            elif image_missing(refused):  # it was removed since it was found
                self._images.forget()
                await self._images.get(spec.image, (task.arn, spec.name))
                return await self._connection.ask(partial(self._api.create, name, body))
            raise

    async def _find(self, name: str, task: TaskSpec, spec: ContainerSpec) -> _Container | None:
        """What a create that was cut off has left, if it is ours."""
        try:
            seen = read_inspection(await self._connection.ask(partial(self._api.inspect, name)))
        except Refused:
            return None
        labels = seen.labels
        if labels.get(names.TASK_ARN) != task.arn or labels.get(names.OWNER) != self._place.owner.id:
            return None
        image = await self._images.find(seen.image_id)
        return self._read(seen, task, spec, image.digest if image is not None else None)

    async def _make_volumes(self, task: TaskSpec, spec: ContainerSpec) -> Failure | None:
        wanted = volumes(task, spec, self._place)
        if not wanted:
            return None
        made = self._volumes.setdefault(task.arn, _TaskVolumes())
        async with made.lock:
            for volume in wanted:
                if volume.name in made.made:
                    continue
                try:
                    await self._connection.ask(partial(self._api.create_volume, volume))
                except (Refused, TimedOut) as problem:
                    return _failure(Action.CREATE, problem)._replace(name="CannotCreateVolumeError")
                made.made.add(volume.name)
        return None

    # Start

    def _begin_start(self, call: EngineCall) -> None:
        container = self._containers.get(_key(call))
        if container is None or container.state == "gone":
            id = call.runtime_id or names.container_name(call.task, call.container.name)
            self._fail(call, failure(Action.START, Refused(404, f"No such container: {id}")))
            return
        if container.state == "running":
            self._tell(engine.Started(*container.key, container.bindings))
            return
        if container.state == "starting":
            return
        if container.state == "exited":  # a restart
            self._hold(container)
        container.state = "starting"
        container.run += 1
        container.out_of_memory = container.stopping = container.killed = False
        self._spawn(self._start(call, container, container.run))

    async def _start(self, call: EngineCall, container: _Container, run: int) -> None:
        """Not made again blindly: what the engine was asked before it went may have happened."""
        while container.run == run and container.state == "starting":
            await self._connection.back()
            try:
                await self._connection.once(partial(self._api.start, container.runtime_id))
            except EngineGone:
                await self._connection.suspect()
                await self._connection.back()  # the listing before it may have told what became of this
            except (Refused, TimedOut) as problem:
                if container.run == run and container.state == "starting":
                    await self._start_failed(call, container, problem)
                return
            else:
                if container.run == run:
                    self._running(container)
                return

    async def _start_failed(
        self, call: EngineCall, container: _Container, problem: Refused | TimedOut
    ) -> None:
        container.state = "created"
        if isinstance(problem, Refused) and port_taken(problem.message) and self._may_move(container):
            moved = await self._move(container)
            if moved is None:
                return
            self._fail(call, moved)
            return
        if container.spec.restart is None:
            self._release(container)
        self._fail(call, _failure(Action.START, problem))

    def _may_move(self, container: _Container) -> bool:
        return (
            container.task.network_mode == "bridge"
            and container.port_attempts < PORT_ATTEMPTS
            and publishes_dynamic_ports(container.spec)
        )

    async def _move(self, container: _Container) -> Failure | None:
        """Make it again on other ports: who holds the old ones is not ours. The core starts the new one."""
        log.info("%s of %s: a dynamic port is taken, trying others", container.spec.name, container.task.arn)
        try:
            await self._connection.ask(partial(self._api.remove, container.runtime_id))
        except (Refused, TimedOut) as problem:
            return _failure(Action.START, problem)
        self._drop(container)
        return await self._make(container.task, container.spec, container.port_attempts + 1)

    # Stop

    def _begin_stop(self, call: EngineCall) -> None:
        container = self._containers.get(_key(call))
        if container is None or container.state != "running":
            code = container.exit_code if container is not None else None
            self._tell(engine.Exited(call.task.arn, call.container.name, code))
            return
        container.stopping = True
        self._spawn(self._stop(call, container, container.run))

    async def _stop(self, call: EngineCall, container: _Container, run: int) -> None:
        """Its exit is an event. SIGKILL comes by the loop's timer: no thread waits for a container to end."""
        _disarm(container)
        container.deadline = self._loop.call_later(
            call.timeout, lambda: self._spawn(self._kill(call, container, run))
        )
        await self._signal(call, container, run, container.stop_signal or "SIGTERM")

    async def _kill(self, call: EngineCall, container: _Container, run: int) -> None:
        if container.run == run and container.state == "running":
            container.killed = True
            await self._signal(call, container, run, "SIGKILL")

    async def _signal(self, call: EngineCall, container: _Container, run: int, signal: str) -> None:
        try:
            await self._connection.ask(partial(self._api.kill, container.runtime_id, signal))
        except TimedOut as late:
            self._fail(call, _failure(Action.STOP, late))
        except Refused as refused:
            if container.run != run or container.state != "running":
                return
            if refused.status in (404, 409):  # it does not run; its event may be on the way
                await self._look(container)
            else:
                _disarm(container)
                self._fail(call, failure(Action.STOP, refused))

    async def _end(self, container: _Container) -> None:
        """Somebody else started it again; what has stopped stays stopped."""
        with suppress(Refused, TimedOut):
            await self._connection.ask(partial(self._api.kill, container.runtime_id, "SIGKILL"))

    async def _look(self, container: _Container) -> None:
        try:
            seen = read_inspection(
                await self._connection.ask(partial(self._api.inspect, container.runtime_id))
            )
        except Refused:
            self.vanished(container.runtime_id)
        else:
            self.found(seen)

    # Remove

    async def _remove(self, call: EngineCall) -> None:
        key = _key(call)
        container = self._containers.get(key)
        runtime_id = container.runtime_id if container is not None else call.runtime_id
        try:
            if runtime_id is not None:
                await self._connection.ask(partial(self._api.remove, runtime_id))
        except (Refused, TimedOut) as problem:
            if not (isinstance(problem, Refused) and problem.status == 404):
                self._fail(call, _failure(Action.REMOVE, problem)._replace(temporary=True))
                return
        if container is not None:
            self._drop(container)
        self._pull_attempts.pop(key, None)
        if not any(arn == call.task.arn for arn, _ in self._containers):
            await self._remove_volumes(container.task if container is not None else call.task)
        self._tell(engine.Removed(*key))

    async def _remove_volumes(self, task: TaskSpec) -> None:
        self._volumes.pop(task.arn, None)
        for name in task_volumes(task):
            try:
                await self._connection.ask(partial(self._api.remove_volume, name))
            except (Refused, TimedOut) as problem:
                if not (isinstance(problem, Refused) and problem.status == 404):
                    log.warning("volume %s was not removed: %s", name, problem)

    # What the engine tells

    def on_event(self, event: Event) -> None:
        container = self._by_id.get(event.runtime_id)
        if container is None:
            return
        match event.action:
            case "start":
                if container.state == "exited":
                    self._spawn(self._end(container))
                self._running(container)
            case "oom":
                container.out_of_memory = True
            case "die":
                # Of a container that was not seen running it is a start that failed; the answer says so.
                if container.state == "running":
                    container.died_at = event.at
                    self._died(container, event.exit_code)
            case "destroy":
                self.vanished(container.runtime_id)
            case _:
                self._health(container, health(event.action))

    def live(self) -> list[str]:
        """Ids of the containers whose state may have changed unheard."""
        return [each.runtime_id for each in self._containers.values() if each.state not in ("exited", "gone")]

    def found(self, seen: Seen) -> None:
        """What a container is, whatever was heard of it."""
        container = self._by_id.get(seen.runtime_id)
        if container is None:
            return
        container.out_of_memory = container.out_of_memory or seen.out_of_memory
        if container.state == "starting" and seen.started_at > container.died_at:
            self._running(container)
        if container.state == "running":
            if seen.state == "running":
                self._health(container, seen.health)
            else:
                container.died_at = seen.finished_at
                self._died(container, seen.exit_code)

    def vanished(self, runtime_id: str) -> None:
        """Somebody removed it."""
        container = self._by_id.get(runtime_id)
        if container is None:
            return
        was = container.state
        self._drop(container)
        self._containers[container.key] = container  # the core will ask to remove it
        if was == "starting":
            return  # the answer to its start says so, too
        container.state = "gone"
        if was == "running":
            self._tell(engine.Exited(*container.key, None, "the container was removed from the engine"))

    def _running(self, container: _Container) -> None:
        if container.state != "starting":
            return
        container.state, container.health, container.exit_code = "running", "UNKNOWN", None
        self._tell(engine.Started(*container.key, container.bindings))

    def _died(self, container: _Container, exit_code: int | None) -> None:
        container.state, container.exit_code = "exited", exit_code
        _disarm(container)
        if container.stopping or container.spec.restart is None:
            self._release(container)
        if exit_code == _KILLED and not container.out_of_memory and not container.killed:
            self._spawn(self._killed(container))
        else:
            self._exited(container)

    async def _killed(self, container: _Container) -> None:
        """By whom? The engine's event of a lack of memory may come later than that of the end."""
        try:
            inspected = await self._connection.ask(partial(self._api.inspect, container.runtime_id))
        except (Refused, TimedOut):
            pass  # it is gone; what is known has to do
        else:
            container.out_of_memory = container.out_of_memory or read_inspection(inspected).out_of_memory
        self._exited(container)

    def _exited(self, container: _Container) -> None:
        reason = OUT_OF_MEMORY if container.out_of_memory else ""
        self._tell(engine.Exited(*container.key, container.exit_code, reason))

    def _health(self, container: _Container, status: str | None) -> None:
        """A check of the image's own is none of ECS's."""
        if status in (None, "UNKNOWN", container.health) or container.state != "running":
            return
        assert status is not None
        container.health = status
        if container.spec.has_health_check:
            self._tell(engine.HealthChanged(*container.key, status))

    # What was there before

    def adopt(self, seen: Seen, digest: str | None) -> None:
        """Take over a container that an agent before this one has made."""
        document = names.document_of(seen.labels)
        name = seen.labels.get(names.CONTAINER_NAME, "")
        try:
            task = read_task(document or {})
        except InvalidTask as problem:
            log.warning("container %s is not taken over: %s", seen.runtime_id, problem)
            return
        spec = next((each for each in task.containers if each.name == name), None)
        if spec is not None:
            self._put(self._read(seen, task, spec, digest))

    def _read(self, seen: Seen, task: TaskSpec, spec: ContainerSpec, digest: str | None) -> _Container:
        return _Container(
            task,
            spec,
            seen.runtime_id,
            bindings_from(spec.ports, seen.port_bindings, self._address, task.network_mode),
            state=seen.state,
            run=1 if seen.started_at else 0,
            exit_code=seen.exit_code,
            started_at=seen.started_at or None,
            died_at=seen.finished_at,
            health=seen.health if spec.has_health_check else "UNKNOWN",
            digest=digest,
            stop_signal=seen.stop_signal,
            tty=seen.tty,
            document=task.document,
            out_of_memory=seen.out_of_memory,
        )

    # Books

    def _put(self, container: _Container) -> None:
        self._containers[container.key] = container
        self._by_id[container.runtime_id] = container
        if container.state != "exited":
            self._hold(container)

    def _drop(self, container: _Container) -> None:
        _disarm(container)
        self._release(container)
        self._by_id.pop(container.runtime_id, None)
        if self._containers.get(container.key) is container:
            del self._containers[container.key]

    def _hold(self, container: _Container) -> None:
        for binding in container.bindings:
            self._ports.hold(container, binding)

    def _release(self, container: _Container) -> None:
        self._ports.release(container, container.bindings)

    def _fail(self, call: EngineCall, problem: Failure) -> None:
        advice = hint(problem.message)
        log.log(
            logging.DEBUG if problem.temporary else logging.WARNING,
            "%s of %s: %s: %s%s",
            call.container.name,
            call.task.arn,
            problem.name,
            problem.message,
            f" ({advice})" if advice else "",
        )
        self._tell(
            engine.Failed(
                call.task.arn,
                call.container.name,
                call.action,
                problem.name,
                problem.message,
                problem.temporary,
            )
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._done)

    def _done(self, work: asyncio.Task[None]) -> None:
        self._work.discard(work)
        if not work.cancelled() and work.exception() is not None:
            log.error("a call to the engine failed by a bug", exc_info=work.exception())

    # For people

    async def usage(self) -> Mapping[tuple[str, str], Usage]:
        if not self._connection.connected:
            return {}
        running = [each for each in self._containers.values() if each.state == "running"]
        found = await asyncio.gather(*map(self._usage_of, running))
        return {
            each.key: usage for each, usage in zip(running, found, strict=True) if usage is not None
        }

    async def _usage_of(self, container: _Container) -> Usage | None:
        """None of what ended meanwhile."""
        try:
            stats = await self._connection.once(
                partial(self._api.usage, container.runtime_id), self._connection.readings
            )
        except (Refused, TimedOut, EngineGone):
            return None
        return read_usage(stats)

    def logs(
        self,
        task_arn: str,
        container: str,
        *,
        follow: bool,
        tail: int | None,
        timestamps: bool,
        since: int = 0,
    ) -> AsyncIterator[Output]:
        found = self._container(task_arn, container)
        return self._streams.read(
            partial(
                self._api.logs,
                found.runtime_id,
                tty=found.tty,
                follow=follow,
                tail=tail,
                timestamps=timestamps,
                since=since,
            )
        )

    async def execute(
        self, task_arn: str, container: str, command: Sequence[str], *, tty: bool, stdin: bool
    ) -> Command:
        found = self._container(task_arn, container)
        if found.state != "running":
            raise EngineError(f"container {container} of {task_arn} does not run")
        return await DockerCommand.start(
            self._streams,
            self._connection,
            partial(self._api.execute, found.runtime_id, command, tty=tty, stdin=stdin),
        )

    def _container(self, task_arn: str, name: str) -> _Container:
        found = self._containers.get((task_arn, name))
        if found is None or found.state == "gone":
            raise EngineError(f"the engine has no container {name} of {task_arn}")
        return found


def _failure(action: Action, problem: Refused | TimedOut) -> Failure:
    return failure(action, problem) if isinstance(problem, Refused) else timeout(action, CALL_TIMEOUT)


def _key(call: EngineCall) -> Key:
    return call.task.arn, call.container.name


def _disarm(container: _Container) -> None:
    if container.deadline is not None:
        container.deadline.cancel()
        container.deadline = None


def _nobody(event: EngineEvent) -> None:
    """Hears what nobody hears any more."""
