"""Whole clusters on simulated time: the real control plane and agents, imagined hosts, and faults."""

from miniecs.sim.broken import InvariantBroken
from miniecs.sim.world import World

__all__ = ["InvariantBroken", "World"]
