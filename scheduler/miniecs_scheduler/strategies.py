"""Placement strategies, read once into the order in which hosts are compared.

A chain of strategies is a lexicographic order: each one ranks inside the ties that the one before
left (ECS developer guide, "Task placement strategies"). What each compares is a number, the smaller
the better: tasks of the group behind an attribute's value or on the host, or what is left of a resource.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal, NamedTuple

from miniecs_scheduler.types import Host, Strategy

BinpackField = Literal["cpu", "memory"]
_UNITS: Final = {"cpu": "CPU units", "memory": "MiB"}


class Step(NamedTuple):
    """One comparison: tasks of the group per attribute value, or per host, or a resource's remainder."""

    kind: Literal["value", "host", "field"]
    name: str = ""


class Chain:
    """The comparisons of a chain of strategies.

    `values` are the attributes that are spread over, `leading` of them before any comparison of
    hosts. `host_steps` are the comparisons that can differ between hosts of one class; with `packs`
    they compare only resources. Without any the chain ends in chance: so does one with nothing after
    its spreads, or all tasks of a zone would go to the same host.
    """

    __slots__ = ("fields", "host_steps", "leading", "packs", "random", "steps", "values")

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.steps = steps
        self.values = tuple(step.name for step in steps if step.kind == "value")
        self.host_steps = tuple(step for step in steps if step.kind != "value")
        self.random = not self.host_steps
        self.leading = next((i for i, step in enumerate(steps) if step.kind != "value"), len(steps))
        self.packs = all(step.kind == "field" for step in self.host_steps)
        self.fields: tuple[str, ...] = tuple(step.name for step in steps if step.kind == "field")


@lru_cache(maxsize=1024)
def compile_chain(strategies: tuple[Strategy, ...]) -> Chain:
    """Read strategies; what follows a random one, or repeats an earlier one, decides nothing."""
    steps: list[Step] = []
    for strategy in strategies:
        if strategy.type == "random":
            break
        step = _step(strategy)
        if step not in steps:
            steps.append(step)
    return Chain(tuple(steps))


def _step(strategy: Strategy) -> Step:
    if strategy.type == "binpack" and strategy.field in _UNITS:
        return Step("field", strategy.field)
    if strategy.type == "spread" and strategy.field in ("instanceId", "host"):
        return Step("host")
    if strategy.type == "spread" and strategy.field.startswith("attribute:"):
        return Step("value", strategy.field.removeprefix("attribute:"))
    raise ValueError(f"not a placement strategy: {strategy}")


class Story:
    """Tells why a host was chosen, from the numbers that were compared."""

    __slots__ = ("_chain", "_group")

    def __init__(self, chain: Chain, group: str) -> None:
        self._chain = chain
        self._group = group

    def tell(self, host: Host, key: tuple[int, ...]) -> str:
        parts = [self._part(step, number, host) for step, number in zip(self._chain.steps, key, strict=False)]
        if self._chain.random:
            parts.append("random among the hosts that fit")
        return "; ".join(parts)

    def _part(self, step: Step, number: int, host: Host) -> str:
        tasks = f"{number} task{'' if number == 1 else 's'} of {self._group}"
        match step.kind:
            case "value":
                value = host.attributes.get(step.name)
                where = f"hosts without {step.name}" if value is None else value or f"hosts with {step.name}"
                return f"spread attribute:{step.name}: {where} had {tasks}, fewest"
            case "host":
                return f"spread instanceId: it had {tasks}, fewest"
            case "field":
                return f"binpack {step.name}: {number} {_UNITS[step.name]} free, least that fits"
