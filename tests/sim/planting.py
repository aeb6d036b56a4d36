"""How bugs are planted and looked for: each file of them has its own registry, and all are of this kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pytest import MonkeyPatch

from miniecs.sim.outcome import Outcome

Bug = Callable[[MonkeyPatch], None]


class Bugs(dict[str, Bug]):
    """Bugs by name. As a decorator it takes one more, a patch of the real code."""

    def __call__(self, plant: Bug) -> Bug:
        self[plant.__name__] = plant
        return plant


def must_catch(bug: str, run: Callable[[int], Outcome], seeds: Sequence[int], by: str = "") -> None:
    """Some run fails with the bug planted, the first one by what is said to catch it."""
    caught = first_failure(run, seeds)
    assert caught, f"{bug} went unnoticed in {len(seeds)} seeds"
    assert caught.startswith(by), caught


def first_failure(run: Callable[[int], Outcome], seeds: Iterable[int]) -> str:
    """What the first run that failed says; '' when none did."""
    failures = (run(seed).failure for seed in seeds)
    return next((failure for failure in failures if failure), "")
