"""What load balancers carried in the last minute: the proxy's counts, added up for whoever asks.

In memory only: a rate is of now, and after a restart the next second's counts come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from miniecs.model.routing import Tally, Traffic, bucket_limit

KEPT = 60.0  # seconds

Of = Literal["listeners", "groups", "targets"]
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Summary:
    """Of one listener, target group or target. rate: requests a second; latencies in seconds.

    codes: as in Tally, within the time that was asked for; active: requests in flight when last heard of.
    """

    seconds: float = 0.0
    requests: int = 0
    codes: Mapping[str, int] = field(default_factory=dict)
    connection_errors: int = 0
    active: int = 0
    median: float | None = None
    p99: float | None = None

    @property
    def rate(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0


class TrafficHistory:
    """The counts of the last minute."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[float, Traffic]] = deque()

    def add(self, traffic: Traffic, *, now: float) -> None:
        self._seconds.append((now, traffic))
        while self._seconds and self._seconds[0][0] < now - KEPT:
            self._seconds.popleft()

    def summary(self, of: Of, key: str, *, now: float, seconds: float = 10.0) -> Summary:
        """Of the last so many seconds, of which those without any requests were not told."""
        recent = [(at, traffic) for at, traffic in self._seconds if at > now - seconds]
        tallies = [tally for _, traffic in recent if (tally := getattr(traffic, of).get(key)) is not None]
        last: Mapping[str, Tally] = getattr(recent[-1][1], of) if recent else {}
        latencies = _added(tally.latencies for tally in tallies)
        return Summary(
            seconds,
            sum(tally.requests for tally in tallies),
            _added(tally.codes for tally in tallies),
            sum(tally.connection_errors for tally in tallies),
            last[key].active if key in last else 0,
            _percentile(latencies, 0.5),
            _percentile(latencies, 0.99),
        )


def _added(counts: Iterable[Mapping[K, int]]) -> dict[K, int]:
    total: dict[K, int] = {}
    for each in counts:
        for key, count in each.items():
            total[key] = total.get(key, 0) + count
    return total


def _percentile(latencies: Mapping[int, int], share: float) -> float | None:
    """Seconds within which that share of the requests was answered."""
    left = sum(latencies.values()) * share
    for bucket in sorted(latencies):
        left -= latencies[bucket]
        if left <= 0:
            return bucket_limit(bucket) / 1e6
    return None
