"""`miniecs deployments --plot`: the picture of how a service's deployments went, drawn once."""

from __future__ import annotations

from pathlib import Path

from miniecs.cli import output
from miniecs.cli.client import connect
from miniecs.cli.folder import DataFolder
from miniecs.cli.plotting import told_as_problems
from miniecs.plots import style
from miniecs.plots.rollout import rollout


def draw(folder: DataFolder, name: str, path: Path, *, cluster: str | None, as_json: bool) -> None:
    """Raises Problem, before the server is asked if the picture could not be saved."""
    with told_as_problems():
        style.check_path(path)
    page = connect(folder).get("deployments/timeline", service=name, cluster=cluster)
    with told_as_problems(), style.drawing():
        style.save(rollout(page), path)
    if as_json:
        output.print_json(page | {"plot": str(path)})
    else:
        print(f"Saved {path}.")
