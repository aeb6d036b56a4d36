"""`miniecs sim`: plays a scenario's file on simulated time, and says how it went."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from miniecs.cli import output
from miniecs.cli.plotting import told_as_problems
from miniecs.cli.problem import ASKED_WRONGLY, Problem
from miniecs.clock import SystemClock
from miniecs.planning.text import Mistake
from miniecs.plots import style
from miniecs.plots.contents import Panel
from miniecs.plots.hosts import picture
from miniecs.plots.timeline import timeline
from miniecs.scenarios import report
from miniecs.scenarios.durations import seconds, told
from miniecs.scenarios.overrides import setting
from miniecs.scenarios.pictures import column
from miniecs.scenarios.player import Player
from miniecs.scenarios.recording import Recording
from miniecs.scenarios.scenario_file import load
from miniecs.scenarios.snapshot import snapshot
from miniecs.scenarios.story import Story, story
from miniecs.scenarios.summary import Summary, summary

_PATIENCE = 2.0  # seconds between lines that say how far it is


@dataclass(frozen=True)
class Wanted:
    """What is to be played of a file, and what to tell of it."""

    seed: int | None
    settings: Sequence[str]
    variants: Sequence[str]
    plot: Path | None
    plot_hosts: Path | None
    at: Sequence[str]
    events: bool

    @property
    def pictures(self) -> list[Path]:
        return [each for each in (self.plot, self.plot_hosts) if each is not None]


def sim(file: Path, wanted: Wanted, *, as_json: bool) -> None:
    """Play the file's variants one after the other, then print what they came to. Raises Problem."""
    try:
        with told_as_problems():
            for picture in wanted.pictures:
                style.check_path(picture)
        stories = _stories(file, wanted)
        panels: list[Panel] = []
        moments = [_moment(text, stories) for text in wanted.at]
        recordings = [_played(each, len(stories) > 1, moments, panels) for each in stories]
    except Mistake as problem:
        raise Problem(str(problem), ASKED_WRONGLY) from None
    with told_as_problems():
        _draw(wanted, recordings, panels)
    summaries = [summary(recording) for recording in recordings]
    if as_json:
        output.print_json(_document(recordings, summaries, with_events=wanted.events))
        return
    for recording in recordings if wanted.events else ():
        _print_story(recording)
    _print_summaries(summaries)
    for picture in wanted.pictures:
        print(f"Drawn: {picture}")


def _stories(file: Path, wanted: Wanted) -> list[Story]:
    """Everything is read and checked before anything is played. Raises Mistake."""
    found = load(file, dict(map(setting, wanted.settings)))
    names = [variant.name for variant in found]
    for name in wanted.variants:
        if name not in names:
            there = f"there are {', '.join(names)}" if names != [""] else "the file has none"
            raise Mistake(f"{file}: there is no variant {name}; {there}")
    chosen = [each for each in found if not wanted.variants or each.name in wanted.variants]
    return [story(each, wanted.seed) for each in chosen]


def _moment(text: str, stories: Sequence[Story]) -> float:
    try:
        moment = seconds(text)
    except ValueError as wrong:
        raise Mistake(f"--at: {wrong}") from None
    for each in stories:
        if moment > each.duration:
            raise Mistake(f"--at {text} is after the end: the duration is {told(each.duration)}")
    return moment


def _played(
    story: Story, is_one_of_several: bool, moments: Sequence[float], panels: list[Panel]
) -> Recording:
    """Panels are added for each moment, or for the end."""
    clock = SystemClock()
    said = clock.elapsed()
    name = f" {story.variant}" if is_one_of_several else ""

    def progress(at: float) -> None:
        nonlocal said
        if clock.elapsed() - said >= _PATIENCE:
            said = clock.elapsed()
            print(f"playing{name}: {told(at)} of {told(story.duration)}", file=sys.stderr, flush=True)

    player = Player(story, progress)
    recording = player.play(looks=moments, look=lambda stage: panels.append(snapshot(stage)))
    if not moments:
        panels.append(snapshot(player.stage))
    return recording


def _draw(wanted: Wanted, recordings: Sequence[Recording], panels: Sequence[Panel]) -> None:
    if not wanted.pictures:
        return  # and no plotting library is asked for
    with style.drawing():
        if wanted.plot is not None:
            columns = [column(each) for each in recordings]
            style.save(timeline(recordings[0].title, columns), wanted.plot)
        if wanted.plot_hosts is not None:
            if not any(panel.hosts for panel in panels):
                raise style.PlotProblem(f"{wanted.plot_hosts}: no host is left to draw at that moment.")
            style.save(picture(panels), wanted.plot_hosts)


def _print_story(recording: Recording) -> None:
    print(f"{recording.variant}:" if recording.variant else "What happened:")
    for line in report.story_lines(recording.happenings):
        print(line)
    print()


def _print_summaries(summaries: Sequence[Summary]) -> None:
    first = summaries[0]
    print(f"{first.title}: {told(first.duration)}, seed {first.seed}")
    output.print_table(report.headings(summaries), report.rows(summaries))
    for each in summaries:
        for line in report.stuck(each):
            print(line)


def _document(
    recordings: Sequence[Recording], summaries: Sequence[Summary], *, with_events: bool
) -> dict[str, Any]:
    runs = []
    for recording, found in zip(recordings, summaries, strict=True):
        run: dict[str, Any] = {"variant": recording.variant, "summary": _plain(found)}
        run["samples"] = [asdict(sample) for sample in recording.samples]
        run["tasks"] = [asdict(task) for task in recording.tasks]
        if with_events:
            run["events"] = [asdict(each) for each in recording.happenings]
        runs.append(run)
    return {"title": recordings[0].title, "seed": recordings[0].seed, "runs": runs}


def _plain(found: Summary) -> dict[str, Any]:
    """Named tuples as objects."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            return {name: plain(item) for name, item in value._asdict().items()}
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, (tuple, list)) else value

    return {name: plain(value) for name, value in vars(found).items()}
