"""Scenarios of a few lines for tests: written, loaded and played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from miniecs.scenarios.player import Player
from miniecs.scenarios.recording import Recording
from miniecs.scenarios.scenario_file import load
from miniecs.scenarios.story import Story, story
from miniecs.scenarios.summary import Summary, summary

BASE = """
duration: 6m
hosts:
  - {id: host, count: 3, type: m5.large, zones: [a, b, c]}
taskDefinitions:
  - {family: web, cpu: 256, memory: 512}
  - {family: batch, cpu: 512, memory: 2048}
  - family: checked
    containerDefinitions:
      - name: main
        image: checked
        cpu: 128
        memory: 128
        healthCheck: {command: [CMD-SHELL, "true"], interval: 5, timeout: 2, retries: 2}
services:
  - {serviceName: web, taskDefinition: web, desiredCount: 3, placementStrategy: spread:instanceId}
"""


def stories(folder: Path, text: str, **settings: Any) -> list[Story]:
    path = folder / "scenario.yaml"
    path.write_text(text)
    return [story(variant) for variant in load(path, settings)]


def play(folder: Path, events: str = "", base: str = BASE) -> Recording:
    """The base with these events, one a line, played."""
    lines = [f"  - {line.strip()}" for line in events.strip().splitlines()]
    [told] = stories(folder, base + ("events:\n" + "\n".join(lines) + "\n" if lines else ""))
    return Player(told).play()


def summed(folder: Path, events: str = "", base: str = BASE) -> Summary:
    return summary(play(folder, events, base))


def texts(recording: Recording, kind: str = "scenario") -> list[str]:
    return [each.text for each in recording.happenings if each.kind == kind]


def at(recording: Recording, seconds: float) -> Any:
    """The sample that holds then."""
    return [sample for sample in recording.samples if sample.at <= seconds][-1]
