"""Our agent in place of the ECS agent: told what that one was told, it answers as that one did.

Each recording is replayed in virtual time, and containers do what they did in it. Everything that the agent
says is compared whole, in order, but for the differences that ``DELIBERATE`` lists with their reasons.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import pytest

from miniecs.ids import Ids
from miniecs.model.task import NetworkBinding
from miniecs_agent.agent import AgentCore
from miniecs_agent.capabilities import HostFacts
from miniecs_agent.effects import Channel, Effect, Open, ReadUsage, SendAcs, SendTcs, Submit, WakeAt
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
from miniecs_agent.state import Action
from miniecs_agent.tasks import AgentSettings

from .recordings import (
    INSTANCE,
    RESTART,
    VERSIONS,
    Said,
    by,
    comparable,
    payload_tasks,
    recording,
    submissions,
)

SECONDS_AFTER_THE_LAST_MESSAGE = 30.0

# What we do otherwise than the ECS agent

Body = dict[str, Any]
Rewrite = Callable[[list[Said]], list[Said]]


class Difference(NamedTuple):
    """``theirs`` and ``ours``: what is done to everything that was said, before it is compared."""

    recordings: tuple[str, ...]
    reason: str
    theirs: Rewrite | None = None
    ours: Rewrite | None = None


def without(*names: str) -> Rewrite:
    return lambda said: [s for s in said if s.name not in names]


def each(name: str, change: Callable[[Body], Body]) -> Rewrite:
    return lambda said: [s._replace(body=change(s.body)) if s.name == name else s for s in said]


def each_container(change: Callable[[Body], Body]) -> Rewrite:
    def changed(body: Body) -> Body:
        return (
            body | {"containers": [change(c) for c in body["containers"]]} if "containers" in body else body
        )

    return each("SubmitTaskStateChange", changed)


def less(*names: str) -> Callable[[Body], Body]:
    return lambda body: {name: value for name, value in body.items() if name not in names}


def without_later_attributes(body: Body) -> Body:
    later = ("ecs.cpu-architecture", "ecs.os-family", "ecs.os-type-detailed")
    return {**body, "attributes": [a for a in body["attributes"] if a["name"] not in later]}


def before_the_parsers_words(body: Body) -> Body:
    head, known, _ = body["reason"].partition("Could not unmarshal ContainerOverrides in any supported way")
    return {**body, "reason": head.removesuffix("Multiple error:\n\t0: ") + known}


def once(name: str) -> Rewrite:
    """Only the first of several in a row that say the same."""

    def collapsed(said: list[Said]) -> list[Said]:
        kept: list[Said] = []
        for s in said:
            last = next((k for k in reversed(kept) if k.name == name), None)
            if s.name != name or last is None or last.body != s.body:
                kept.append(s)
        return kept

    return collapsed


def only_ipv4(container: Body) -> Body:
    bindings = [b for b in container.get("networkBindings", ()) if b["bindIP"] != "::"]
    rest = less("networkBindings")(container)
    return rest | {"networkBindings": bindings} if bindings else rest


def without_exit_while_running(container: Body) -> Body:
    return less("exitCode")(container) if container["status"] == "RUNNING" else container


def without_dependency_words(container: Body) -> Body:
    failed = container.get("reason", "").startswith("CannotStartContainerError: dependency graph")
    return less("reason", "exitCode")(container) if failed else container


def without_empty_containers(body: Body) -> Body:
    return less("containers")(body) if body.get("containers") == [] else body


def without_repetition(said: list[Said]) -> list[Said]:
    kept: list[Said] = []
    for s in said:
        if s.name != SUBMIT or s.body not in [k.body for k in kept]:
            kept.append(s)
    return kept


def without_cluster(body: Body) -> Body:
    return {**body, "tasks": [less("clusterArn")(task) for task in body["tasks"]]}


def acknowledgements_first(said: list[Said]) -> list[Said]:
    """A message's acknowledgement before what else is answered to it."""
    answers = [s.body.get("messageId") for s in said]
    return sorted(said, key=lambda s: (answers.index(s.body.get("messageId")), s.name.startswith("TaskStop")))


