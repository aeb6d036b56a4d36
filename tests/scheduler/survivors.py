"""survivors.txt: how many faults of each file the tests notice, and why it is tolerable that some survive.

# place.py: 99 of 100 noticed, 99.0%
place.py _Search.run: 1 -> 2  # only speed: the general case answers the same
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

PATH: Final = Path(__file__).with_suffix(".txt")
_HEAD: Final = "By `make mutants`: faults in the scheduler that no fast test notices, and why not."


class Section(NamedTuple):
    """One file of the package: how many faults there are, and those that survived, each with a word."""

    total: int
    words: dict[str, str]

    @property
    def noticed(self) -> int:
        return self.total - len(self.words)

    @property
    def share(self) -> float:
        return self.noticed / self.total

    def counted(self) -> str:
        if not self.total:
            return "not all planted yet"
        return f"{self.noticed} of {self.total} noticed, {self.share:.1%}"


def listed() -> dict[str, Section]:
    sections: dict[str, Section] = {}
    for line in PATH.read_text().splitlines():
        head = re.fullmatch(r"# (\w+\.py): \d+ of (\d+) noticed, \S+", line)
        if head is not None:
            sections[head[1]] = Section(int(head[2]), {})
        elif line and not line.startswith("#"):
            name, _, word = line.partition("  # ")
            sections.setdefault(name.partition(" ")[0], Section(0, {})).words[name] = word
    return sections


def text(sections: dict[str, Section]) -> str:
    counted = {name: section for name, section in sections.items() if section.total}
    lines = [f"# {_HEAD}", f"# all of {len(counted)} files: {whole(counted).counted()}"]
    for name, section in sorted(sections.items()):
        lines += ["", f"# {name}: {section.counted()}"]
        lines += [f"{fault}  # {word}" for fault, word in section.words.items()]
    return "\n".join(lines) + "\n"


def whole(sections: dict[str, Section]) -> Section:
    words = {name: word for section in sections.values() for name, word in section.words.items()}
    return Section(sum(section.total for section in sections.values()), words)
