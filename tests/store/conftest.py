"""Both stores, for tests of what every store promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from miniecs.store import MemoryStore, SqliteStore
from miniecs.store.engine import Engine


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    store: Engine = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "miniecs.db")
    yield store
    store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "miniecs.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[[], SqliteStore]]:
    """Opens the store in ``path`` again and again; each opening closes the one before."""
    stores: list[SqliteStore] = []

    def open_again() -> SqliteStore:
        for store in stores:
            store.close()
        stores.append(SqliteStore(path))
        return stores[-1]

    yield open_again
    for store in stores:
        store.close()
