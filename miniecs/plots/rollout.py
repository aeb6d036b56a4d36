"""A service's deployments over time: all of its tasks, and those of each deployment in a row of its own.

Drawn from the timeline page as it comes from the server, so that its JSON is all that a picture shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from miniecs.model.frozen import replace
from miniecs.plots import style
from miniecs.plots.series import CHANGE, DEPLOYMENT, LOSS, Column, Moment, Panel, Series
from miniecs.plots.timeline import timeline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Page = dict[str, Any]

_MOST_ROWS: Final = 6
_PARTS: Final = 230
_LOOKS: Final[tuple[tuple[str, str, str, Any], ...]] = (  # from the bottom up
    ("healthy", "healthy", style.COLOURS[2], "area"),
    ("running", "running (health untold)", style.COLOURS[4], "area"),
    ("settling", "not yet healthy", style.COLOURS[1], "area"),
    ("unhealthy", "unhealthy", style.COLOURS[5], "area"),
    ("starting", "starting", style.COLOURS[0], "hatched"),
    ("stopping", "stopping", style.INK, "faint"),
)
_KINDS: Final = {"began": DEPLOYMENT, "completed": DEPLOYMENT, "failed": LOSS, "rollback": LOSS}


def rollout(page: Page) -> Figure:
    """The figure, made within style.drawing."""
    page = _coarse(page)
    shown = page["deployments"][-_MOST_ROWS:]
    alike = _alike(page["deployments"])
    panels = [_whole(page), *(_row(each, _state(page, each), alike) for each in shown)]
    title = f"service {page['service']}: tasks by deployment and state"
    column = Column("", page["times"], panels, [_moment(each) for each in page["happened"]])
    return timeline(title, [column], notes=list(_notes(page, len(shown))))


def _coarse(page: Page) -> Page:
    """The last counts in each of so many equal parts of the time: more could not be told apart on paper.

    By time and not by number, since a hundred changes may come in one second and none in the next minute.
    """
    times = page["times"]
    part = times[-1] / _PARTS or 1.0
    last = {int(at / part): n for n, at in enumerate(times)}
    kept = sorted({0, *last.values()})
    deployments = [
        each | {"tasks": {state: [values[n] for n in kept] for state, values in each["tasks"].items()}}
        for each in page["deployments"]
    ]
    return page | {"times": [times[n] for n in kept], "deployments": deployments}


def _whole(page: Page) -> Panel:
    """All tasks of the service, with the bounds that its deployments keep to."""
    every = [each["tasks"] for each in page["deployments"]]
    length = len(page["times"])
    sums = {
        state: [sum(values) for values in zip(*(tasks[state] for tasks in every), strict=True)]
        or [0] * length
        for state, _, _, _ in _LOOKS
    }
    lines = [Series(label, [tasks] * length, colour, look) for label, tasks, colour, look in _lines(page)]
    if page["floor"] == page["desired"]:  # one line cannot be seen through the other
        lines[:2] = [replace(lines[0], label=f"desired, floor: {page['desired']}")]
    return Panel("the whole service", [*_areas(sums), *lines])


def _lines(page: Page) -> Iterator[tuple[str, int, str, Any]]:
    yield f"desired: {page['desired']}", page["desired"], style.INK, "dashed"
    yield f"floor: {page['floor']} healthy", page["floor"], style.COLOURS[5], "dotted"
    yield f"ceiling: {page['ceiling']}", page["ceiling"], style.COLOURS[7], "dotted"


def _row(deployment: Page, state: str, alike: bool) -> Panel:
    name = f"{deployment['definition']}  ({deployment['id']})" if alike else deployment["definition"]
    return Panel(f"{name}: {state}", list(_areas(deployment["tasks"])))


def _state(page: Page, deployment: Page) -> str:
    """What it is now; of one that the service no longer has, what it was last."""
    if deployment["rolloutState"]:
        return str(deployment["rolloutState"])
    ends = ("completed", "failed")
    told = [each["kind"] for each in page["happened"] if each["deployment"] == deployment["id"]]
    last = next((kind.upper() for kind in reversed(told) if kind in ends), "")
    return f"{last}, gone by now" if last else "gone by now"


def _alike(deployments: Sequence[Page]) -> bool:
    """Whether some release the same task definition, so that only their ids tell them apart."""
    return len({each["definition"] for each in deployments}) < len(deployments)


def _areas(tasks: dict[str, list[int]]) -> Iterator[Series]:
    for state, label, colour, look in _LOOKS:
        if any(tasks[state]):
            yield Series(label, tasks[state], colour, look)


def _moment(happened: Page) -> Moment:
    name, reason = happened["definition"], happened["reason"].removeprefix("ECS deployment ")
    reason = reason.removeprefix(f"{happened['deployment']} ")
    text = {
        "began": f"{name} began",
        "completed": f"{name} completed",
        "failed": f"{name} failed: {reason}",
        "rollback": f"rolling back to {name}: {reason.partition(':')[0]}",
        "steady": "steady state",
    }[happened["kind"]]
    return Moment(happened["at"], text, _KINDS.get(happened["kind"], CHANGE))


def _notes(page: Page, rows: int) -> Iterator[str]:
    """What the picture does not know is written on it."""
    yield f"0 is {_clock(page['begin'])}. Events are known since {_clock(page['knownSince'])}."
    yield "Desired count, floor and ceiling are those of now."
    if page["timeScale"] != 1:
        yield f"ECS's waits were {page['timeScale']:g} times shorter here."
    ways = {each["healthBy"] for each in page["deployments"]}
    if "age" in ways:
        yield f"Healthy without checks: RUNNING for {page['healthyAfterSeconds']:g} s."
    if "containers" in ways:
        yield "Healthy with container health checks: as the agents reported them."
    if "targets" in ways:
        yield "Healthy behind target groups: as their health checks found them."
    if any(any(each["tasks"]["running"]) for each in page["deployments"]):
        yield "Of running tasks the events are dropped that told whether they were healthy."
    more = len(page["deployments"]) - rows
    if more:
        yield f"Without rows of their own: {more} older deployments."


def _clock(at: float) -> str:
    """In UTC, so that the same history is the same picture everywhere."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
