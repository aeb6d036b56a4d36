"""What the data plane tells: results of health check probes, judged by ``control.health`` and written.

``report_probes`` is the way in for every data plane. The proxy probes by itself; ``Prober`` is for simulated
hosts, whose targets have no sockets: it asks the simulated engines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from miniecs.apply import write_target
from miniecs.config import Timing
from miniecs.control.health import ProbeResult, judge
from miniecs.model.load_balancing import HealthCheck, Target, TargetGroup
from miniecs.store import Commit, Store, StoreError, Transaction

log = logging.getLogger("miniecs.probes")

FIRST_PROBE_AFTER = 1.0  # seconds after registration; then every interval of the group

_PROBED = ("initial", "healthy", "unhealthy")


def report_probes(tx: Transaction, results: Iterable[tuple[str, ProbeResult]], *, now: float) -> None:
    """(target key, result) of probes just made. What says nothing new, as most do, is not written."""
    for key, result in results:
        target = tx.get(Target, key)
        if target is None or target.state not in _PROBED:
            continue
        group = tx.get(TargetGroup, target.target_group_arn)
        if group is None:
            continue
        after = judge(target, group, result, now=now)
        if _says_something(target, after, result):
            write_target(tx, target, after, now=now)


def _says_something(before: Target, after: Target, result: ProbeResult) -> bool:
    if (before.state, before.reason, before.description) != (after.state, after.reason, after.description):
        return True
    # Counters matter only while they count towards a change of state.
    if after.state == "healthy":
        return not (result.ok and before.failures == 0)
    if after.state == "unhealthy":
        return result.ok or before.successes > 0
    return True


def is_match(check: HealthCheck, code: int | None, detail: str) -> bool:
    """Whether an answer passes: its code is in the matcher; without one, that the connection was made."""
    if check.matcher is None:
        return not detail
    if code is None:
        return False
    for part in check.matcher.split(","):
        low, _, high = part.strip().partition("-")
        if low.isdigit() and int(low) <= code <= int(high or low):
            return True
    return False


class Timers(Protocol):
    """Time, real or simulated."""

    def now(self) -> float: ...

    def call_at(self, when: float, fn: Callable[[], None]) -> None: ...


# (target's id, port) -> (HTTP code or None, "timeout" | "refused" | "")
Probe = Callable[[str, int], tuple[int | None, str]]


class Prober:
    """Probes targets of simulated hosts, which answer at once. One timer a group, at its interval."""

    def __init__(self, store: Store, timers: Timers, timing: Timing, probe: Probe) -> None:
        self._ask = probe
        self._store = store
        self._timers = timers
        self._timing = timing
        self._groups: set[str] = set()  # with a timer
        self._unsubscribe = store.subscribe(self._on_commit)
        for group_arn in dict.fromkeys(target.target_group_arn for target in store.all(Target)):
            self._watch(group_arn)

    def stop(self) -> None:
        """Probe no more."""
        self._unsubscribe()
        self._groups.clear()

    def _on_commit(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind is not Target or change.after is None:
                continue
            before, after = change.before, change.after
            if after.state == "initial" and (before is None or before.state not in _PROBED):
                self._watch(after.target_group_arn)
                at = self._timers.now() + self._timing.wait(FIRST_PROBE_AFTER)
                self._timers.call_at(at, partial(self._probe_first, after.key))

    def _watch(self, group_arn: str) -> None:
        group = self._store.get(TargetGroup, group_arn)
        if group is None or group_arn in self._groups:
            return
        self._groups.add(group_arn)
        self._schedule(group)

    def _schedule(self, group: TargetGroup) -> None:
        at = self._timers.now() + self._timing.wait(group.health_check.interval)
        self._timers.call_at(at, partial(self._probe_group, group.arn))

    def _probe_first(self, key: str) -> None:
        target = self._store.get(Target, key)
        if target is not None and target.state == "initial" and target.target_group_arn in self._groups:
            self.probe([target])

    def _probe_group(self, group_arn: str) -> None:
        if group_arn not in self._groups:
            return
        group = self._store.get(TargetGroup, group_arn)
        targets = self._store.find(Target, "target_group", group_arn)
        if group is None or not targets:
            self._groups.discard(group_arn)
            return
        self._schedule(group)
        if group.health_check.enabled:
            self.probe([target for target in targets if target.state in _PROBED])

    def probe(self, targets: list[Target]) -> None:
        """Probe these targets, all of one group, and write what they answered."""
        try:
            with self._store.transaction() as tx:
                results = [(target.key, self._result(target)) for target in targets]
                report_probes(tx, results, now=self._timers.now())
        except StoreError as problem:
            log.error("results of health checks are lost, the next ones come: %s", problem)

    def _result(self, target: Target) -> ProbeResult:
        group = self._store.get(TargetGroup, target.target_group_arn)
        check = group.health_check if group is not None else HealthCheck()
        port = target.port if check.port == "traffic-port" else int(check.port)
        code, detail = self._ask(target.id, port)
        return ProbeResult(is_match(check, code, detail), code, detail)
