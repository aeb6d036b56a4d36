"""The clusters that a test starts: ended, and asked for the truth, whatever the test does."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import ConnectionClosedError, EndpointConnectionError

from .daemon import Engine
from .engine_proxy import EngineProxy
from .miniecs import Miniecs
from .netns import Namespace
from .truth import leftovers, lies
from .waiting import NotReached, until

_TRUE_WITHIN = 20.0  # seconds in which what is under way must have been said


class Clusters:
    """The clusters of a test or a module; ``check`` asks whether they tell the truth."""

    def __init__(self, place: Callable[[], Path], engine: Engine) -> None:
        self._place = place
        self._default = engine
        self._made: list[tuple[Miniecs, list[Engine]]] = []
        self._owners: dict[str, str] = {}
        self._ports: set[int] = set()

    def start(
        self,
        *options: str,
        engine: Engine | None = None,
        through: EngineProxy | None = None,
        host: Namespace | None = None,
        place: Path | None = None,
    ) -> Miniecs:
        """`miniecs up` on a folder of its own, in ``place``; ``through``: its way to the engine."""
        used = engine or self._default
        made = Miniecs((place or self._place()) / "data", (through or used).environment, host)
        self._made.append((made, [used]))
        made.up(*options)
        return made

    def also_on(self, miniecs: Miniecs, engine: Engine) -> None:
        """This cluster has containers on this engine too."""
        next(engines for made, engines in self._made if made is miniecs).append(engine)

    def check(self) -> None:
        for miniecs, engines in self._made:
            if (miniecs.folder / "settings.json").exists():
                self._note(miniecs)
                if miniecs.processes("server"):
                    agrees(miniecs, engines)

    def end(self) -> None:
        for miniecs, engines in self._made:
            if (miniecs.folder / "settings.json").exists():
                self._note(miniecs)
            said = miniecs.end()
            assert not miniecs.processes(), miniecs.processes()
            owner = self._owners.get(str(miniecs.folder))
            for engine in engines:
                left = leftovers(str(miniecs.folder), owner, engine)
                assert not left, f"{left}: {said}"
        for port in self._ports:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))

    def _note(self, miniecs: Miniecs) -> None:
        self._owners[str(miniecs.folder)] = miniecs.settings["owner"]
        self._ports.add(miniecs.settings["port"])


def agrees(miniecs: Miniecs, engines: list[Engine]) -> None:
    found: list[str] = []

    def look() -> bool:
        try:
            found[:] = lies(miniecs, engines)
        except (EndpointConnectionError, ConnectionClosedError) as error:
            found[:] = [f"the server does not answer: {error}"]  # a test has just killed it
        return not found

    try:
        until("what is said and what is to be the same", look, within=_TRUE_WITHIN, every=0.2)
    except NotReached:
        raise AssertionError("\n".join([*found, miniecs.logs()])) from None


def emptied(miniecs: Miniecs) -> None:
    """Stop what a test has left running, and wait until it has."""
    for cluster in miniecs.ecs.list_clusters()["clusterArns"]:
        for service in miniecs.ecs.list_services(cluster=cluster)["serviceArns"]:
            miniecs.ecs.delete_service(cluster=cluster, service=service, force=True)
    for task in miniecs.tasks():
        if task["desiredStatus"] != "STOPPED":
            miniecs.ecs.stop_task(cluster=task["clusterArn"], task=task["taskArn"])
    until(
        "every task to be STOPPED",
        lambda: all(task["lastStatus"] == "STOPPED" for task in miniecs.tasks()),
        within=60.0,
    )