def without_what_followed_the_verification(said: list[Said]) -> list[Said]:
    stopped = {
        candidate["taskArn"]
        for s in said
        if s.name == "TaskStopVerificationMessage"
        for candidate in s.body["stopCandidates"]
    }
    return [s for s in said if not (s.body.get("task") in stopped and s.body["status"] == "STOPPED")]


SUBMIT = "SubmitTaskStateChange"
ALL = (*VERSIONS, RESTART)
DELIBERATE = (
    Difference(
        ALL,
        "Every emulated instance is an EC2 instance and has its identity document; versions are said where "
        "the API has a place for them, at registration.",
        theirs=each("RegisterContainerInstance", less("instanceIdentityDocument")),
        ours=each("RegisterContainerInstance", less("instanceIdentityDocument", "versionInfo")),
    ),
    Difference(
        ALL,
        "Asked for by the task metadata endpoint, not by the agent's core.",
        theirs=without("ListTagsForResource"),
    ),
    Difference(
        ALL,
        "The ECS agent times pulls only of images that it does not find; we time the look for them as well.",
        theirs=each(SUBMIT, less("pullStartedAt", "pullStoppedAt")),
        ours=each(SUBMIT, less("pullStartedAt", "pullStoppedAt")),
    ),
    Difference(
        ALL,
        "What a JSON parser says of a text that is no JSON: Go's words there, Python's here.",
        theirs=each(SUBMIT, before_the_parsers_words),
        ours=each(SUBMIT, before_the_parsers_words),
    ),
    Difference(
        ALL,
        "Health is published when it changes as well, since deployments wait for it, and names the task's "
        "cluster, as the protocol allows; the ECS agent publishes all of it every 20 seconds.",
        theirs=once("PublishHealthRequest"),
        ours=lambda said: once("PublishHealthRequest")(each("PublishHealthRequest", without_cluster)(said)),
    ),
    Difference(
        ALL,
        "What was measured, and when, is the engine's matter: shapes are compared below.",
        theirs=without("PublishMetricsRequest", "PublishInstanceStatusRequest"),
        ours=without("PublishMetricsRequest", "PublishInstanceStatusRequest"),
    ),
    Difference(
        (RESTART,),
        "The recording's server parsed parameters by the public API's model, which lacks these two.",
        ours=lambda said: each("RegisterContainerInstance", less("clientToken"))(
            each("DiscoverPollEndpoint", less("zoneId"))(said)
        ),
    ),
    Difference(
        (RESTART,),
        "The ECS agent keeps a database of what it has reported; ours knows only what runs, and repeats it.",
        ours=without_repetition,
    ),
    Difference(
        ("1.48.1",),
        "Only the operating system's type was told, not its family nor the processor's architecture.",
        ours=each("RegisterContainerInstance", without_later_attributes),
    ),
    Difference(
        ("1.48.1",),
        "Heartbeats are acknowledged and a zone is named since a later version.",
        ours=lambda said: each("DiscoverPollEndpoint", less("zoneId"))(without("HeartbeatAckRequest")(said)),
    ),
    Difference(
        ("1.48.1",),
        "Acknowledgements name the cluster as it is configured; later ones as the message does.",
        theirs=each("AckRequest", less("cluster")),
        ours=each("AckRequest", less("cluster")),
    ),
    Difference(
        ("1.48.1",),
        "Acknowledgements come after the answer at times; later versions acknowledge first.",
        theirs=acknowledgements_first,
    ),
    Difference(
        ("1.48.1",),
        "Empty lists are sent; bindings are doubled for IPv6; a container is said to be running with the "
        "code that it exited with a moment later.",
        theirs=lambda said: each(SUBMIT, without_empty_containers)(
            each_container(lambda c: without_exit_while_running(only_ipv4(c)))(said)
        ),
    ),
    Difference(
        ("1.48.1",),
        "A container that a dependency kept from starting is STOPPED without a word; later with the reason.",
        ours=each_container(without_dependency_words),
    ),
    Difference(
        ("1.48.1",),
        "A task that it is told to stop by a verified manifest is given up at once: 'TaskStateError: Agent "
        "could not progress task's state to stopped'. Later versions stop it.",
        theirs=without_what_followed_the_verification,
        ours=without_what_followed_the_verification,
    ),
)


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
        vpc_id="vpc-1",
        subnet_id="subnet-1",
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


