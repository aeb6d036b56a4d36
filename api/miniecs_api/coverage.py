"""The README's coverage table, counted from the functions that exist.

A table kept by hand goes on promising what the code has lost: this one is made by `make docs`, and a test
compares it.
"""

import argparse
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import botocore
from botocore.session import get_session

from miniecs_api.dispatch import registry

BEGIN = "<!-- coverage: written by `make docs` -->"
END = "<!-- coverage: end -->"


def table(operations: Iterable[tuple[str, str]]) -> str:
    """Markdown for (service, operation) pairs, one row per service, by botocore's names."""
    session = get_session()
    implemented = Counter(service for service, _ in operations)
    rows = ["| Service | Operations | of botocore's |", "|---|---:|---:|"]
    for service, count in sorted(implemented.items()):
        model = session.get_service_model(service)
        rows.append(f"| {model.service_id} (`{service}`) | {count} | {len(model.operation_names)} |")
    return "\n".join([*rows, "", f"Counted against botocore {botocore.__version__}."])


def with_table(readme: str, text: str) -> str:
    """The README's text with `text` between its two markers; ValueError where it lacks one."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the markers {BEGIN!r} and {END!r} are missing")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the table of implemented AWS operations.")
    parser.add_argument("--write", metavar="README", nargs="?", const="README.md", type=Path,
                        help="put the table between the markers of this file instead of printing it")
    path: Path | None = parser.parse_args().write
    text = table(registry())
    if path is None:
        print(text)
        return
    old = path.read_text(encoding="utf-8")
    new = with_table(old, text)
    if new != old:
        path.write_text(new, encoding="utf-8")
        print(f"{path}: coverage table updated")


if __name__ == "__main__":
    main()
