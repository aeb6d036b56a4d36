"""A scenario's file as it was written, and how what is wrong in it is told: with the place and its line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miniecs.planning import validate
from miniecs.planning.text import Mistake, line_of, parse

Place = Sequence[str | int]


@dataclass(frozen=True)
class Document:
    """``data``: what planning.text makes of the file, mappings and lists that know their lines.

    variant: the one of which the values are. What it set does not stand where a mistake's line may point.
    """

    path: Path
    data: Any
    variant: str = ""

    @property
    def name(self) -> str:
        return f"{self.path} (variant {self.variant})" if self.variant else str(self.path)

    def mistake(self, place: Place, what: str) -> Mistake:
        line = line_of(self.data, place)
        where = f"{self.name}, line {line}" if line is not None else self.name
        return Mistake(f"{where}: {validate.path_text(place)}: {what}" if place else f"{where}: {what}")


def read(path: Path) -> Document:
    """The file. Raises Mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Mistake(f"{path}: there is no such file") from None
    except OSError as problem:
        raise Mistake(f"{path}: cannot be read: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        raise Mistake(f"{path}: is not UTF-8: {problem.reason}") from None
    return Document(path, parse(text, str(path)))


def nearest(word: str, known: Iterable[str]) -> str:
    """Which known word was meant, or which there are, as the end of a sentence."""
    choices = list(known)
    meant = validate.nearest(word, choices)
    if meant is not None:
        return f"did you mean {meant}?"
    return f"known are {', '.join(choices)}" if choices else "there is none"
