"""`make` does what its help and the docs say, and every target is in the help."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
PHONY = set(re.findall(r"^\.PHONY: (\w+)$", MAKEFILE, re.MULTILINE))
# The targets that others rely on by name.
PROMISED = {"run", "stop", "test", "check", "bench", "sim", "clean", "help"}


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_help_lists_every_target_with_what_it_does() -> None:
    listed = re.findall(r"^  make (\w+) +\S.*$", make("help").stdout, re.MULTILINE)
    assert set(listed) == PHONY
    assert len(listed) == len(PHONY)
    assert PROMISED <= PHONY


@pytest.mark.parametrize("target", sorted(PHONY))
def test_target_can_be_planned(target: str) -> None:
    """`make -n` fails for a prerequisite that nothing makes."""
    planned = make("-n", target)
    assert (planned.returncode, planned.stderr) == (0, "")


def test_an_unknown_benchmark_is_a_clear_error() -> None:
    answer = make("bench", "B=nonesuch")
    assert answer.returncode != 0
    assert "no benchmark nonesuch; there are: " in answer.stderr


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", ".ci/run"])
def test_documents_name_only_targets_that_exist(document: str) -> None:
    named = set(re.findall(r"(?:`|^|; )make ([a-z]+)", (ROOT / document).read_text(), re.MULTILINE))
    assert named
    assert named <= PHONY
