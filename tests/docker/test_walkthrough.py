"""docs/walkthrough.md, typed as it stands in one shell: every command succeeds and prints what is shown."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .daemon import Engine

ROOT = Path(__file__).parents[2]
WALKTHROUGH = (ROOT / "docs/walkthrough.md").read_text()
_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_MARK = "-- end of block --"
_WITHIN = 600.0


def blocks() -> list[tuple[str, str | None]]:
    """Each block of commands, with what it prints where the document shows that."""
    found: list[tuple[str, str | None]] = []
    for kind, text in _BLOCK.findall(WALKTHROUGH):
        if kind == "sh":
            found.append((text, None))
        else:
            found[-1] = (found[-1][0], text)
    return found


def pattern(shown: str) -> str:
    """``…`` is anything within a line; alone on a line, any number of lines."""
    lines = ("(?:.*\n)*" if line.strip() == "…" else _line(line) for line in shown.splitlines())
    return "".join(lines)


def _line(line: str) -> str:
    return ".+".join(map(re.escape, line.split("…"))) + "\n"


@pytest.fixture
def environment(engine: Engine, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A data folder and a port of its own on the session's engine, taken down whatever happens."""
    # What `make test` hands down would otherwise reach the make of the walkthrough.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment = {
        **inherited,
        **engine.environment,
        "MINIECS_DATA_DIR": str(tmp_path / "data"),
        "ARGS": "--port 0",
    }
    yield environment
    subprocess.run([ROOT / ".venv/bin/miniecs", "down", "--purge"], env=environment, timeout=120, check=True)


def test_the_walkthrough_works_as_it_stands(environment: dict[str, str]) -> None:
    steps = blocks()
    script = "".join(f"{commands}\necho '{_MARK}'\n" for commands, _ in steps)
    typed = subprocess.run(
        ["bash", "-euc", script],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_WITHIN, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    printed = typed.stdout.split(f"{_MARK}\n")[: len(steps)]
    for (commands, shown), output in zip(steps, printed, strict=False):  # the last may have failed
        if shown is not None:
            assert re.fullmatch(pattern(shown), output), f"{commands}\nprinted:\n{output}\n{typed.stderr}"
    assert typed.returncode == 0, f"{steps[len(printed) - 1][0]}\n{printed[-1]}\n{typed.stderr}"
