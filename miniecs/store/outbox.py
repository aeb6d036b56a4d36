"""The outbox in memory: every event in order, and the events of each resource.

What is kept is bounded, since a server runs for months: of a service's messages as many as
ECS keeps, of a resource's decisions enough to explain it, of the rest the newest. Dropping is
done in batches, so that an append stays an append.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from operator import attrgetter

from miniecs.model.event import Event, EventKind

SERVICE_MESSAGES = 100
"""Kept of each service: DescribeServices shows no more ("Only the 100 most recent events are displayed")."""
DECISIONS = 20
"""Kept of each resource."""
DECISIONS_OVERALL = 20_000
"""With a record each takes some 1.5 kB."""
OTHERS = 10_000
"""Kept of state changes and service actions, of all resources together."""
DEPARTED = 1_000
"""So many deleted resources keep their messages and decisions, for those who ask what happened."""

_by_seq = attrgetter("seq")


class Stream:
    """Events of one sort, with bounds; 0 is no bound. The overall one is overrun by a tenth at most."""

    __slots__ = ("by_resource", "by_seq", "dropped", "overall", "per_resource")

    def __init__(self, per_resource: int, overall: int, dropped: list[int] | None) -> None:
        self.per_resource = per_resource
        self.overall = overall
        self.dropped = dropped
        self.by_seq: dict[int, Event] = {}
        # Lists, not deques: most resources have one or two events, and an empty deque takes 700 bytes.
        self.by_resource: dict[str, list[Event]] = {}

    def add(self, event: Event) -> bool:
        """Append; True when it is the first one of its resource."""
        self.by_seq[event.seq] = event
        of_resource = self.by_resource.get(event.resource)
        first = of_resource is None
        if of_resource is None:
            self.by_resource[event.resource] = [event]
        else:
            of_resource.append(event)
            if self.per_resource and len(of_resource) > self.per_resource:
                self._drop(of_resource.pop(0))
        if self.overall and len(self.by_seq) > self.overall + self.overall // 10:
            self._drop_oldest(len(self.by_seq) - self.overall)
        return first

    def newest_first(self, resource: str | None) -> Iterator[Event]:
        if resource is None:
            return reversed(self.by_seq.values())
        return reversed(self.by_resource.get(resource, ()))

    def forget(self, resource: str) -> None:
        for event in self.by_resource.pop(resource, ()):
            self._drop(event)

    def clear(self) -> None:
        self.by_seq.clear()
        self.by_resource.clear()

    def _drop_oldest(self, number: int) -> None:
        for event in list(islice(self.by_seq.values(), number)):
            of_resource = self.by_resource[event.resource]
            del of_resource[0]
            if not of_resource:
                del self.by_resource[event.resource]
            self._drop(event)

    def _drop(self, event: Event) -> None:
        del self.by_seq[event.seq]
        if self.dropped is not None:
            self.dropped.append(event.seq)


class Outbox:
    """All events that are kept. ``dropped`` gathers the seqs of those that are not any more."""

    def __init__(self, exists: Callable[[str], bool], dropped: list[int] | None = None) -> None:
        self.seq = 0
        self._exists = exists
        self._messages = Stream(SERVICE_MESSAGES, 0, dropped)
        self._decisions = Stream(DECISIONS, DECISIONS_OVERALL, dropped)
        self._others = Stream(0, OTHERS, dropped)
        self._streams = {
            kind: {
                EventKind.SERVICE_MESSAGE: self._messages,
                EventKind.DECISION: self._decisions,
            }.get(kind, self._others)
            for kind in EventKind
        }
        self._departed: dict[str, None] = {}  # resources without an object, longest gone first

    def append(self, event: Event) -> None:
        """Events come in order of their seq."""
        self.seq = event.seq
        stream = self._streams[event.kind]
        if stream.add(event) and stream is not self._others and not self._exists(event.resource):
            self.departed(event.resource)

    def departed(self, resource: str) -> None:
        """The resource was deleted: it is forgotten when enough others have been deleted after it."""
        if resource not in self._messages.by_resource and resource not in self._decisions.by_resource:
            return
        self._departed.pop(resource, None)
        self._departed[resource] = None
        if len(self._departed) > DEPARTED + DEPARTED // 10:
            for gone in list(islice(self._departed, len(self._departed) - DEPARTED)):
                del self._departed[gone]
                self._messages.forget(gone)
                self._decisions.forget(gone)

    def returned(self, resource: str) -> None:
        """The resource was made (again)."""
        if self._departed:
            self._departed.pop(resource, None)

    def clear(self) -> None:
        for stream in (self._messages, self._decisions, self._others):
            stream.clear()
        self._departed.clear()

    def read(
        self,
        resource: str | None,
        kinds: Iterable[EventKind],
        after: int,
        limit: int,
        pending: Sequence[Event] = (),
    ) -> list[Event]:
        """The newest events, oldest first; pending ones are newer than all that were appended."""
        wanted = frozenset(kinds) or _ALL
        streams = {id(self._streams[kind]): self._streams[kind] for kind in wanted}
        sources = [stream.newest_first(resource) for stream in streams.values()]
        if pending:
            sources.append(iter([e for e in reversed(pending) if resource is None or e.resource == resource]))
        newest_first = sources[0] if len(sources) == 1 else merge(*sources, key=_by_seq, reverse=True)
        found: list[Event] = []
        for event in newest_first:
            if event.seq <= after or len(found) >= limit:
                break
            if event.kind in wanted:
                found.append(event)
        found.reverse()
        return found


_ALL = frozenset(EventKind)
