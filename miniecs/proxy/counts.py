"""What is counted of requests: a few additions for each, read and set back when a report is due."""

from __future__ import annotations

from miniecs.model.routing import BUCKETS, Tally, bucket_of

QUICK = bytes(bucket_of(microseconds) for microseconds in range(32768))
"""The buckets of most latencies, looked up rather than computed."""


class Counts:
    """Of one listener, target group or target. Everything but ``active`` is since the last ``take``."""

    __slots__ = (
        "active",
        "bytes",
        "codes",
        "connection_errors",
        "latencies",
        "new_connections",
        "own_codes",
        "requests",
    )

    def __init__(self) -> None:
        self.active = 0
        self.requests = 0
        self.codes = [0] * 6  # of targets' answers, by their hundreds
        self.own_codes: dict[int, int] = {}  # of the load balancer's own answers
        self.latencies = [0] * BUCKETS
        self.connection_errors = 0
        self.new_connections = 0
        self.bytes = 0

    def answered_itself(self, status: int) -> None:
        self.own_codes[status] = self.own_codes.get(status, 0) + 1

    def take(self) -> Tally | None:
        """What was counted, and from now on anew; None where there was nothing."""
        if not (
            self.requests
            or self.own_codes
            or self.connection_errors
            or self.new_connections
            or self.active
            or any(self.codes)
        ):
            return None
        codes = {f"target_{hundred}xx": count for hundred, count in enumerate(self.codes) if count}
        codes |= {f"elb_{status}": count for status, count in sorted(self.own_codes.items())}
        tally = Tally(
            self.requests,
            codes,
            {bucket: count for bucket, count in enumerate(self.latencies) if count},
            self.connection_errors,
            self.active,
            self.new_connections,
            self.bytes,
        )
        self.requests = self.connection_errors = self.new_connections = self.bytes = 0
        self.codes = [0] * 6
        self.own_codes = {}
        if tally.latencies:
            self.latencies = [0] * BUCKETS
        return tally


def total(tallies: list[Tally]) -> Tally:
    """The sum of all, such as of a group's targets."""
    codes: dict[str, int] = {}
    latencies: dict[int, int] = {}
    for tally in tallies:
        for code, count in tally.codes.items():
            codes[code] = codes.get(code, 0) + count
        for bucket, count in tally.latencies.items():
            latencies[bucket] = latencies.get(bucket, 0) + count
    return Tally(
        sum(tally.requests for tally in tallies),
        codes,
        latencies,
        sum(tally.connection_errors for tally in tallies),
        sum(tally.active for tally in tallies),
        sum(tally.new_connections for tally in tallies),
        sum(tally.bytes for tally in tallies),
    )
