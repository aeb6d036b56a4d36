"""The agent's process: one engine, one server, and the container instances that the one plays for the other.

It owns no file but the one that says that it runs: all that it knows is rebuilt from the engine's labels and
from what the server says, so it can be killed at any moment. Ending it leaves every container running.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from miniecs import __version__
from miniecs.clock import SystemClock
from miniecs.ids import Ids
from miniecs_agent.host_engine import EngineError, EngineFacts, EngineGone, HostEngine, Owner, PullProgress
from miniecs_agent.shell.control_plane import ControlPlane
from miniecs_agent.shell.host_link import Desired, HostLink, HostSettings, NotWelcome
from miniecs_agent.shell.instances import NOT_COMPARED, Instances
from miniecs_agent.shell.streams import Streams, pull_progress
from miniecs_agent.shell.timers import LoopTimers

log = logging.getLogger("miniecs.agent")

CLEAN, TERMINAL = 0, 5  # the ECS agent's exit codes; a bug ends with 1
LOCAL = "local"  # the name of the host whose agent `up` starts
NOBODY = Owner("")  # owns nothing: to see what an engine is before it is known for whom

_FIRST_DELAY, _LONGEST_DELAY = 0.5, 5.0

MakeEngine = Callable[[], HostEngine]


@dataclass(frozen=True)
class AgentOptions:
    """What an agent is told at its start; all else it is told by the server.

    endpoint: the server's. engine: a URL, '' for where engines usually are. local: the agent of `up` itself;
    for others ``instances`` and what follows is what is wanted at the first joining. attributes: custom ones.
    run_file: written while the agent works.
    """

    endpoint: str
    access_key: str
    secret_key: str
    local: bool = False
    engine: str = ""
    name: str = ""
    instances: int = 1
    instance_type: str | None = None
    zone: str | None = None
    cluster: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    run_file: Path | None = None


def main(options: AgentOptions) -> int:
    """Work until SIGTERM or SIGINT. 0: ended as asked; 5: it cannot work, and said why."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for name in ("httpx", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)  # they say something for every call
    if sys.platform == "win32":
        code = asyncio.run(_run(options))
    else:
        import uvloop

        code = uvloop.run(_run(options))
    if threading.active_count() > 1:
        # A call to an engine that hangs keeps its thread for minutes, and that would keep the process.
        logging.shutdown()
        os._exit(code)
    return code


async def _run(options: AgentOptions) -> int:
    from miniecs_agent.docker.client import DEFAULT_URL, DockerEngine

    agent = AgentProcess(options, lambda: DockerEngine(options.engine or DEFAULT_URL))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.stop)
    return await agent.run()


class Unusable(Exception):
    """The agent cannot work with what it was given; the text is for a person."""


