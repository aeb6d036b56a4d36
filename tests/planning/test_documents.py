"""docs/planning.md: every command on it runs, and what it shows is what they print."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pydantic import BaseModel

from miniecs.cli import app
from miniecs.planning.cluster_file import (
    CapacityProviderSpec,
    ClusterFile,
    HostSpec,
    RunningTasks,
    ServiceSpec,
    load,
)
from miniecs.planning.planned import plan

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/planning.md").read_text()
COMMANDS = re.findall(r"```sh\nmini(ecs .*)\n```(?:\n\n```\n((?:.*\n)*?)```)?", PAGE)
SAMPLES = sorted((ROOT / "samples/clusters").glob("*.yaml"))


@pytest.mark.parametrize(("command", "shown"), COMMANDS)
def test_commands_print_what_the_page_shows(
    command: str,
    shown: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    assert app.run(shlex.split(command)[1:]) == 0
    assert shown in capsys.readouterr().out
    if "--plot" in command:
        assert texts(tmp_path / "shop.svg") == texts(ROOT / "docs/planning.svg")


def test_the_script_prints_what_the_page_shows() -> None:
    script, shown = re.findall(r"```python\n((?:.*\n)*?)```\n\n```\n((?:.*\n)*?)```", PAGE)[0]
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == shown


def texts(picture: Path) -> list[str]:
    """Not all its bytes: those depend on matplotlib's version."""
    found = ElementTree.parse(picture).getroot().iter("{http://www.w3.org/2000/svg}text")
    return ["".join(text.itertext()) for text in found]


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) == 6
    assert sum(bool(shown) for _, shown in COMMANDS) == 4


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_samples_are_whole_and_their_comments_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = path.read_text()
    assert plan(load(text, path.name)).notes == []
    command = re.sub(r" \\\n#", "", text)
    (asked,) = re.findall(r"^#   miniecs (place .*)$", command, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    assert app.run(shlex.split(asked)) == 0


@pytest.mark.parametrize("model", [ClusterFile, HostSpec, RunningTasks, ServiceSpec, CapacityProviderSpec])
def test_every_member_is_documented(model: type[BaseModel]) -> None:
    """But for those of task definitions: RegisterTaskDefinition's need no list here."""
    members = (field.validation_alias or field.alias or name for name, field in model.model_fields.items())
    assert [name for name in members if f"`{name}`" not in PAGE] == []
