"""Many seeded runs: ``python -m miniecs.sim --seeds 500`` or one of them again: ``--seed 17``.

Seeds are played in each scenario: ``cluster`` is a whole one with all faults, ``balanced`` a service
behind a load balancer of whose requests none may fail, ``releases`` a service whose releases must end as
its settings say, ``task-sets`` two services whose deployments somebody else makes.
A failing run prints its history. The last line is
``sim: N seeds, F failed``; the exit code is 1 when any failed, or when the batch is large enough and some
plan action, fault or situation never occurred in it.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from miniecs.control import plan
from miniecs.sim import balanced, controlled, faults, image_invariants, released, scenario
from miniecs.sim.outcome import Outcome
from miniecs.sim.release_invariants import STATUSES
from miniecs.sim.scenario import DEPLOYMENTS, FAULTS, MIN_HOSTS, SERVICES
from miniecs.sim.task_set_invariants import SITUATIONS

SPARSE_FROM = 1000  # seeds: in a larger batch the scenarios of one service are played more rarely
SPARSE = 100  # runs of each of them, then
EXERCISED_FROM = 100  # seeds: a smaller batch need not meet everything
_ACTIONS = frozenset(action.__name__ for action in plan.Action.__args__)
# An hour after a task stopped is longer than most runs; task sets go sooner, and are of another scenario.
_OF_TASK_SETS = frozenset({"Forget", "SetTaskSet"})
SCENARIOS = {
    "cluster": scenario.run,
    "balanced": balanced.run,
    "releases": released.run,
    "task-sets": controlled.run,
}
_RARELY = {"task-sets": 4}  # one run to so many seeds: what they run is placed and stopped as in the others
_WANTED = {
    "cluster": (*(_ACTIONS - _OF_TASK_SETS), *faults.KINDS, *image_invariants.SITUATIONS),
    "balanced": balanced.SITUATIONS,
    "releases": STATUSES,
    "task-sets": (*_OF_TASK_SETS, *SITUATIONS),
}


class Run(NamedTuple):
    scenario: str
    seed: int
    with_history: bool = False


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    one = options.seed is not None
    names = [options.scenario] if options.scenario else list(SCENARIOS)
    runs = [Run(name, options.seed, one) for name in names] if one else list(batch(options.seeds, names))
    total: Counter[str] = Counter()
    failed: set[int] = set()
    for played, (run, outcome) in enumerate(_outcomes(runs, 1 if one else options.jobs), 1):
        _show_progress(played, len(runs), len(failed))
        total += outcome.actions + outcome.faults + outcome.met
        total["commits"] += outcome.commits
        total["simulated hours"] += round(outcome.seconds)
        if outcome.failure:
            failed.add(run.seed)
            _tell(run.scenario, outcome)
        elif one:
            print("\n".join(outcome.history))
    total["simulated hours"] //= 3600
    seeds = 1 if one else options.seeds
    missing = sorted(set().union(*(unexercised(total, name) for name in names)))
    if seeds < EXERCISED_FROM:
        missing = []
    print(
        f"{MIN_HOSTS} hosts or more, {SERVICES} services, {DEPLOYMENTS} deployments or more"
        f" and {FAULTS} faults a seed in a cluster; in all:"
    )
    print(", ".join(f"{count} {name}" for name, count in sorted(total.items())))
    if missing:
        print(f"never occurred: {', '.join(missing)}")
    print(f"sim: {seeds} seeds, {len(failed)} failed")
    return 1 if failed or missing else 0


def batch(seeds: int, scenarios: Sequence[str]) -> Iterator[Run]:
    """So many seeds of a cluster, and of the others as many as show what they can; of one alone all.

    From 0 on in each, whatever is left out: what a run is like depends on its seed modulo small numbers.
    """
    sparse = seeds // SPARSE if seeds > SPARSE_FROM else 1
    for seed in range(seeds):
        for name in scenarios:
            every = 1 if name == "cluster" or len(scenarios) == 1 else sparse * _RARELY.get(name, 1)
            if seed % every == 0:
                yield Run(name, seed // every)


def unexercised(total: Counter[str], scenario: str) -> set[str]:
    """Plan actions, faults and situations that a batch of this scenario should meet, and did not."""
    return {name for name in _WANTED[scenario] if not total[name]}


def _outcomes(runs: list[Run], jobs: int) -> Iterator[tuple[Run, Outcome]]:
    if jobs == 1:
        for run in runs:
            yield run, SCENARIOS[run.scenario](run.seed, run.with_history)
        return
    parts = _with_common_beginnings(runs)
    with ProcessPoolExecutor(jobs, initializer=_spare_the_collector) as pool:
        for part, outcomes in zip(parts, pool.map(_play, parts), strict=True):
            yield from zip(part, outcomes, strict=True)


def _with_common_beginnings(runs: list[Run]) -> list[list[Run]]:
    parts: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        beginning = run.seed % scenario.BEGINNINGS if run.scenario == "cluster" else run.seed
        parts.setdefault((run.scenario, beginning), []).append(run)
    return list(parts.values())


def _spare_the_collector() -> None:
    """Collect between two runs and never within one: a run's objects live as long as it does."""
    gc.freeze()
    gc.disable()


def _play(runs: list[Run]) -> list[Outcome]:
    """One run, or several with a common beginning."""
    if len(runs) > 1:
        outcomes = scenario.runs([run.seed for run in runs])
    else:
        outcomes = [SCENARIOS[run.scenario](run.seed, run.with_history) for run in runs]
    gc.collect()  # a world is a cycle; several at a time cost more, as they fit into no cache
    gc.freeze()  # what is left is in the product's caches, and is not to be looked at after each run
    return outcomes


def _show_progress(played: int, runs: int, failed: int) -> None:
    """To a person who waits; a file gets none."""
    if sys.stderr.isatty():
        end = "\n" if played == runs else "\r"
        told = f"{played:,} of {runs:,} runs are played, {failed:,} failed"
        print(told, end=end, file=sys.stderr, flush=True)


def _tell(name: str, outcome: Outcome) -> None:
    print(f"--- seed {outcome.seed} failed: {outcome.failure}")
    print("\n".join(outcome.history))
    print(f"--- seed {outcome.seed} failed: {outcome.failure}")
    print(f"    again: python -m miniecs.sim --scenario {name} --seed {outcome.seed}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m miniecs.sim", description=__doc__)
    parser.add_argument(
        "--seeds",
        type=int,
        default=500,
        help=f"how many, from 0 on (500), in each scenario, and a quarter as many in task-sets; of more than"
        f" {SPARSE_FROM}, about {SPARSE} and a quarter of that in all but cluster",
    )
    parser.add_argument("--seed", type=int, help="only this one; prints its history")
    parser.add_argument("--scenario", choices=SCENARIOS, help="only this one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
