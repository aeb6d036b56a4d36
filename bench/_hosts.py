"""Simulated hosts in a process of their own, on the same simulated time as the control plane in this one.

Time goes on in windows, in both processes at once. Every message is on its way for as long as a window lasts,
so none arrives in the window in which it was sent, and neither process has to know what the other one does
meanwhile: they exchange what was sent when a window is over. The same run has the same history each time.
"""

from __future__ import annotations

import marshal
import multiprocessing
import resource
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from _parts import Parts

from miniecs.config import Timing
from miniecs.ids import Ids
from miniecs.serve.collector import spare_the_collector
from miniecs.sim import World
from miniecs.sim.timeline import Timeline
from miniecs.store.memory import MemoryStore
from miniecs_agent.core.effects import Answer, ApiFailure, Channel
from miniecs_agent.core.spec import Document
from miniecs_agent.shell.host import Peer
from miniecs_agent.sim.instances import NewInstance, SimulatedInstances
from miniecs_api.agent_session import AgentSession, TelemetrySession
from miniecs_api.simulated import StoreJournal

WINDOW = 0.1  # simulated seconds, and what a message takes: the hosts are on another continent

Message = tuple[Any, ...]
"""When it arrives, what it is, and the rest of it; nothing but what marshal knows."""


class Hosts:
    """The hosts' process as the control plane has it. ``advance`` both, then ``close``."""

    def __init__(self, world: World, hosts: int, types: Sequence[str], parts: Mapping[str, str]) -> None:
        self._world = world
        self._sessions: dict[int, AgentSession | TelemetrySession] = {}
        self._sent: list[Message] = []
        context = multiprocessing.get_context("spawn")
        self._there, theirs = context.Pipe()
        zones, cluster = world.zones, world.cluster
        self._process = context.Process(
            target=_play, args=(theirs, hosts, tuple(types), zones, cluster, dict(parts))
        )
        self._process.start()
        theirs.close()

    def advance(self, seconds: float) -> None:
        """Let simulated time pass, here and there: a multiple of the window."""
        for _ in range(round(seconds / WINDOW)):
            end = self._world.now + WINDOW
            self._there.send_bytes(marshal.dumps((end, self._sent)))
            self._sent = []
            self._world.run(until=end)
            for message in marshal.loads(self._there.recv_bytes()):
                self._world.timeline.call_at(message[0], partial(self._arrive, *message[1:]))

    def begin_measuring(self) -> None:
        """From now on the process counts."""
        self._there.send_bytes(marshal.dumps(None))

    def close(self) -> tuple[float, float, Counter[str]]:
        """End it: its CPU time since it counts (seconds), its greatest memory (GiB), samples of its parts."""
        self._there.send_bytes(b"")
        cpu, memory, samples = marshal.loads(self._there.recv_bytes())
        self._process.join()
        return cpu, memory, Counter(samples)

    # What hosts send

    def _arrive(self, kind: str, *rest: Any) -> None:
        getattr(self, f"_on_{kind}")(*rest)

    def _on_dial(self, line: int, channel: str, instance_arn: str) -> None:
        sessions = self._world.network.control_plane.sessions
        assert sessions is not None
        connect = sessions.connect if channel == Channel.ACS else sessions.telemetry
        self._send("opened", line)  # what the session says at once comes after it
        to_agent, hang_up = partial(self._send, "told", line), partial(self._send, "closed", line)
        session = connect(self._world.now, instance_arn, to_agent, hang_up)
        assert session is not None, f"{instance_arn} is not registered"
        self._sessions[line] = session

    def _on_said(self, line: int, message: Document) -> None:
        self._sessions[line].receive(self._world.now, message)

    def _on_hung_up(self, line: int) -> None:
        self._sessions.pop(line).closed(self._world.now)

    def _on_call(self, number: int, operation: str, params: dict[str, Any]) -> None:
        api = self._world.network.control_plane.api
        assert api is not None
        self._send("answer", number, *api(operation, params))

    def _send(self, kind: str, *rest: Any) -> None:
        self._sent.append((self._world.now + WINDOW, kind, *rest))


class _Network:
    """The way from the hosts to the control plane (miniecs_agent.shell.host.Network)."""

    def __init__(self, timeline: Timeline) -> None:
        self.sent: list[Message] = []
        self._timeline = timeline
        self._lines: dict[int, tuple[Channel, Peer]] = {}
        self._calls: dict[int, Callable[[Answer], None]] = {}
        self._numbers = 0

    def dial(self, channel: Channel, instance_arn: str, peer: Peer) -> None:
        self._numbers += 1
        self._lines[self._numbers] = channel, peer
        self.send("dial", self._numbers, channel.value, instance_arn)

    def call(
        self, caller: str, operation: str, params: dict[str, Any], answered: Callable[[Answer], None]
    ) -> None:
        self._numbers += 1
        self._calls[self._numbers] = answered
        self.send("call", self._numbers, operation, params)

    def send(self, kind: str, *rest: Any) -> None:
        self.sent.append((self._timeline.now() + WINDOW, kind, *rest))

    def expect(self, message: Message) -> None:
        """It arrives when it is due."""
        self._timeline.call_at(message[0], partial(self._arrive, *message[1:]))

    def _arrive(self, kind: str, number: int, *rest: Any) -> None:
        if kind == "answer":
            result, code, why = rest
            self._calls.pop(number)(result if result is not None else ApiFailure(code, why))
            return
        channel, peer = self._lines[number]
        if kind == "told":
            peer.received(channel, rest[0])
        elif kind == "opened":
            peer.opened(channel, _Line(self, number))
        else:
            peer.closed(channel)


class _Line:
    """The agent's end of an open channel (miniecs_agent.shell.host.Connection)."""

    def __init__(self, network: _Network, number: int) -> None:
        self._network = network
        self._number = number

    def send(self, message: dict[str, Any]) -> None:
        self._network.send("said", self._number, message)

    def close(self) -> None:
        self._network.send("hung_up", self._number)


def _play(
    there: Connection,
    hosts: int,
    types: Sequence[str],
    zones: Sequence[str],
    cluster: str,
    parts: Mapping[str, str],
) -> None:
    """The process: its hosts start at once, and live as long as windows come."""
    timeline, ids = Timeline(), Ids(1)
    network = _Network(timeline)
    instances = SimulatedInstances(timeline, network, ids, StoreJournal(MemoryStore()), Timing())
    for number in range(hosts):
        instances.add(NewInstance(types[number % len(types)], zones[number % len(zones)], cluster))
    cpu, samples = 0.0, Parts(parts)
    while received := there.recv_bytes():
        window = marshal.loads(received)
        if window is None:
            spare_the_collector()
            cpu = time.process_time()
            samples.__enter__()
            continue
        end, messages = window
        for message in messages:
            network.expect(message)
        heap = timeline.heap
        while heap and heap[0][0] <= end:
            timeline.step()
        timeline.advance_to(end)
        there.send_bytes(marshal.dumps(network.sent))
        network.sent = []
    samples.__exit__(None, None, None)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    there.send_bytes(marshal.dumps((time.process_time() - cpu, memory, dict(samples.samples))))
