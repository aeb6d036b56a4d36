"""`place`: asks a cluster, running or in a file, what would happen, and prints, draws or saves the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from miniecs.cli import output, place_words
from miniecs.cli.client import connect
from miniecs.cli.folder import DataFolder
from miniecs.cli.problem import ASKED_WRONGLY, Problem
from miniecs.model.service import PlacementConstraint, PlacementStrategy
from miniecs.planning import cluster_file, documents
from miniecs.planning.capacity import capacity
from miniecs.planning.measures import measure
from miniecs.planning.planned import Planned, plan
from miniecs.planning.provider_items import provider_item
from miniecs.planning.question import Answer, Question, ask, question
from miniecs.planning.rules import chain, constraint
from miniecs.planning.text import Mistake

_MOST_BYTES = 64 * 1024 * 1024
DEFAULT = "default"
"""Instead of strategies: the service's own, or what ECS does without any."""

Chain = tuple[PlacementStrategy, ...] | None
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """The options."""

    task_definition: str | None = None
    count: int = 1
    strategies: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    service: str | None = None
    group: str | None = None
    zones: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    launch_type: str | None = None
    compared: tuple[str, ...] = ()
    capacity: bool = False
    type: str | None = None
    cluster: str | None = None
    file: Path | None = None
    seed: int = 0
    plot: Path | None = None
    export: Path | None = None

    @property
    def is_question(self) -> bool:
        return self.task_definition is not None or self.service is not None


def check(asked: Asked) -> None:
    """Refuse what cannot go together, before anything is read or asked. Raises Problem."""
    together = (
        (
            asked.file and asked.cluster,
            "--file and --cluster: a cluster file is one cluster; give one of them",
        ),
        (asked.file and asked.export, "--export saves a running cluster; with --file there is none"),
        (asked.service and asked.group, "--service and --group: a service's tasks are its own group"),
        (
            asked.providers and asked.launch_type,
            "--launch-type and --capacity-provider-strategy exclude each other, as in RunTask",
        ),
        (
            asked.capacity and asked.providers,
            "--capacity counts hosts whoever starts them: give it without --capacity-provider-strategy",
        ),
        (asked.strategies and asked.compared, "--strategy and --compare exclude each other"),
        (asked.capacity and asked.plot, "--plot draws placements, and --capacity makes none"),
        (asked.type and not asked.capacity, "--type is the type of --capacity's hosts; give both"),
        (
            not asked.is_question and (asked.compared or asked.capacity),
            "name what to place: --task-definition, or --service for more tasks of one",
        ),
        (
            not asked.is_question and not asked.plot and not asked.export,
            "name what to place: --task-definition, or --service for more tasks of one. "
            "--plot and --export alone draw and save the cluster as it is",
        ),
    )
    for wrong, text in together:
        if wrong:
            raise Problem(f"{text}.", ASKED_WRONGLY)
    if asked.plot is not None:
        from miniecs.cli.plotting import told_as_problems
        from miniecs.plots.style import check_path

        with told_as_problems():
            check_path(asked.plot)


def run(folder: DataFolder, asked: Asked, *, as_json: bool) -> None:
    """Answer, and print it. Raises Problem."""
    try:
        chains = _chains(asked)
        rules = [_valid("--constraint", constraint, text) for text in asked.constraints]
        planned, done = _planned(folder, asked)
        if not as_json:
            place_words.print_notes(planned)
        if asked.is_question:
            questions = [_question(planned, asked, each, rules) for each in chains]
            answer = _capacity if asked.capacity else _answers
            done |= answer(planned, questions, asked, as_json)
        elif asked.plot is not None:
            done |= _draw(planned, [], asked.plot)
    except Mistake as mistake:
        raise Problem(str(mistake), ASKED_WRONGLY) from mistake
    if as_json:
        output.print_json({**done, "notes": planned.notes})
        return
    for what, path in done.items():
        if what in ("plot", "export"):
            print(f"Saved {path}.")


def _answers(planned: Planned, questions: list[Question], asked: Asked, as_json: bool) -> dict[str, Any]:
    answers = [ask(planned, each) for each in questions]
    measured = [measure(planned, each) for each in answers]
    both = list(zip(answers, measured, strict=True))
    shown = [documents.answer_document(planned, *each) for each in both] if as_json else []
    if not as_json and asked.compared:
        place_words.print_comparison(planned, both)
    elif not as_json:
        place_words.print_answer(planned, *both[0])
    drawn = {} if asked.plot is None else _draw(planned, answers, asked.plot)
    return ({"answers": shown} if asked.compared or not shown else shown[0]) | drawn


def _capacity(planned: Planned, questions: list[Question], asked: Asked, as_json: bool) -> dict[str, Any]:
    found = [capacity(planned, each, type=asked.type, zones=asked.zones) for each in questions]
    if not as_json:
        for each in found:
            place_words.print_capacity(planned, each)
    shown = [documents.capacity_document(planned, each) for each in found]
    return {"answers": shown} if asked.compared else shown[0]


def _draw(planned: Planned, answers: list[Answer], path: Path) -> dict[str, Any]:
    from miniecs.cli.plotting import told_as_problems
    from miniecs.plots.hosts import draw

    with told_as_problems():
        draw(planned, answers, path)
    return {"plot": str(path)}


def _question(
    planned: Planned, asked: Asked, strategies: Chain, constraints: list[PlacementConstraint]
) -> Question:
    return question(
        planned,
        task_definition=asked.task_definition,
        service=asked.service,
        group=asked.group,
        count=asked.count,
        strategies=strategies,
        constraints=constraints,
        zones=asked.zones,
        seed=asked.seed,
        providers=[
            _valid("--capacity-provider-strategy", provider_item, text) for text in asked.providers
        ],
        launch_type="EC2" if asked.capacity else asked.launch_type,
    )


def _chains(asked: Asked) -> list[Chain]:
    if asked.compared:
        return [_chain("--compare", text) for text in asked.compared]
    return [_chain("--strategy", ",".join(asked.strategies) if asked.strategies else DEFAULT)]


def _chain(option: str, text: str) -> Chain:
    return None if text == DEFAULT else _valid(option, chain, text)


def _valid(option: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ValueError as problem:
        raise Mistake(f"{option}: {problem}") from problem


def _planned(folder: DataFolder, asked: Asked) -> tuple[Planned, dict[str, Any]]:
    """The cluster, and what was done on the way."""
    if asked.file is not None:
        found = cluster_file.load(_text(asked.file), str(asked.file))
        return plan(found, seed=asked.seed), {}
    document = connect(folder).get("cluster", name=asked.cluster, definition=asked.task_definition)
    planned = plan(cluster_file.observed(document), seed=asked.seed)
    if asked.export is None:
        return planned, {}
    _export(document, asked.export)
    return planned, {"export": str(asked.export)}


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise Problem(f"{path} is larger than {_MOST_BYTES // 1024**2} MiB: that is no cluster file.")
        return path.read_text(encoding="utf-8")
    except OSError as problem:
        raise Problem(f"{path} cannot be read: {problem.strerror}.") from problem
    except UnicodeDecodeError as problem:
        raise Problem(f"{path} is not a text in UTF-8: byte {problem.start} is none of it.") from problem


def _export(document: dict[str, Any], path: Path) -> None:
    import yaml

    if path.suffix == ".json":
        text = json.dumps(document, indent=1)
    else:
        text = yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=110)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise Problem(f"{path} cannot be written: {problem.strerror}.") from problem
