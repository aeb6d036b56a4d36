"""`miniecs sim`: plays a scenario's file on simulated time, and says how it went."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from miniecs.cli import output
from miniecs.cli.problem import ASKED_WRONGLY, Problem
from miniecs.clock import SystemClock
from miniecs.planning.text import Mistake
from miniecs.plots import style
from miniecs.plots.timeline import timeline
from miniecs.scenarios import report
from miniecs.scenarios.durations import told
from miniecs.scenarios.overrides import setting
from miniecs.scenarios.pictures import column
from miniecs.scenarios.player import Player
from miniecs.scenarios.recording import Recording
from miniecs.scenarios.scenario_file import Variant, load
from miniecs.scenarios.story import Story, story
from miniecs.scenarios.summary import Summary, summary

_PATIENCE = 2.0  # seconds between lines that say how far it is


def sim(
    file: Path,
    *,
    seed: int | None,
    settings: Sequence[str],
    variants: Sequence[str],
    plot: Path | None,
    events: bool,
    as_json: bool,
) -> None:
    """Play the file's variants one after the other, then print what they came to. Raises Problem."""
    try:
        if plot is not None:
            style.check_path(plot)
        stories = _stories(file, seed, settings, variants)
        recordings = [_played(each, len(stories) > 1) for each in stories]
        if plot is not None:
            _draw(recordings, plot)
    except (Mistake, style.PlotProblem) as problem:
        raise Problem(str(problem), ASKED_WRONGLY) from None
    summaries = [summary(recording) for recording in recordings]
    if as_json:
        output.print_json(_document(recordings, summaries, with_events=events))
        return
    for recording in recordings if events else ():
        _print_story(recording)
    _print_summaries(summaries)
    if plot is not None:
        print(f"\n{plot} shows it over time.")


def _stories(
    file: Path, seed: int | None, settings: Sequence[str], wanted: Sequence[str]
) -> list[Story]:
    """Everything is read and checked before anything is played. Raises Mistake."""
    found = load(file, dict(map(setting, settings)))
    names = [variant.name for variant in found]
    for name in wanted:
        if name not in names:
            there = f"there are {', '.join(names)}" if names != [""] else "the file has none"
            raise Mistake(f"{file}: there is no variant {name}; {there}")
    chosen: list[Variant] = [each for each in found if not wanted or each.name in wanted]
    return [story(each, seed) for each in chosen]


def _played(story: Story, is_one_of_several: bool) -> Recording:
    clock = SystemClock()
    said = clock.elapsed()
    name = f" {story.variant}" if is_one_of_several else ""

    def progress(at: float) -> None:
        nonlocal said
        if clock.elapsed() - said >= _PATIENCE:
            said = clock.elapsed()
            print(f"playing{name}: {told(at)} of {told(story.duration)}", file=sys.stderr, flush=True)

    return Player(story, progress).play()


def _draw(recordings: Sequence[Recording], path: Path) -> None:
    with style.drawing():
        style.save(timeline(recordings[0].title, [column(each) for each in recordings]), path)


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
