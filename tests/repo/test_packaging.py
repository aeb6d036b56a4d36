"""The distribution holds four packages and nothing else: who installs it may have an api/ of their own."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from shutil import copytree, ignore_patterns

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"miniecs", "miniecs_agent", "miniecs_api", "miniecs_scheduler"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the distribution is made from: a build leaves its own files beside it."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    for name in ("miniecs", "agent", "api", "scheduler"):
        copytree(ROOT / name, source / name, ignore=ignore_patterns("__pycache__", "*.egg-info"))
    return source


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    place = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(place), str(source)],
        capture_output=True, text=True, timeout=300,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = place.glob("miniecs-*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.mark.slow
@pytest.mark.xdist_group("wheel")
def test_wheel_has_exactly_our_top_level_names(wheel: zipfile.ZipFile) -> None:
    tops = {PurePosixPath(name).parts[0] for name in wheel.namelist()}
    (info,) = [top for top in tops if top.endswith(".dist-info")]
    assert tops - {info} == PACKAGES


@pytest.mark.slow
@pytest.mark.xdist_group("wheel")
def test_wheel_has_every_source_file_and_no_bytecode(wheel: zipfile.ZipFile, source: Path) -> None:
    sources = {
        path.relative_to(root).as_posix()
        for root in (source, source / "agent", source / "api", source / "scheduler")
        for package in PACKAGES
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == sources


@pytest.mark.slow
@pytest.mark.xdist_group("wheel")
def test_wheel_carries_the_licence_and_the_command(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert wheel.read(entry_points).decode().split("\n", 1)[1].strip() == "miniecs = miniecs.cli:main"
    (licence,) = [name for name in wheel.namelist() if name.endswith("licenses/LICENSE")]
    assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_every_package_says_that_it_is_typed() -> None:
    roots = {"miniecs": ROOT, "miniecs_agent": ROOT / "agent", "miniecs_api": ROOT / "api",
             "miniecs_scheduler": ROOT / "scheduler"}
    assert [name for name, root in roots.items() if not (root / name / "py.typed").is_file()] == []