Shown = dict[str, list[tuple[str, Body]]]


def shown(said: list[Said], rewrites: list[Rewrite]) -> Shown:
    """What was said, by channel: between channels the order is chance."""
    said = [s._replace(body=comparable(s.body, s.on)) for s in said if s.name != "connect"]
    for rewrite in rewrites:
        said = rewrite(said)
    return {on: [(s.name, s.body) for s in said if s.on == on] for on in ("api", "acs", "tcs")}


def compared(name: str, differences: Sequence[Difference]) -> tuple[Shown, Shown]:
    """What our agent said in the recording's place, and what it should have said."""
    theirs = recording(name)
    apply = [d for d in differences if name in d.recordings]
    return (
        shown(Replay(theirs).run(), [d.ours for d in apply if d.ours is not None]),
        shown(by("agent", theirs), [d.theirs for d in apply if d.theirs is not None]),
    )


@pytest.mark.parametrize("name", ALL)
def test_our_agent_says_what_the_ecs_agent_said(name: str) -> None:
    said, expected = compared(name, DELIBERATE)
    for on in ("api", "acs", "tcs"):
        assert [name for name, _ in said[on]] == [name for name, _ in expected[on]]
        for ours, theirs in zip(said[on], expected[on], strict=True):
            assert ours == theirs


@pytest.mark.parametrize("place", range(len(DELIBERATE)))
def test_every_difference_is_one(place: int) -> None:
    """None is listed that no recording shows."""
    others = [*DELIBERATE[:place], *DELIBERATE[place + 1 :]]
    differing = []
    for name in DELIBERATE[place].recordings:
        said, expected = compared(name, others)
        differing.append(said != expected)
    assert any(differing), DELIBERATE[place].reason


# Telemetry: the same members of the same types

MORE_THAN_THEIRS = {"taskMetrics.clusterArn", "tasks.clusterArn"}
LESS_THAN_THEIRS = {
    f"taskMetrics.containerMetrics.networkStatsSet.{way}{what}"
    for way in ("rx", "tx")
    for what in ("Dropped", "Errors", "Packets")
}
"""The protocol leaves them to the agent; nobody shows them, and an engine's reading is to be cheap."""


def members(value: Any, path: str = "") -> set[tuple[str, str]]:
    """(path, kind of value) of everything in a message."""
    if isinstance(value, dict):
        return {m for name, each in value.items() for m in members(each, f"{path}.{name}".lstrip("."))}
    if isinstance(value, list):
        return {m for each in value for m in members(each, path)}
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return {(path, "number" if number else type(value).__name__)}


def published(said: list[Said]) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for each in said:
        if each.on == "tcs" and each.name != "connect":
            found.setdefault(each.name, set()).update(members(each.body))
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_telemetry_has_the_ecs_agents_members(version: str) -> None:
    theirs = published(by("agent", recording(version)))
    ours = published(Replay(recording(version)).run())
    for name, wanted in theirs.items():
        expected = {m for m in wanted if not m[0].startswith(tuple(LESS_THAN_THEIRS))}
        assert {m for m in ours[name] if m[0] not in MORE_THAN_THEIRS} == expected
    later = {"PublishInstanceStatusRequest"} if version == "1.48.1" else set()
    assert set(ours) == set(theirs) | later


def test_telemetry_is_published_every_twenty_seconds() -> None:
    replay = Replay(recording("1.105.1")).run()
    times = [each.at for each in replay if each.name == "PublishInstanceStatusRequest"]
    assert times[:5] == [0.0, 20.0, 40.0, 60.0, 80.0]
