"""The pages of docs/lessons: their commands, what they quote of the output, and the pictures they make.

``python tests/lessons/pages.py`` (`make lessons`) plays every page and puts its pictures beside it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from miniecs.cli.app import run

ROOT = Path(__file__).parents[2]
LESSONS = ROOT / "docs/lessons"
_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+\.svg)\)")
_LEFT_OUT = "…"


class Command(NamedTuple):
    """One line of a page, and the lines of its output that the page shows ('…': some are left out)."""

    line: str
    quoted: tuple[str, ...]


class Played(NamedTuple):
    code: int
    output: list[str]


def pages() -> list[Path]:
    return sorted(path for path in LESSONS.glob("*.md") if path.name != "README.md")


def commands(page: Path) -> list[Command]:
    """In the order of the page; a text block shows what the last command before it printed."""
    found: list[Command] = []
    for kind, content in _BLOCK.findall(page.read_text()):
        if kind == "sh":
            lines = content.replace("\\\n", " ").splitlines()
            found += [Command(" ".join(line.split()), ()) for line in lines if line.strip()]
        else:
            last = found.pop()
            found.append(last._replace(quoted=(*last.quoted, *content.splitlines())))
    return found


def pictures(page: Path) -> list[str]:
    return _PICTURE.findall(page.read_text())


def play(command: Command, folder: Path) -> Played:
    """Run it in a folder where samples/ is, as in the repository's root."""
    words = shlex.split(command.line, comments=True)
    assert words[0] == "miniecs", command.line
    told = io.StringIO()
    with _within(folder), contextlib.redirect_stdout(told):
        code = run(words[1:])
    return Played(code, [line.rstrip() for line in told.getvalue().splitlines()])


def unquoted(command: Command, played: Played) -> list[str]:
    """Quoted lines that the output does not have, in their order."""
    missing, rest = [], list(played.output)
    for line in command.quoted:
        if line.strip() == _LEFT_OUT:
            continue
        if line.rstrip() in rest:
            del rest[: rest.index(line.rstrip()) + 1]
        else:
            missing.append(line)
    return missing


@contextlib.contextmanager
def stage() -> Iterator[Path]:
    """A folder to play in."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "samples").symlink_to(ROOT / "samples")
        yield folder


@contextlib.contextmanager
def _within(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def main() -> int:
    """Play all pages, keep their pictures, and say which lines they quote wrongly."""
    wrong = 0
    for page in pages():
        with stage() as folder:
            for command in commands(page):
                played = play(command, folder)
                for line in unquoted(command, played):
                    wrong += 1
                    print(f"{page.relative_to(ROOT)}: `{command.line}` does not print: {line}")
            for name in pictures(page):
                shutil.copy(folder / name, LESSONS / name)
    print(f"docs/lessons: {len(pages())} pages played, {wrong} lines to be corrected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
