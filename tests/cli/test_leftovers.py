"""Whose things on an engine are, and which of them are a dead owner's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from miniecs.cli import leftovers
from miniecs.cli.leftovers import Owned

from .conftest import FakeEngine


def labelled(owner: str, data_dir: Path | str, **more: str) -> dict[str, object]:
    return {"Labels": {"miniecs.owner": owner, "miniecs.data-dir": str(data_dir), **more}}


@pytest.fixture
def swept(docker: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Whom the agent's sweep was asked to remove."""
    asked: list[tuple[str, bool]] = []

    def sweep(host: str, owner: str, *, shared_volumes: bool) -> dict[str, int]:
        assert host == docker.host
        asked.append((owner, shared_volumes))
        return {"containers": 2, "volumes": 0, "networks": 1}

    monkeypatch.setattr(leftovers, "_sweep", sweep)
    return asked


def test_owners_are_dead_when_their_folder_is_gone_or_anothers(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"owner": "a"}))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/settings.json").write_text("{")
    dead = {
        Owned("a", str(tmp_path)): False,
        Owned("b", str(tmp_path)): True,
        Owned("a", str(tmp_path / "gone")): True,
        Owned("a", str(tmp_path / "settings.json")): True,
        Owned("a", str(tmp_path / "damaged")): False,
        Owned("a", ""): False,
    }
    assert {owned: leftovers.is_dead(owned) for owned in dead} == dead


def test_only_the_dead_are_swept_and_it_is_said(
    docker: FakeEngine, swept: list[tuple[str, bool]], tmp_path: Path
) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({"owner": "lives"}))
    gone = tmp_path / "gone"
    shared = labelled("kept", gone, **{"miniecs.volume-scope": "shared"})
    docker.answers |= {
        "/containers/json": [labelled("lives", tmp_path), labelled("dead", gone), labelled("dead", gone)],
        "/networks": [labelled("elsewhere", "")],
        "/volumes": {"Volumes": [shared], "Warnings": None},
    }
    said: list[str] = []
    leftovers.sweep_the_dead(docker.host, said.append)
    assert swept == [("dead", False)]
    removed = "removed from the engine: 2 containers, 1 network"
    assert said == [f"miniecs: the cluster of {gone} is gone; {removed}"]


def test_an_engine_in_trouble_stops_no_start(docker: FakeEngine, swept: list[tuple[str, bool]]) -> None:
    said: list[str] = []
    leftovers.sweep_the_dead(docker.host, said.append)
    assert swept == []
    assert said == [
        f"miniecs: what clusters that are gone left on {docker.host} could not be seen: no such thing"
    ]


def test_who_has_nothing_on_the_engine_costs_nothing(
    docker: FakeEngine, swept: list[tuple[str, bool]]
) -> None:
    docker.answers |= {
        "/containers/json": [labelled("other", "/d")], "/networks": [], "/volumes": {"Volumes": None}
    }
    assert leftovers.remove(docker.host, "mine", shared_volumes=False) == {}
    assert leftovers.remove(docker.host, "other", shared_volumes=False)["containers"] == 2
    assert leftovers.remove(docker.host, "mine", shared_volumes=True)["containers"] == 2
    assert swept == [("other", False), ("mine", True)]
