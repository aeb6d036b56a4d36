"""What who writes cluster files and who reads them must agree on.

Apart from ``cluster_file`` because the server only writes them: reading takes a YAML parser and models
whose making a server's start would have to wait for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from miniecs.model.service import PlacementConstraint, PlacementStrategy

RESERVED_PORTS: Final = (22, 2375, 2376, 51678, 51679)
"""TCP ports that ECS's agent keeps on every host."""

BUILT_IN: Final = {
    "ecs.os-type": "linux",
    "ecs.os-family": "LINUX",
    "ecs.cpu-architecture": "x86_64",
}
"""Attributes that a host has unless its entry says otherwise, besides those of its zone and type."""


def rounded(percent: float) -> str:
    """Whole percent; what is little is not called nothing, and what is nearly all not all."""
    if 0 < percent < 1:
        return "<1"
    return ">99" if 99 < percent < 100 else f"{percent:.0f}"


def said(rules: Iterable[PlacementStrategy | PlacementConstraint]) -> str:
    """Rules as they are read on the command line and in files; '' for none."""
    return ",".join(said_rule(rule) for rule in rules)


def said_rule(rule: PlacementStrategy | PlacementConstraint) -> str:
    more = rule.field if isinstance(rule, PlacementStrategy) else rule.expression
    return f"{rule.type}:{more}" if more else rule.type
