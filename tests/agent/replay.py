"""Our agent in place of the recorded one: told what that one was told, with containers that do what they did.

In virtual time, and without a process or a socket: the agent's core, and an engine that reads the recording.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, NamedTuple

from miniecs.ids import Ids
from miniecs.model.task import NetworkBinding
from miniecs_agent.core.agent import AgentCore
from miniecs_agent.core.capabilities import HostFacts
from miniecs_agent.core.effects import Channel, Effect, Open, ReadUsage, SendAcs, SendTcs, Submit, WakeAt
from miniecs_agent.core.state import Action
from miniecs_agent.core.tasks import AgentSettings
from miniecs_agent.engine import (
    Created,
    EngineCall,
    EngineContainer,
    EngineEvent,
    Exited,
    Failed,
    HealthChanged,
    Pulled,
    Started,
)
from miniecs_agent.host_engine import Usage

from .recordings import INSTANCE, Said, payload_tasks, submissions

SECONDS_AFTER_THE_LAST_MESSAGE = 30.0

Body = dict[str, Any]

# What the containers did


class Script(NamedTuple):
    """What one container does by itself, in seconds from its start, and how it ends when it is stopped."""

    exits: tuple[float, int] | None = None
    healthy_after: float | None = None
    stops_with: tuple[float, int] = (2.1, 137)
    fails: Action | None = None  # as often as it is tried, in the recorded words


SCRIPTS = {
    ("short", "main"): Script(exits=(2.0, 3)),
    ("websvc", "init"): Script(exits=(1.0, 0)),
    ("websvc", "web"): Script(healthy_after=2.0, stops_with=(0.3, 0)),
    ("websvc", "side"): Script(),
    ("orphan", "main"): Script(),
    ("badimage", "main"): Script(fails=Action.PULL),
    ("badcmd", "main"): Script(fails=Action.START),
    ("baddep", "a"): Script(exits=(0.2, 7)),
    ("long", "main"): Script(),
    ("brief", "main"): Script(exits=(4.0, 5)),
}


class ScriptedEngine:
    """Answers calls with what the recording shows of the container, at once unless the script has a time."""

    def __init__(self, said: list[Said]) -> None:
        self._families = {task["arn"]: task["family"] for task in payload_tasks(said)}
        self._last = {
            (body["task"], container["containerName"]): container
            for body in submissions(said)
            for container in body.get("containers", ())
        }
        self._containers: dict[tuple[str, str], EngineContainer] = {}

    def containers(self) -> list[EngineContainer]:
        """What it has, for an agent that starts anew."""
        return list(self._containers.values())

    def usage(self, now: float) -> dict[tuple[str, str], Usage]:
        """Counters that grow, of every running container."""
        moment = int(now * 1000)
        return {
            key: Usage(cpu=moment * 1000, memory=1507328, received=moment, sent=moment, read=0, written=0)
            for key, container in self._containers.items()
            if container.state == "running"
        }

    def happened(self, event: EngineEvent) -> None:
        key = event.task_arn, event.container
        found = self._containers.get(key)
        if found is not None:
            match event:
                case Created(runtime_id=runtime_id):
                    self._containers[key] = found._replace(runtime_id=runtime_id)
                case Started(bindings=bindings):
                    self._containers[key] = found._replace(state="running", bindings=bindings)
                case Exited(exit_code=code):
                    self._containers[key] = found._replace(state="exited", exit_code=code)

    def answers(self, call: EngineCall) -> list[tuple[float, EngineEvent]]:
        """(seconds from now, event)"""
        arn, name = call.task.arn, call.container.name
        script = SCRIPTS[self._families[arn], name]
        last = self._last.get((arn, name), {})
        if script.fails is call.action:
            error, _, words = last["reason"].partition(": ")
            return [(0.0, Failed(arn, name, call.action, error, words, call.action is Action.PULL))]
        match call.action:
            case Action.PULL:
                return [(0.0, Pulled(arn, name))]
            case Action.CREATE:
                label = dict(call.task.document)
                self._containers[arn, name] = EngineContainer(arn, name, "", "created", document=label)
                return [(0.0, Created(arn, name, last.get("runtimeId", "of no report")))]
            case Action.START:
                return [(0.0, Started(arn, name, _bindings(last))), *_by_itself(arn, name, script)]
            case Action.STOP:
                after, code = script.stops_with
                return [(after, Exited(arn, name, code))]
        raise AssertionError(f"{call.action} is not in the recording")


def _by_itself(arn: str, name: str, script: Script) -> list[tuple[float, EngineEvent]]:
    events: list[tuple[float, EngineEvent]] = []
    if script.healthy_after is not None:
        events.append((script.healthy_after, HealthChanged(arn, name, "HEALTHY")))
    if script.exits is not None:
        after, code = script.exits
        events.append((after, Exited(arn, name, code)))
    return events


def _bindings(container: Body) -> tuple[NetworkBinding, ...]:
    """What a container was published on; Docker reports IPv6 as well, and engines leave it out."""
    return tuple(
        NetworkBinding(b["bindIP"], b["protocol"], b["containerPort"], b["hostPort"])
        for b in container.get("networkBindings", ())
        if b["bindIP"] != "::"
    )


# The replay


class Replay:
    """An agent's core that is told the server's side of a recording; ``said`` is what it says to that."""

    def __init__(self, theirs: list[Said]) -> None:
        self.said: list[Said] = []
        self._theirs = theirs
        self._now = 0.0
        self._due: list[tuple[float, int, Callable[[], list[Effect]]]] = []
        self._order = count()
        self._engine = ScriptedEngine(theirs)
        self._core: AgentCore | None = None

    def run(self) -> list[Said]:
        self._start()
        for place, message in enumerate(self._theirs):
            if message.by == "scenario":
                self._until(message.at, _reported(self._theirs[:place]))
                self._core = None
                if message.name == "started":
                    self._start(known_arn=INSTANCE)
            elif message.by == "server" and message.on == "acs":
                self._until(message.at, _reported(self._theirs[:place]))
                assert self._core is not None
                if message.name == "close":
                    self._carry_out(self._core.closed(self._now, Channel.ACS))
                else:
                    document = {"type": message.name, "message": message.body}
                    self._carry_out(self._core.handle(self._now, document))
        self._until(self._now + SECONDS_AFTER_THE_LAST_MESSAGE, set())
        return self.said

    def _start(self, known_arn: str | None = None) -> None:
        self._core = AgentCore(
            AgentSettings("mini", publish_every=20.0), _facts(self._theirs), Ids(seed=1), known_arn
        )
        self._carry_out(self._core.start(self._now, self._engine.containers()))

    def _until(self, at: float, reported: set[tuple[str, str]]) -> None:
        """Until then, and until the agent reported what the server waited for before it went on."""
        while self._due and (self._due[0][0] <= at or not reported <= _reported(self.said)):
            self._now, _, happen = heapq.heappop(self._due)
            if effects := happen():
                self._carry_out(effects)
        self._now = max(self._now, at)

    def _later(self, seconds: float, happen: Callable[[], list[Effect]]) -> None:
        heapq.heappush(self._due, (self._now + seconds, next(self._order), happen))

    def _carry_out(self, effects: list[Effect]) -> None:
        core = self._core
        assert core is not None
        for effect in effects:
            match effect:
                case Submit(key, operation, params):
                    self._say("api", operation, params)
                    self._later(0.0, partial(self._answered, core, key, _answer(operation, params)))
                case SendAcs(message):
                    self._say("acs", message["type"], message["message"])
                case SendTcs(message):
                    self._say("tcs", message["type"], message["message"])
                    self._later(0.0, partial(self._acknowledged, core))
                case ReadUsage():
                    self._carry_out(core.usage_read(self._now, self._engine.usage(self._now)))
                case Open(channel):
                    self._carry_out(core.opened(self._now, channel))
                case WakeAt(at):
                    self._later(at - self._now, partial(self._wake, core))
                case EngineCall():
                    for after, event in self._engine.answers(effect):
                        self._later(after, partial(self._happens, event))
                case _:
                    raise AssertionError(f"{effect} is not in the recording")

    def _happens(self, event: EngineEvent) -> list[Effect]:
        self._engine.happened(event)
        return self._core.engine_event(self._now, event) if self._core is not None else []

    def _answered(self, core: AgentCore, key: str, answer: Body) -> list[Effect]:
        return core.answered(self._now, key, answer) if core is self._core else []

    def _acknowledged(self, core: AgentCore) -> list[Effect]:
        return core.handle_telemetry(self._now, {"type": "AckPublish", "message": {"message": "ok"}})

    def _wake(self, core: AgentCore) -> list[Effect]:
        return core.tick(self._now) if core is self._core else []

    def _say(self, on: str, name: str, body: Body) -> None:
        self.said.append(Said(self._now, "agent", on, name, body))


def _reported(said: list[Said]) -> set[tuple[str, str]]:
    """(task, status) of every report."""
    return {(body["task"], body["status"]) for body in submissions(said)}


def _facts(said: list[Said]) -> HostFacts:
    """The recorded agent's host."""
    register = next(s.body for s in said if s.name == "RegisterContainerInstance")
    resources = {r["name"]: r.get("integerValue", 0) for r in register["totalResources"]}
    return HostFacts(
        cpu=resources["CPU"],
        memory=resources["MEMORY"],
        zone="us-west-2a",
        instance_id="i-0123456789abcdef0",
        instance_type="t3.medium",
        private_ip="172.31.0.16",
        ami_id="ami-1",
        capabilities=[a["name"] for a in register["attributes"] if "value" not in a],
        attributes={
            a["name"]: a["value"]
            for a in register["attributes"]
            if "value" in a and not a["name"].startswith("ecs.")
        },
        docker_version="20.10.24",
    )


def _answer(operation: str, params: Body) -> Body:
    if operation == "RegisterContainerInstance":
        echoed = [{"value": "", **attribute} for attribute in params["attributes"]]
        return {"containerInstance": {"containerInstanceArn": INSTANCE, "attributes": echoed}}
    return {}
