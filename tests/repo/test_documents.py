"""What the documents name exists, and the README's table is the code's own."""

import re
from pathlib import Path

import pytest

from miniecs_api import coverage
from miniecs_api.dispatch import registry

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md",
             *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
# A code span is a path of ours when it begins with a folder of ours or is one of the files at the top.
OURS = re.compile(
    r"^(?:(?:scheduler|agent|api|miniecs|tests|docs|bench|samples|\.ci)/[\w./-]*"
    r"|Makefile|pyproject\.toml|constraints\.txt|[A-Z]+\.md)$"
)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def without_planned(text: str) -> str:
    """Sentences that say "planned" are about what does not exist yet."""
    return "\n".join(line for line in text.splitlines() if "planned" not in line.lower())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_in_documents_exist(name: str) -> None:
    text = without_planned((ROOT / name).read_text())
    spans = {span for span in re.findall(r"`([^`\n]+)`", text) if OURS.match(span)}
    assert sorted(span for span in spans if not (ROOT / span).exists()) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_in_documents_lead_somewhere(name: str) -> None:
    path = ROOT / name
    targets = {target for target in LINK.findall(path.read_text()) if "://" not in target}
    assert sorted(target for target in targets if not (path.parent / target).exists()) == []


def test_readme_has_the_coverage_table_of_this_code() -> None:
    readme = (ROOT / "README.md").read_text()
    assert coverage.with_table(readme, coverage.table(registry())) == readme, "run `make docs`"


def test_coverage_table_counts_per_service() -> None:
    text = coverage.table([("sts", "GetCallerIdentity"), ("ecs", "RunTask"), ("ecs", "StopTask")])
    rows = [line for line in text.splitlines() if line.startswith("| ") and "`" in line]
    assert [re.sub(r"\d+ \|$", "N |", row) for row in rows] == [
        "| ECS (`ecs`) | 2 | N |",
        "| STS (`sts`) | 1 | N |",
    ]


def test_a_readme_without_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="markers"):
        coverage.with_table("# miniecs\n", "a table")


def test_every_decision_is_listed_in_order() -> None:
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
