"""The container instances of one engine, made equal to what the server wants of this host.

Level-triggered: each instance is compared with what is wanted of it until it is so, one independently of
the others, and what failed is tried again, less and less often, until it is wanted otherwise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from miniecs.config import Timing
from miniecs.ids import Ids
from miniecs.model import arns
from miniecs_agent.core.capabilities import AMI, HostFacts, docker_capabilities
from miniecs_agent.core.tasks import AgentSettings
from miniecs_agent.engine import EngineEvent
from miniecs_agent.host_engine import EngineError, HostEngine, InstanceEngine, InstanceSettings
from miniecs_agent.shell.background import Background
from miniecs_agent.shell.balancers import Balancers
from miniecs_agent.shell.control_plane import ControlPlane, InstanceNetwork
from miniecs_agent.shell.host import Extension, InstanceHost
from miniecs_agent.shell.host_link import Desired, DesiredInstance, HostSettings
from miniecs_agent.shell.timers import Timers

log = logging.getLogger("miniecs.agent")

PUBLISH_EVERY = 20.0  # seconds, as the ECS agent; with a time scale more often, but at most once a second
KEEP_STOPPED = 3600.0  # stopped containers, for `miniecs logs`: as long as their tasks can be described
NOT_COMPARED = -1  # the generation of an engine that was not compared with anything yet
KEEP_STOPPED_AT_LEAST = 60.0  # at whatever time scale: a person has to read them

_FIRST_DELAY, _LONGEST_DELAY = 1.0, 60.0

MakeExtension = Callable[[InstanceEngine, Callable[[dict[str, Any]], None]], Extension]
Instance = InstanceHost[InstanceEngine]


class Instances:
    """All instances on an engine that was started. ``changed`` is called whenever ``state`` has."""

    def __init__(
        self,
        engine: HostEngine,
        settings: HostSettings,
        control_plane: ControlPlane,
        timers: Timers,
        ids: Ids,
        extension: MakeExtension,
        changed: Callable[[], None],
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.timing = Timing().scaled(settings.time_scale)
        self.control_plane = control_plane
        self.timers = timers
        self.ids = ids
        self.extension = extension
        self.background = Background()
        self.changed = changed
        self._generation = NOT_COMPARED
        self._played: dict[str, _Played] = {}
        self._balancers = Balancers(engine, self.background, changed)

    async def start(self) -> None:
        """Find what is on the engine. Raises EngineError."""
        for instance_id in await self.engine.instances():
            self._played[instance_id] = _Played(self, instance_id, present=True)

    def want(self, desired: Desired) -> None:
        """From now on these, and no others."""
        self._generation = desired.generation
        wanted = {instance.instance_id: instance for instance in desired.instances}
        for instance_id in wanted:
            if instance_id not in self._played:
                self._played[instance_id] = _Played(self, instance_id, present=False)
        for instance_id, played in list(self._played.items()):
            played.want(wanted.get(instance_id))
        self._balancers.want(desired.load_balancers)
        self.changed()

    def gone(self, instance_id: str) -> None:
        """Nothing is left of an instance that is not wanted."""
        self._played.pop(instance_id, None)
        self.changed()

    def state(self) -> dict[str, Any]:
        """HostState's members. instances: every one that the engine has anything of."""
        return {
            "instances": [id for id, played in self._played.items() if played.present],
            "failed": {id: played.failure for id, played in self._played.items() if played.failure},
            "engine": self.engine.connected,
            "loadBalancers": self._balancers.addresses,
            "generation": self._generation,
        }

    def engine_answers(self, answers: bool) -> None:
        """The engine went, or came back."""
        for played in self._played.values():
            if played.host is not None:
                played.host.engine_answers(answers)
        self.changed()

    def reachable(self) -> None:
        """The server answers (again)."""
        for played in self._played.values():
            if played.host is not None:
                played.host.reachable()

    def host_of(self, task_arn: str) -> Instance | None:
        """The instance that a task is on."""
        for played in self._played.values():
            if played.host is not None and played.host.core.tasks.get(task_arn) is not None:
                return played.host
        return None

    async def close(self) -> None:
        """Let go of all of them; what runs on the engine runs on."""
        await self.background.close()
        for played in self._played.values():
            played.let_go()
        self._played.clear()


