"""Every command on every page of docs/lessons works, prints what the page shows, and draws its pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .pages import LESSONS, ROOT, commands, pages, pictures, play, stage, unquoted

SCENARIOS = ROOT / "samples/scenarios"
INDEX = (LESSONS / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_a_page_is_true(page: Path) -> None:
    with stage() as folder:
        for command in commands(page):
            played = play(command, folder)
            assert played.code == 0, command.line
            assert unquoted(command, played) == [], "\n".join(played.output)
        for name in pictures(page):
            drawn, kept = (folder / name).read_text(), (LESSONS / name).read_text()
            is_same = drawn == kept  # and not a diff of a thousand lines
            assert is_same, f"{name} is not what the tool draws now: `make lessons`, and look at it"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_a_page_has_its_parts(page: Path) -> None:
    """What to run, what to see with a picture, one question, and a command whose output answers it."""
    parts = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)
    headings = [part.splitlines()[0] for part in parts[1:]]
    assert headings == ["Run it", "What to see", "A question", "The answer"]
    assert "?" in parts[3]
    assert "```sh" in parts[4] and "```text" in parts[4]
    assert pictures(page)
    assert all(command.quoted for command in commands(page))
    assert f"]({page.name})" in INDEX


def test_every_sample_is_played_on_some_page() -> None:
    played = {word for page in pages() for command in commands(page) for word in command.line.split()}
    samples = {f"samples/scenarios/{path.name}" for path in SCENARIOS.glob("*.yaml")}
    assert samples
    assert sorted(samples - played) == []


def test_pictures_that_no_page_shows_are_not_kept() -> None:
    shown = {name for page in pages() for name in pictures(page)}
    assert {path.name for path in LESSONS.glob("*.svg")} == shown
