"""Servers for stories, each in a process and a data folder of its own; nothing outlives its module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .process import ServerProcess

StartServer = Callable[..., ServerProcess]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Every story is slow, and a module's stories share a server, so one worker runs them all."""
    item.add_marker(pytest.mark.slow)
    if item.get_closest_marker("xdist_group") is None:
        item.add_marker(pytest.mark.xdist_group(f"e2e {item.path.stem}"))


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """``start_server(time_scale=20, instances=2)``: any of ServerSettings' fields."""
    servers: list[ServerProcess] = []

    def start(**settings: Any) -> ServerProcess:
        server = ServerProcess(tmp_path_factory.mktemp("data") / "miniecs", **settings)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.close()


@pytest.fixture(scope="module")
def ecs(server: ServerProcess) -> Any:
    """A boto3 client of the module's ``server``, which each module starts as its stories need it."""
    return server.client("ecs")
