"""The README's quickstart, typed as it stands: what a newcomer does first must work every day."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from miniecs.cli import ports
from tests.docker.engine import shared_engine

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The tests' engine, a data folder and a port of its own; taken down whatever happens."""
    # What `make test` hands down would otherwise reach the make of the quickstart.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    own = {"MINIECS_DATA_DIR": str(tmp_path / "data"), "ARGS": f"--port {ports.lasting('127.0.0.1')}"}
    with shared_engine() as engine:
        environment = inherited | engine.environment | own
        yield environment
        down = [str(ROOT / ".venv/bin/miniecs"), "down", "--purge"]
        subprocess.run(down, env=environment, timeout=60, check=True)


@pytest.mark.slow
def test_the_quickstart_works_as_it_stands(environment: dict[str, str]) -> None:
    (section,) = re.findall(r"^## Quickstart.*?^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    typed = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", section],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
    )
    assert typed.returncode == 0, typed.stdout + typed.stderr
    # The steady state comes later: without a health check a task counts as healthy 40 s after RUNNING.
    assert "(service web) has started 2 tasks: " in typed.stdout  # after the one that resolves the tag
    assert len(re.findall(r"^\w{8}  service:web +web:1 +RUNNING ", typed.stdout, re.MULTILINE)) == 3
    assert "Service web is ACTIVE: 3 tasks wanted;" in typed.stdout
