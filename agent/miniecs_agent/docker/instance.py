"""One container instance on a Docker engine: its containers' lives, call by call and event by event.

Everything here runs on the loop. For each container the order is right by construction: it is Started by
the first of its start event and the answer to its start, Exited only when it was Started, and an answer or
event of an earlier run means nothing to a later one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from miniecs.model.hints import hint
from miniecs_agent import engine
from miniecs_agent.core.state import Action
from miniecs_agent.docker import names
from miniecs_agent.docker.config import Place
from miniecs_agent.docker.connection import Connection
from miniecs_agent.docker.containers import Container, Containers, Key, listed
from miniecs_agent.docker.create import Creator
from miniecs_agent.docker.errors import (
    OUT_OF_MEMORY,
    Failure,
    Refused,
    TimedOut,
    bug,
    failure,
    failure_of,
)
from miniecs_agent.docker.events import Event, Seen, health, read_inspection, read_usage
from miniecs_agent.docker.images import PULL_LIMIT, Images
from miniecs_agent.docker.pauses import Pauses
from miniecs_agent.docker.streams import DockerCommand, Streams
from miniecs_agent.engine import EngineCall, EngineContainer, EngineEvent
from miniecs_agent.host_engine import Command, EngineError, EngineGone, InstanceSettings, Output, Usage

log = logging.getLogger("miniecs.agent")

_LEAST_PULL = 2.0  # seconds that the last attempt gets
_KILLED = 137


@dataclass(slots=True)
class _PullAttempts:
    """Of one container: the sum of them must stay within what a launch may take."""

    began_at: float
    failures: int = 0


class DockerInstance:
    """``InstanceEngine`` on Docker. ``listener`` hears the events."""

    def __init__(
        self,
        place: Place,
        settings: InstanceSettings,
        address: str,
        listener: Callable[[EngineEvent], None],
        connection: Connection,
        images: Images,
        restore_network: Callable[[], Awaitable[None]],
        pauses: Pauses,
    ) -> None:
        self._timing = settings.timing
        self._tell = listener
        self._connection = connection
        self._api = connection.api
        self._images = images
        self._loop = asyncio.get_running_loop()
        self._containers = Containers(address, settings.dynamic_ports)
        self._pauses = pauses
        self._creator = Creator(place, self._containers, connection, images, restore_network, pauses)
        self._pull_attempts: dict[Key, _PullAttempts] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._streams = Streams(connection)

    @property
    def address(self) -> str:
        return self._containers.address

    def close(self) -> None:
        """Nothing more is heard of it. Containers run on."""
        self._tell = _nobody
        self._streams.close()
        for work in self._work:
            work.cancel()
        for container in self._containers:
            container.disarm()

    # The core's protocol

    def perform(self, now: float, call: EngineCall) -> None:
        match call.action:
            case Action.PULL:
                self._begin_pull(now, call)
            case Action.CREATE:
                self._spawn(self._create(call), call)
            case Action.START:
                self._begin_start(call)
            case Action.STOP:
                self._begin_stop(call)
            case Action.REMOVE:
                self._spawn(self._remove(call), call)
            case Action.RELEASE:
                self._spawn(self._pauses.release(call.task.arn))

    def containers(self) -> Sequence[EngineContainer]:
        return [listed(each) for each in self._containers if each.state != "gone"]

    # Pull

    def _begin_pull(self, now: float, call: EngineCall) -> None:
        image = self._images.known(call.container.image)
        if image is not None:
            self._tell(engine.Pulled(call.task.arn, call.container.name, image.digest))
            return
        self._spawn(self._pull(now, call), call)

    async def _pull(self, now: float, call: EngineCall) -> None:
        key = _key(call)
        attempts = self._attempts(key, now)
        began = self._loop.time()
        left = PULL_LIMIT - (now - attempts.began_at)
        if call.container.document.get("registryAuthentication") and not await self._has(call):
            words = "miniecs's Docker engine does not support registryAuthentication yet: use `docker login`"
            self._fail(call, Failure("CannotPullContainerError", words))
            return
        try:
            image = await self._images.get(call.container.image, key, max(left, _LEAST_PULL))
        except (Refused, TimedOut) as problem:
            attempts.failures += 1
            took = self._loop.time() - began
            # The next attempt comes after 1, 2, 4 … seconds, and takes as long as this one.
            wait = self._timing.wait(2 ** (attempts.failures - 1))
            failed = failure_of(Action.PULL, problem)
            if took + wait + took > left:
                failed = failed._replace(temporary=False)
            self._fail(call, failed)
        else:
            self._pull_attempts.pop(key, None)
            self._tell(engine.Pulled(*key, image.digest))

    def _attempts(self, key: Key, now: float) -> _PullAttempts:
        for old in [key for key, each in self._pull_attempts.items() if now - each.began_at > 2 * PULL_LIMIT]:
            del self._pull_attempts[old]
        return self._pull_attempts.setdefault(key, _PullAttempts(now))

    async def _has(self, call: EngineCall) -> bool:
        with suppress(Refused, TimedOut):
            return await self._images.find(call.container.image) is not None
        return False

    # Create and start

    async def _create(self, call: EngineCall) -> None:
        made: Container | Failure | None = self._containers.get(_key(call))
        if made is None or (isinstance(made, Container) and made.state == "gone"):
            made = await self._creator.make(call.task, call.container)
        self._made(call, made)

    def _made(self, call: EngineCall, made: Container | Failure) -> None:
        if isinstance(made, Failure):
            self._fail(call, made)
        else:
            self._tell(engine.Created(*made.key, made.runtime_id))

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
            self._containers.hold(container)
        container.state = "starting"
        container.run += 1
        container.out_of_memory = container.stopping = container.killed = container.given_up = False
        self._spawn(self._start(call, container, container.run), call)

    async def _start(self, call: EngineCall, container: Container, run: int) -> None:
        """Not made again blindly: what the engine was asked before it went may have happened."""
        while _is_starting(container, run):
            await self._connection.back()
            try:
                await self._creator.start(container.runtime_id)
            except EngineGone:
                await self._connection.suspect()
                await self._look_at(container)
            except (Refused, TimedOut) as problem:
                if _is_starting(container, run):
                    await self._start_failed(call, container, problem)
                return
            else:
                if _is_starting(container, run):
                    self._running(container)
                return

    async def _look_at(self, container: Container) -> None:
        """Learn what became of a call that nobody answered, as soon as the engine answers."""
        try:
            inspected = await self._connection.ask(partial(self._api.inspect, container.runtime_id))
        except (Refused, TimedOut):
            return  # the next call is told the same, and whoever waits hears of it
        self.found(read_inspection(inspected))

    async def _start_failed(
        self, call: EngineCall, container: Container, problem: Refused | TimedOut
    ) -> None:
        container.state, container.given_up = "created", isinstance(problem, TimedOut)
        if self._creator.may_move(container, problem):
            self._made(call, await self._creator.move(container))  # and the core starts what was made
            return
        if container.spec.restart is None:
            self._containers.release(container)
        self._fail(call, failure_of(Action.START, problem))

    # Stop and remove

    def _begin_stop(self, call: EngineCall) -> None:
        container = self._containers.get(_key(call))
        if container is None or container.state != "running":
            code = container.exit_code if container is not None else None
            self._tell(engine.Exited(call.task.arn, call.container.name, code))
            return
        container.stopping = True
        self._spawn(self._stop(call, container, container.run), call)

    async def _stop(self, call: EngineCall, container: Container, run: int) -> None:
        """Its exit is an event. SIGKILL comes by the loop's timer: no thread waits for a container to end.

        The time to obey begins when the signal has arrived, which an engine that is gone may delay.
        """
        container.disarm()
        arrived = await self._signal(call, container, run, container.stop_signal or "SIGTERM")
        if arrived and container.run == run and container.state == "running":
            container.deadline = self._loop.call_later(
                call.timeout, lambda: self._spawn(self._kill(call, container, run), call)
            )

    async def _kill(self, call: EngineCall, container: Container, run: int) -> None:
        if container.run == run and container.state == "running":
            container.killed = True
            await self._signal(call, container, run, "SIGKILL")

    async def _signal(self, call: EngineCall, container: Container, run: int, signal: str) -> bool:
        """Whether it arrived."""
        try:
            await self._connection.ask(partial(self._api.kill, container.runtime_id, signal))
        except (Refused, TimedOut) as problem:
            if container.run != run or container.state != "running":
                return False
            if isinstance(problem, Refused) and problem.status in (404, 409):
                await self._look(container)  # it does not run; its event may be on the way
                return False
            container.disarm()
            self._fail(call, failure_of(Action.STOP, problem))
            return False
        return True

    async def _end(self, container: Container) -> None:
        """Somebody else started it, or it started too late: what was told to have stopped stays stopped."""
        with suppress(Refused, TimedOut):
            await self._connection.ask(partial(self._api.kill, container.runtime_id, "SIGKILL"))

    async def _look(self, container: Container) -> None:
        try:
            inspected = await self._connection.ask(partial(self._api.inspect, container.runtime_id))
        except (Refused, TimedOut) as problem:
            if isinstance(problem, Refused) and problem.status == 404:
                self.vanished(container.runtime_id)
        else:
            self.found(read_inspection(inspected))

    async def _remove(self, call: EngineCall) -> None:
        key = _key(call)
        container = self._containers.get(key)
        runtime_id = container.runtime_id if container is not None else call.runtime_id
        try:
            if runtime_id is not None:
                await self._connection.ask(partial(self._api.remove, runtime_id))
        except (Refused, TimedOut) as problem:
            if not (isinstance(problem, Refused) and problem.status == 404):
                self._fail(call, failure_of(Action.REMOVE, problem)._replace(temporary=True))
                return
        if container is not None:
            self._containers.drop(container)
        if not self._containers.has_any_of(call.task.arn):
            await self._creator.remove_volumes(container.task if container is not None else call.task)
        self._tell(engine.Removed(*key))

    # What the engine tells

    def on_event(self, event: Event) -> None:
        container = self._containers.of_id(event.runtime_id)
        if container is None:
            if event.action in ("die", "destroy"):
                self._interface_lost(event.runtime_id)
            return
        match event.action:
            case "start":
                if container.state == "exited" or container.given_up:
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

    def _interface_lost(self, runtime_id: str) -> None:
        """Somebody ended what held a task's interface: its containers reach nobody any more, so it stops."""
        task_arn = self._pauses.task_of(runtime_id)
        if task_arn is None:
            return
        log.error("the network interface of %s was removed from the engine: the task is stopped", task_arn)
        self._spawn(self._pauses.release(task_arn))
        for container in self._containers:
            if container.task.arn == task_arn and container.state == "running":
                container.killed = True
                self._spawn(self._end(container))

    def live(self) -> list[str]:
        """Ids of the containers whose state may have changed unheard."""
        return [each.runtime_id for each in self._containers if each.state not in ("exited", "gone")]

    def found(self, seen: Seen) -> None:
        """What a container is, whatever was heard of it."""
        container = self._containers.of_id(seen.runtime_id)
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
        container = self._containers.of_id(runtime_id)
        if container is None:
            return
        was = container.state
        self._containers.lose(container)
        if was == "starting":
            return  # the answer to its start says so, too
        container.state = "gone"
        if was == "running":
            self._tell(engine.Exited(*container.key, None, "the container was removed from the engine"))

    def _running(self, container: Container) -> None:
        if container.state != "starting":
            return
        container.state, container.health, container.exit_code = "running", "UNKNOWN", None
        self._tell(engine.Started(*container.key, container.bindings))

    def _died(self, container: Container, exit_code: int | None) -> None:
        container.state, container.exit_code = "exited", exit_code
        container.disarm()
        if container.stopping or container.spec.restart is None:
            self._containers.release(container)
        if exit_code == _KILLED and not container.out_of_memory and not container.killed:
            self._spawn(self._killed(container))
        else:
            self._exited(container)

    async def _killed(self, container: Container) -> None:
        """By whom? The engine's event of a lack of memory may come later than that of the end."""
        try:
            inspected = await self._connection.ask(partial(self._api.inspect, container.runtime_id))
        except (Refused, TimedOut):
            pass  # it is gone; what is known has to do
        else:
            container.out_of_memory = container.out_of_memory or read_inspection(inspected).out_of_memory
        self._exited(container)

    def _exited(self, container: Container) -> None:
        reason = OUT_OF_MEMORY if container.out_of_memory else ""
        self._tell(engine.Exited(*container.key, container.exit_code, reason))

    def _health(self, container: Container, status: str | None) -> None:
        """A check of the image's own is none of ECS's."""
        if not container.spec.has_health_check:
            return
        if status in (None, "UNKNOWN", container.health) or container.state != "running":
            return
        assert status is not None
        container.health = status
        self._tell(engine.HealthChanged(*container.key, status))

    # What was there before

    def adopt(self, seen: Seen, digest: str | None) -> None:
        """Take over a container that an agent before this one has made."""
        container = self._containers.adopted(seen, digest)
        if container is None:
            log.warning("container %s is not taken over: its labels do not say what it is", seen.runtime_id)
        else:
            self._containers.put(container)

    def adopt_pause(self, task_arn: str, runtime_id: str) -> None:
        """Take over what holds a task's interface; of a task that has no container it is not needed."""
        self._pauses.adopt(task_arn, runtime_id)
        if not self._containers.has_any_of(task_arn):
            self._spawn(self._pauses.release(task_arn))

    def _fail(self, call: EngineCall, problem: Failure) -> None:
        """The core may give up after any failure, and what to do about it is to be read somewhere."""
        reason = f"{problem.name}: {problem.message}"
        advice = hint(reason)
        log.warning(
            "%s of %s: %s%s%s",
            call.container.name,
            call.task.arn,
            reason,
            f" ({advice})" if advice else "",
            "; it is tried again, a few times" if problem.temporary else "",
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

    def _spawn(self, work: Coroutine[Any, Any, None], call: EngineCall | None = None) -> None:
        """call: what is done for, whose outcome somebody waits for."""
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(partial(self._done, call))

    def _done(self, call: EngineCall | None, work: asyncio.Task[None]) -> None:
        self._work.discard(work)
        if work.cancelled() or work.exception() is None:
            return
        log.error("a call to the engine failed by a bug", exc_info=work.exception())
        if call is None:
            return
        container = self._containers.get(_key(call))
        if container is not None and container.state == "starting":
            container.state, container.given_up = "created", True
        self._fail(call, bug(call.action))

    # For people

    async def usage(self) -> Mapping[tuple[str, str], Usage]:
        if not self._connection.connected:
            return {}
        running = [each for each in self._containers if each.state == "running"]
        found = await asyncio.gather(*map(self._usage_of, running))
        return {
            each.key: usage for each, usage in zip(running, found, strict=True) if usage is not None
        }

    async def _usage_of(self, container: Container) -> Usage | None:
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

    def _container(self, task_arn: str, name: str) -> Container:
        found = self._containers.get((task_arn, name))
        if found is None or found.state == "gone":
            kept = "those of stopped tasks are kept for a while only"
            raise EngineError(f"the engine has no container {name} of {task_arn}: {kept}")
        return found


def _key(call: EngineCall) -> Key:
    return call.task.arn, call.container.name


def _is_starting(container: Container, run: int) -> bool:
    return container.run == run and container.state == "starting"


def _nobody(event: EngineEvent) -> None:
    """Hears what nobody hears any more."""
