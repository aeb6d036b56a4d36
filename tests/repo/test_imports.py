"""The import rules are kept, and no module stands outside of them."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LAYERS = {name.strip(" ()") for contract in CONTRACTS if contract["type"] == "layers"
          for layer in contract["layers"] for name in layer.split("|")}


def test_import_contracts_are_kept() -> None:
    linted = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )
    assert linted.returncode == 0, linted.stdout
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in linted.stdout


def test_every_module_has_a_layer() -> None:
    """A module that the layers do not name could import, and be imported by, anything."""
    modules = {f"miniecs.{path.stem}" for path in (ROOT / "miniecs").iterdir()
               if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))}
    assert modules - {"miniecs.__init__"} - LAYERS == set()


def test_a_proxy_is_bound_like_the_agent() -> None:
    """import-linter cannot name a module that does not exist: the proxy's contract comes with the proxy."""
    sources = {name for contract in CONTRACTS if contract["type"] == "forbidden"
               for name in contract["source_modules"]}
    assert not (ROOT / "miniecs/proxy").exists() or "miniecs.proxy" in sources


def test_the_scheduler_imports_only_itself_and_the_standard_library() -> None:
    """The contract lists what must not be imported; this is the whole rule."""
    foreign = {
        (path.name, name)
        for path in (ROOT / "scheduler").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import)
                     else [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else [])
        if name.split(".")[0] not in sys.stdlib_module_names | {"miniecs_scheduler"}
    }
    assert foreign == set()
