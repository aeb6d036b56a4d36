"""Summaries in words: a table with a column for each variant, then what needs sentences.

The same rows whether there is one run or several side by side, so that they can be compared line by line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from miniecs.planning.words import rounded
from miniecs.scenarios.durations import told
from miniecs.scenarios.recording import Happening
from miniecs.scenarios.summary import Disruption, Rollout, Scaled, Share, Summary, Use, Wait

Row = tuple[str, ...]  # what it is, then a cell for each summary
_UNHARMED = Disruption(0, None, 0, 0.0, 0.0, 0.0)
_UNUSED = Use(Share(0, 0), Share(0, 0), 0, 0)
_NEVER = Wait(0, 0, 0, 0, 0)
_UNSCALED = Scaled(0, 0.0, 0, 0.0, 0.0)


def headings(summaries: Sequence[Summary]) -> Row:
    return ("", *(each.variant or "result" for each in summaries))


def rows(summaries: Sequence[Summary]) -> Iterator[Row]:
    yield from _utilisation(summaries)
    yield from _providers(summaries)
    yield from _waiting(summaries)
    yield from _placement(summaries)
    yield from _disruption(summaries)
    yield from _deployments(summaries)


def _utilisation(summaries: Sequence[Summary]) -> Iterator[Row]:
    wholes = [each.use[""] for each in summaries]
    yield ("CPU reserved, mean and peak", *(_shares(use.cpu) for use in wholes))
    yield ("memory reserved, mean and peak", *(_shares(use.memory) for use in wholes))
    zones = sorted({zone for each in summaries for zone in each.use if zone})
    for zone in zones if len(zones) > 1 else []:
        uses = [each.use.get(zone, _UNUSED) for each in summaries]
        cells = [f"{_percent(use.cpu.mean)} and {_percent(use.memory.mean)}" for use in uses]
        yield (f"  in {zone}, mean of CPU and memory", *cells)
    yield ("hosts with tasks, mean", *(f"{use.used:.1f} of {use.hosts:.1f}" for use in wholes))


def _providers(summaries: Sequence[Summary]) -> Iterator[Row]:
    for name in sorted({name for each in summaries for name in each.providers}):
        every = [each.providers.get(name, _UNSCALED) for each in summaries]
        yield (f"{name}: hosts, fewest, mean and most", *(_counts(each) for each in every))
        yield ("  host hours", *(f"{each.host_hours:.1f}" for each in every))
        yield ("  tasks in PROVISIONING for", *(_length(each.waited) for each in every))


def _counts(scaled: Scaled) -> str:
    return f"{scaled.fewest}, {scaled.mean:.1f}, {scaled.most}"


def _waiting(summaries: Sequence[Summary]) -> Iterator[Row]:
    owners = sorted({owner for each in summaries for owner in each.waits if owner})
    for owner in owners:
        waits = [each.waits.get(owner, _NEVER) for each in summaries]
        yield (f"{owner}: tasks that ran", *(str(wait.tasks) for wait in waits))
        if any(wait.never for wait in waits):
            yield (f"{owner}: tasks that never ran", *(str(wait.never) for wait in waits))
        yield ("  pending, mean, p95 and longest", *(_lengths(wait) for wait in waits))


def _placement(summaries: Sequence[Summary]) -> Iterator[Row]:
    if any(each.refused for each in summaries):
        yield ("refused by RunTask", *(str(each.refused) for each in summaries))
    for owner in sorted({owner for each in summaries for owner in each.failures}):
        whose = f"{owner}: not placed for" if owner else "  for"
        every = [each.failures.get(owner, {}) for each in summaries]
        for reason in sorted({reason for failures in every for reason in failures}):
            counts = [failures.get(reason, 0) for failures in every]
            yield (f"{whose} {reason}", *(_times(count) if owner else str(count) for count in counts))
    for name in sorted({name for each in summaries for name in each.disruption}):
        blocked = [each.disruption[name].blocked if name in each.disruption else 0.0 for each in summaries]
        if any(blocked):
            yield (f"{name}: no host for its next task", *(_length(length) for length in blocked))


def _disruption(summaries: Sequence[Summary]) -> Iterator[Row]:
    for name in sorted({name for each in summaries for name in each.disruption}):
        every = [each.disruption.get(name, _UNHARMED) for each in summaries]
        yield (f"{name}: tasks lost", *(str(each.lost) for each in every))
        yield ("  fewest at work", *(_least(each) for each in every))
        if any(each.below_floor for each in every):
            yield ("  below minimumHealthyPercent", *(_length(each.below_floor) for each in every))
        if any(each.short for each in every):
            yield ("  task-seconds missing", *(f"{each.short:.0f}" for each in every))


def _deployments(summaries: Sequence[Summary]) -> Iterator[Row]:
    names = {(rollout.service, rollout.definition) for each in summaries for rollout in each.rollouts}
    for name in sorted(names):
        cells = ["; ".join(_rollout(r) for r in each.rollouts if r[:2] == name) for each in summaries]
        yield (f"{name[0]}: deployment of {name[1]}", *cells)


def _rollout(rollout: Rollout) -> str:
    word = "for" if rollout.state == "IN_PROGRESS" else "after"
    failed = rollout.failed_tasks
    harm = f", {failed} failed task{'' if failed == 1 else 's'}" if failed else ""
    return f"{rollout.state} {word} {told(rollout.seconds)}{harm}"


def _shares(share: Share) -> str:
    return f"{_percent(share.mean)}, {_percent(share.peak)}"


def _percent(part: float) -> str:
    return f"{rounded(100 * part)}%"


def _lengths(wait: Wait) -> str:
    if not wait.tasks:
        return "-"
    return ", ".join(map(told, (wait.mean, wait.p95, wait.most)))


def _least(disruption: Disruption) -> str:
    if disruption.least is None:
        return "never had all"
    return f"{disruption.least} of {disruption.desired}"


def _length(seconds: float) -> str:
    return told(seconds) if seconds else "never"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times" if count else "never"


def stuck(summary: Summary) -> Iterator[str]:
    """What is not as wanted at the end, and what `miniecs explain` would say about it."""
    where = f"{summary.variant}: " if summary.variant else ""
    for name, lines in summary.stuck.items():
        yield f"{where}{name} is not steady at the end:"
        yield from (f"  {line}" for line in lines)


def story_lines(happenings: Sequence[Happening]) -> Iterator[str]:
    """What happened, each with its moment, and why."""
    for each in happenings:
        because = f" [{each.because}]" if each.because else ""
        sign = {"scenario": "*", "decision": "?"}.get(each.kind, " ")
        yield f"{told(each.at):>9} {sign} {each.text}{because}"
