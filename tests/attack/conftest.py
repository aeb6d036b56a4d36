"""Servers to attack: one that every test of a module shares, and as many of one's own as a test makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..api.conftest import Aws
from .server import RealServer


@pytest.fixture
def aws() -> Aws:
    """Operations as functions, for what the wire does not decide."""
    return Aws()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., RealServer]]:
    """``serve(folder, **settings)``: a server that is not started yet; none outlives the test."""
    made: list[RealServer] = []

    def make(folder: Path | str = "data", **settings: Any) -> RealServer:
        server = RealServer(tmp_path / folder, tmp_path, **settings)
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server without a cluster, for the tests of one module; its log must tell of no bug at the end."""
    folder = tmp_path_factory.mktemp("attacked")
    running = RealServer(folder / "data", folder)
    try:
        yield running.start()
        assert running.trouble() == [], running.said()[-4000:]
    finally:
        running.stop()