class AgentProcess:
    """One run of the agent on the running event loop."""

    def __init__(self, options: AgentOptions, make_engine: MakeEngine) -> None:
        self._options = options
        self._make_engine = make_engine
        self._control_plane = ControlPlane(options.endpoint, options.access_key, options.secret_key)
        self._link = HostLink(self._control_plane, self._hello, self._told, self._connected)
        self._timers = LoopTimers(SystemClock())
        self._ids = Ids()
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()
        self._desired: Desired | None = None
        self._facts: EngineFacts | None = None
        self._problem = ""  # with the engine
        self._instances: Instances | None = None

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> int:
        """Until ``stop``; the exit code."""
        stopped = asyncio.create_task(self._stopping.wait())
        working = asyncio.create_task(self._work())
        try:
            await asyncio.wait((stopped, working), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
        except (NotWelcome, Unusable) as problem:
            log.error("%s", problem)
            return TERMINAL
        finally:
            stopped.cancel()
            working.cancel()
            await asyncio.gather(stopped, working, return_exceptions=True)
            await self._control_plane.close()
            self._say_that_it_worked()
        return CLEAN

    async def _work(self) -> None:
        """Raises NotWelcome and Unusable."""
        if self._options.local:
            await self._looked()
        else:
            await self._look()  # a host elsewhere is known by its engine's id
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._play())
                group.create_task(self._link.run())
        except* (NotWelcome, Unusable) as problems:
            raise problems.exceptions[0] from None

    # The engine

    async def _play(self) -> None:
        """Keep the engine started for whoever owns what is on it, and the instances on it."""
        await self._look()
        delay = _FIRST_DELAY
        while True:
            desired = await self._wanted(None)
            engine = self._make_engine()
            try:
                await self._play_on(engine, desired.settings)
                log.info("the server was started with other settings: beginning anew")
                delay = _FIRST_DELAY
            except EngineError as problem:
                self._engine_failed(problem)
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LONGEST_DELAY)
            finally:
                await engine.close()

    async def _play_on(self, engine: HostEngine, settings: HostSettings) -> None:
        """Until the server has other settings. Raises EngineError."""
        await engine.start(settings.owner, self._engine_changed, self._pulling)
        instances = Instances(
            engine, settings, self._control_plane, self._timers, self._ids, Streams, self._tell
        )
        await instances.start()
        self._instances, self._problem = instances, ""
        try:
            self._say_that_it_works(engine.facts)
            if self._desired is not None and self._desired.settings == settings:
                instances.want(self._desired)
            await self._wanted(settings)
        finally:
            self._instances = None
            await instances.close()

    async def _look(self) -> None:
        """See what the engine is, however long it takes until there is one. Raises Unusable."""
        if self._facts is not None:
            return
        delay = _FIRST_DELAY
        while not await self._looked():
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)
        self._link.reconnect()  # what it said of the engine is out of date

    async def _looked(self) -> bool:
        """Try once to see what the engine is. Raises Unusable."""
        engine = self._make_engine()
        try:
            await engine.start(NOBODY, _ignore, _ignore)
            facts = self._facts = engine.facts
        except EngineError as problem:
            if not self._options.local and not isinstance(problem, EngineGone):
                raise Unusable(str(problem)) from problem
            self._engine_failed(problem)
            return False
        finally:
            await engine.close()
        self._problem = ""
        log.info("engine: %s %s (%s)", facts.product, facts.version, facts.id)
        return True

    def _engine_failed(self, problem: EngineError) -> None:
        """Said once: the next tries go on in silence until it is something else."""
        if str(problem) != self._problem:
            self._problem = str(problem)
            log.error("%s. It is tried again until it works", self._problem.rstrip("."))
            self._tell()

    def _engine_changed(self, answers: bool) -> None:
        if answers:
            log.info("the engine is back")
        else:
            log.error("the engine does not answer; nothing is known of any container until it does")
        if self._instances is not None:
            self._instances.engine_answers(answers)

    def _pulling(self, progress: PullProgress) -> None:
        host = None if self._instances is None else self._instances.host_of(progress.task_arn)
        if host is not None:
            host.send_extension(pull_progress(progress))

    def _say_that_it_works(self, facts: EngineFacts) -> None:
        file = self._options.run_file
        if file is not None:
            told = {"pid": os.getpid(), "name": self._options.name, "engine": facts._asdict()}
            partial = file.with_suffix(".new")
            partial.write_bytes(orjson.dumps(told))
            partial.replace(file)

    def _say_that_it_worked(self) -> None:
        """Remove the file, unless it is of another agent, which was here first and works on."""
        file = self._options.run_file
        if file is None:
            return
        try:
            told = orjson.loads(file.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return
        if told.get("pid") == os.getpid():
            file.unlink(missing_ok=True)

    # The link

    def _hello(self) -> dict[str, Any]:
        options, facts = self._options, self._facts
        engine = {} if facts is None else {**facts._asdict(), "kind": facts.product.lower()}
        return {
            "host": LOCAL if options.local or facts is None else facts.id,
            "name": options.name,
            "pid": os.getpid(),
            "version": __version__,
            "local": options.local,
            "engine": engine,
            "found": [] if self._instances is None else self._instances.state()["instances"],
            "wants": None if options.local else _wants(options),
        }

    def _connected(self) -> None:
        """Agents wait up to two minutes between attempts; now it is known that none of that is needed."""
        if self._instances is not None:
            self._instances.reachable()

    def _told(self, desired: Desired) -> None:
        before, self._desired = self._desired, desired
        self._news.set()
        same = before is not None and before.settings == desired.settings
        if self._instances is not None and same:
            self._instances.want(desired)
        else:
            self._tell()

    def _tell(self) -> None:
        """What has become of what is wanted; -1: nothing yet."""
        if self._instances is not None:
            state = self._instances.state()
        elif self._problem:
            state = {"instances": [], "failed": {}, "engine": False, "generation": NOT_COMPARED}
        else:
            return
        if self._problem:
            state["problem"] = self._problem
        self._link.send_state(state)

    async def _wanted(self, otherwise: HostSettings | None) -> Desired:
        """What is wanted, as soon as it is known and its settings are other than these."""
        while self._desired is None or self._desired.settings == otherwise:
            self._news.clear()
            await self._news.wait()
        return self._desired


def _wants(options: AgentOptions) -> Mapping[str, Any]:
    return {
        "count": options.instances,
        "instanceType": options.instance_type,
        "zone": options.zone,
        "cluster": options.cluster,
        "attributes": dict(options.attributes),
    }


def _ignore(_: object) -> None:
    """What happens on an engine that is only looked at."""
