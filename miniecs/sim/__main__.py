"""Many seeded runs: ``python -m miniecs.sim --seeds 500`` or one of them again: ``--seed 17``.

A failing seed prints its history. The last line is ``sim: N seeds, F failed``; the exit code is 1 when
any failed, or when the batch is large enough and some plan action or fault never occurred in it.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from miniecs.control import plan
from miniecs.sim import faults
from miniecs.sim.scenario import FAULTS, MIN_HOSTS, Outcome, run

EXERCISED_FROM = 100  # seeds: a smaller batch need not meet everything
_ACTIONS = frozenset(action.__name__ for action in plan.Action.__args__)
_ELSEWHERE = frozenset(
    {
        "Forget",  # an hour after a task stopped: longer than most runs
        "AssignTask",  # Fargate's machine is the server's to launch, and scenarios have no Fargate tasks
        "SetInterface",  # nor tasks in awsvpc yet; tests/control and tests/e2e have both
    }
)


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    seeds = range(options.seed, options.seed + 1) if options.seed is not None else range(options.seeds)
    total: Counter[str] = Counter()
    failed = 0
    one = options.seed is not None
    for outcome in [run(options.seed, True)] if one else _outcomes(seeds, options.jobs):
        total.update(outcome.actions)
        total.update(outcome.faults)
        total["commits"] += outcome.commits
        total["simulated hours"] += round(outcome.seconds)
        if outcome.failure:
            failed += 1
            _tell(outcome)
        elif one:
            print("\n".join(outcome.history))
    total["simulated hours"] //= 3600
    missing = sorted(unexercised(total)) if len(seeds) >= EXERCISED_FROM else []
    print(f"{MIN_HOSTS} hosts or more and {FAULTS} faults a seed; in all:")
    print(", ".join(f"{count} {name}" for name, count in sorted(total.items())))
    if missing:
        print(f"never occurred: {', '.join(missing)}")
    print(f"sim: {len(seeds)} seeds, {failed} failed")
    return 1 if failed or missing else 0


def unexercised(total: Counter[str]) -> set[str]:
    """Plan actions and faults that no run of the batch met."""
    return {name for name in (*(_ACTIONS - _ELSEWHERE), *faults.KINDS) if not total[name]}


def _outcomes(seeds: Iterable[int], jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from map(run, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(run, seeds, chunksize=4)


def _tell(outcome: Outcome) -> None:
    print(f"--- seed {outcome.seed} failed: {outcome.failure}")
    print("\n".join(outcome.history))
    print(f"--- seed {outcome.seed} failed: {outcome.failure}")
    print(f"    again: python -m miniecs.sim --seed {outcome.seed}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m miniecs.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many, from 0 on (500)")
    parser.add_argument("--seed", type=int, help="only this one; prints its history")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
