"""A record of a placement as lines for a person: what was left out, how the rest compared, the pick."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from miniecs_scheduler.words import count

_DIGITS: Final = 8  # of a host's id
_ZONES: Final = "spread attribute:ecs.availability-zone"

_LONG_ID: Final = re.compile(r"\b[0-9a-f]{32}\b")

Document = dict[str, Any]


def told(record: Document) -> list[str]:
    """The record of `record()` in lines, the first one for what all is about, the others indented."""
    return [
        _headline(record),
        *(f"  {line}" for line in _body(record)),
    ]


def _headline(record: Document) -> str:
    tasks, placed = record["tasks"], record["placed"]
    what = f"{count(tasks, 'task')} of {record['group']}{', each with' if tasks > 1 else ' with'}"
    needs = f"{what} {_demand(record['demand'])}"
    if placed == tasks:
        return f"Placement of {needs}."
    return f"Placement of {needs}: {placed or 'none'} placed."


def _body(record: Document) -> Iterator[str]:
    yield from _considered(record)
    if record["placed"]:
        yield from _steps(record)
        yield from _table(record)
        yield _picked(record)
    unplaced = record.get("unplaced")
    if unplaced:
        if record["placed"]:
            left = count(unplaced["tasks"], "more task")
            yield f"No host was left for {left}: {_removed(unplaced['removed'])}."
        if len(unplaced["removed"]) > 1 and unplaced.get("closest"):
            yield f"The closest of all is {_short(unplaced['closest'])}."
        if unplaced["suggestion"]:
            yield f"What would help: {shortened(unplaced['suggestion'])}."


def _considered(record: Document) -> Iterator[str]:
    considered = f"{count(record['considered'], 'container instance')} considered"
    removed = record["removed"]
    if not record["looked"]:
        without = f"; rules leave out {_removed(removed)}" if removed else ""
        shown = "" if record.get("runnersUp") else " Only hosts that were picked are shown."
        yield f"{considered}{without}; too many to look at each of them for so few tasks.{shown}"
        return
    gone = sum(each["hosts"] for each in removed)
    yield f"{considered}, {gone or 'none'} removed, {record['fitting'] or 'none'} left."
    for each in removed:
        yield f"removed {_removal(each)}"


def _removed(removed: Sequence[Document]) -> str:
    return "; ".join(_removal(each) for each in removed) or "nothing"


def _removal(removed: Document) -> str:
    text = f"{removed['hosts']} by {removed['reason'].rstrip('.')}"
    if "closest" not in removed:
        return text
    which = "closest, " if removed["hosts"] > 1 else ""
    return f"{text} ({which}{_short(removed['closest'])}: {removed['detail']})"


def _steps(record: Document) -> Iterator[str]:
    for n, step in enumerate(record["steps"], 1):
        tied = f", {count(step['tied'], 'host')} left" if "tied" in step else ""
        yield f"{n}. {step['by']}: least is {_value(step['by'], step['best'])}{tied}"
    tied = record["steps"][-1].get("tied", 0) if record["steps"] else record.get("fitting", 2)
    if tied > 1 or not record["steps"]:
        yield f"{len(record['steps']) + 1}. chance"


def _table(record: Document) -> Iterator[str]:
    """The first hosts with what each strategy compared."""
    rows = [["HOST", "ZONE", *(_heading(step["by"]) for step in record["steps"]), ""]]
    for n, host in enumerate(record["ranked"]):
        values = [str(value) for value in host["values"]]
        rows.append([_short(host["host"]), host["zone"], *values, "picked" if n == 0 else ""])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    more = record.get("fitting", 0) - len(record["ranked"])
    if more > 0:
        yield f"… and {count(more, 'host')} more"


def _picked(record: Document) -> str:
    if record["placed"] == 1:
        return f"Picked: {record['picked'][0]['host']}."
    some = ", ".join(f"{_short(each['host'])} {each['tasks']}" for each in record["picked"])
    more = record["hosts"] - len(record["picked"])
    rest = f" and {more} more" if more else ""
    return f"{record['placed']} tasks went to {count(record['hosts'], 'host')}: {some}{rest}."


def _demand(demand: Document) -> str:
    units = {"cpu": "CPU unit", "memory": "MiB", "gpu": "GPU", "enis": "network interface"}
    parts = [count(demand[name], unit) for name, unit in units.items() if name in demand]
    for protocol in ("tcp", "udp"):
        ports = demand.get(f"{protocol}Ports")
        if ports:
            parts.append(f"{protocol} port{'s' if len(ports) > 1 else ''} {', '.join(map(str, ports))}")
    return ", ".join(parts) or "no demands"


def _heading(by: str) -> str:
    if by == _ZONES:
        return "TASKS IN ZONE"
    if by == "spread instanceId":
        return "TASKS ON HOST"
    if by.startswith("binpack "):
        return {"cpu": "CPU UNITS FREE", "memory": "MIB FREE"}[by.removeprefix("binpack ")]
    return f"TASKS BY {by.removeprefix('spread attribute:').upper()}"


def _value(by: str, value: int) -> str:
    if by.startswith("binpack "):
        unit = {"cpu": "CPU unit", "memory": "MiB"}[by.removeprefix("binpack ")]
        return f"{count(value, unit)} free"
    return count(value, "task")


def shortened(text: str) -> str:
    """A text with container instances called by their first digits, as in tables."""
    return _LONG_ID.sub(lambda id: _short(id[0]), text)


def _short(host: str) -> str:
    return host[:_DIGITS]