class _Played:
    """One instance id: what is wanted of it, what there is, and the work that makes them equal."""

    def __init__(self, owner: Instances, instance_id: str, *, present: bool) -> None:
        self.instance_id = instance_id
        self.present = present  # the engine has, or may have, something of it
        self.failure = ""  # why it is not as it should be
        self.host: Instance | None = None
        self._owner = owner
        self._wanted: DesiredInstance | None = None
        self._engine: InstanceEngine | None = None
        self._playing: DesiredInstance | None = None  # as which it is registered
        self._early: list[EngineEvent] = []  # what happened before there was a host to hear it
        self._delay = _FIRST_DELAY
        self._news = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._reading = False

    def want(self, wanted: DesiredInstance | None) -> None:
        if wanted != self._wanted:
            self._delay = _FIRST_DELAY
            self._news.set()
        self._wanted = wanted
        self._attend()

    def let_go(self) -> None:
        host, self.host, self._playing = self.host, None, None
        if host is not None:
            host.let_go()

    def _attend(self) -> None:
        if self._work is None and not self._is_right():
            self._work = self._owner.background.start(self._converge(), f"instance {self.instance_id}")
            self._work.add_done_callback(self._worked)

    def _worked(self, work: asyncio.Task[None]) -> None:
        self._work = None
        if not work.cancelled() and work.exception() is not None:
            self._failed(f"a bug: {work.exception()!r}")
            self._owner.timers.call_at(self._owner.timers.now() + self._delay, self._attend)

    def _is_right(self) -> bool:
        if self._wanted is None:
            return not self.present
        return self._playing == _identity(self._wanted)

    async def _converge(self) -> None:
        while not self._is_right():
            if self.failure:
                await self._pause()
            self._news.clear()
            try:
                if self._wanted is None:
                    await self._remove()
                else:
                    await self._open(self._wanted)
            except EngineError as problem:
                self._failed(str(problem))

    async def _pause(self) -> None:
        """Until the next try, or until it is wanted otherwise."""
        delay, self._delay = self._delay, min(2 * self._delay, _LONGEST_DELAY)
        try:
            await asyncio.wait_for(self._news.wait(), delay)
        except TimeoutError:
            return

    def _failed(self, why: str) -> None:
        if why != self.failure:
            log.error("instance %s: %s", self.instance_id, why)
        self.failure = why
        self._owner.changed()

    async def _remove(self) -> None:
        """All of it."""
        self.let_go()
        self._engine = None
        await self._owner.engine.remove(self.instance_id)
        self.present, self.failure = False, ""
        if self._wanted is None:
            log.info("instance %s is removed", self.instance_id)
            self._owner.gone(self.instance_id)

    async def _open(self, wanted: DesiredInstance) -> None:
        self.let_go()
        owner = self._owner
        if self._engine is None:
            self._early.clear()
            settings = InstanceSettings(self.instance_id, owner.timing, owner.settings.allow_privileged)
            self.present = True
            self._engine = await owner.engine.open(settings, self._heard)
        if self._wanted is None:
            return
        engine = self._engine
        facts = _facts(owner.engine, engine, wanted, owner.settings.allow_privileged)
        network = InstanceNetwork(
            owner.control_plane,
            region=_region(wanted),
            cluster=wanted.cluster,
            docker_version=owner.engine.facts.version,
        )
        self._playing = _identity(wanted)
        self.host = InstanceHost(
            owner.timers,
            network,
            owner.ids,
            facts,
            _settings(wanted, owner.timing),
            engine,
            known_arn=wanted.arn,
            registered=self._registered,
            gave_up=self._gave_up,
            read_usage=self._read_usage,
            extension=lambda send: owner.extension(engine, send),
        )
        self.host.start()
        for event in self._early:
            self.host.engine_event(event)
        self._early.clear()
        kind, zone = facts.instance_type, facts.zone
        log.info("instance %s: %s in %s at %s", self.instance_id, kind, zone, engine.address)

    def _heard(self, event: EngineEvent) -> None:
        if self.host is not None:
            self.host.engine_event(event)
        elif self._engine is None:
            self._early.append(event)

    def _registered(self, host: Instance) -> None:
        self.failure, self._delay = "", _FIRST_DELAY
        log.info("instance %s is registered as %s", self.instance_id, host.arn)
        self._owner.changed()

    def _gave_up(self, reason: str) -> None:
        self.host, self._playing = None, None
        self._failed(f"it could not be registered: {reason}")
        self._attend()

    def _read_usage(self) -> None:
        if not self._reading:
            self._owner.background.start(self._read(), f"usage on {self.instance_id}")

    async def _read(self) -> None:
        engine = self._engine
        if engine is None:
            return
        self._reading = True
        try:
            readings = await engine.usage()
        except EngineError as problem:
            log.warning("instance %s: usage cannot be read: %s", self.instance_id, problem)
            return
        finally:
            self._reading = False
        if self.host is not None:
            self.host.usage_read(readings)


def _identity(wanted: DesiredInstance) -> DesiredInstance:
    """What an agent is started for; its ARN is what comes of it."""
    return wanted._replace(arn=None)


def _settings(wanted: DesiredInstance, timing: Timing) -> AgentSettings:
    return AgentSettings(
        wanted.cluster,
        timing,
        cleanup_after=max(KEEP_STOPPED, KEEP_STOPPED_AT_LEAST * timing.time_scale),
        publish_every=max(timing.wait(PUBLISH_EVERY), 1.0),
    )


def _region(wanted: DesiredInstance) -> str:
    """Of the cluster; a cluster that is only named is in the zone's region."""
    if wanted.cluster.startswith("arn:"):
        return arns.scope_of(wanted.cluster).region
    return wanted.zone.rstrip("abcdef")


def _facts(
    engine: HostEngine, instance: InstanceEngine, wanted: DesiredInstance, allow_privileged: bool
) -> HostFacts:
    return HostFacts(
        cpu=wanted.cpu,
        memory=wanted.memory,
        zone=wanted.zone,
        instance_id=wanted.instance_id,
        instance_type=wanted.instance_type,
        private_ip=instance.address,
        ami_id=AMI,
        cpu_architecture=engine.facts.architecture,
        attributes=dict(wanted.attributes),
        capabilities=docker_capabilities(engine.facts.api_version, allow_privileged=allow_privileged),
        docker_version=f"DockerVersion: {engine.facts.version}",
    )
