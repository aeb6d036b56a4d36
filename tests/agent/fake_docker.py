"""An engine's API in memory, for the tests of what is made of it: calls can be held, refused and lost.

Its methods are called from threads, as the real one's; what a test tells it, it tells from the loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import SimpleQueue
from typing import Any

from miniecs_agent.docker.config import VolumeRequest
from miniecs_agent.docker.errors import Refused
from miniecs_agent.docker.names import INSTANCE
from miniecs_agent.docker.protocol import CommandStream, Json, OutputStream
from miniecs_agent.host_engine import EngineFacts, EngineGone

FACTS = EngineFacts("E1", "Docker", "20.10", "1.41", 2, 4096, "x86_64", "Debian", "6.1")
NEVER = "0001-01-01T00:00:00Z"


class FakeStream:
    def __init__(self) -> None:
        self._events: SimpleQueue[Json | None] = SimpleQueue()

    def __iter__(self) -> Iterator[Json]:
        while (event := self._events.get()) is not None:
            yield event

    def put(self, event: Json) -> None:
        self._events.put(event)

    def close(self) -> None:
        self._events.put(None)


class _Held:
    """A call whose answer is kept back."""

    def __init__(self) -> None:
        self.freed = threading.Event()
        self.lost = False


class FakeDocker:
    """``DockerApi``. ``hold(name)``: calls of that name do what they do, and answer when they are freed."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.images: dict[str, Json] = {"busybox:latest": {"Id": "sha256:1", "Config": {}}}
        self.registry: dict[str, list[Json]] = {}
        self.made: dict[str, Json] = {}  # by id
        self.creations = 0
        self.named: dict[str, Json] = {}  # networks by name
        self.made_volumes: dict[str, Mapping[str, str]] = {}
        self.refuse: dict[str, list[Exception]] = {}
        self.gone = False
        self.silent = False  # events are lost
        self.clock = 100.0
        self.stream = FakeStream()
        self._held: dict[str, _Held] = {}

    # For tests

    def hold(self, name: str) -> Callable[[], None]:
        held = self._held[name] = _Held()

        def free() -> None:
            if self._held.get(name) is held:
                del self._held[name]
            held.lost = self.gone  # as of now: its thread wakes when it likes
            held.freed.set()

        return free

    def die(self) -> None:
        """As a daemon that is killed: its containers may run on, or not."""
        self.gone = True
        self.stream.close()

    def event(self, action: str, id: str, **attributes: str) -> None:
        self.clock += 1
        actor = {"ID": id, "Attributes": {INSTANCE: "i-1", **attributes}}
        if self.silent:
            return
        self.stream.put(
            {"Type": "container", "Action": action, "Actor": actor, "timeNano": int(self.clock * 1e9)}
        )

    def run(self, id: str, *, told: bool = True) -> None:
        self.clock += 1
        self.made[id]["State"] |= {"Running": True, "StartedAt": self._now(), "OOMKilled": False}
        if told:
            self.event("start", id)

    def end(self, id: str, exit_code: int, *, told: bool = True, out_of_memory: bool = False) -> None:
        self.clock += 1
        self.made[id]["State"] |= {
            "Running": False,
            "ExitCode": exit_code,
            "FinishedAt": self._now(),
            "OOMKilled": out_of_memory,
        }
        if told:
            self.event("die", id, exitCode=str(exit_code))

    def count(self, name: str) -> int:
        return sum(1 for call in self.calls if call[0] == name)

    def _now(self) -> str:
        return f"1970-01-01T00:{int(self.clock) // 60:02}:{int(self.clock) % 60:02}Z"

    def _call(self, *call: str) -> _Held | None:
        """What holds the answer, if something does: as of the call, not of when its thread gets on."""
        self._reached()
        self.calls.append(call)
        problems = self.refuse.get(call[0])
        if problems:
            raise problems.pop(0)
        return self._held.get(call[0])

    def _reached(self) -> None:
        if self.gone:
            raise EngineGone("nobody answers")

    def _answer(self, held: _Held | None) -> None:
        if held is None:
            self._reached()
            return
        held.freed.wait(10)
        if held.lost:
            raise EngineGone("nobody answers")

    def _container(self, id: str) -> Json:
        found = self.made.get(id) or next((c for c in self.made.values() if c["Name"] == id), None)
        if found is None:
            raise Refused(404, f"No such container: {id}")
        return found

    # The engine

    def connect(self) -> EngineFacts:
        self._reached()
        return FACTS

    def ping(self) -> None:
        self._reached()

    def time(self) -> str:
        self._reached()
        return str(self.clock)

    def events(self, since: str) -> FakeStream:
        self._reached()
        self.stream = FakeStream()
        return self.stream

    def inspect_image(self, image: str) -> Json:
        self._call("inspect_image", image)
        found = next((each for name, each in self.images.items() if image in (name, each["Id"])), None)
        if found is None:
            raise Refused(404, f"No such image: {image}")
        return found

    def import_image(self, layer: bytes, reference: str, changes: Sequence[str]) -> None:
        self._call("import_image", reference)
        self.images[reference] = {"Id": f"sha256:{reference}", "Config": {}}

    def pull(self, image: str) -> Iterator[Json]:
        held = self._call("pull", image)
        messages = self.registry.get(image)
        if messages is None:
            raise Refused(404, f"pull access denied for {image}")
        yield from messages
        self._answer(held)
        self.images[image] = {"Id": f"sha256:{image}", "RepoDigests": [f"{image}@sha256:d"], "Config": {}}

    def create_volume(self, request: VolumeRequest) -> None:
        self._call("create_volume", request.name)
        self.made_volumes[request.name] = request.labels

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        held = self._call("create", name)
        if body["Image"] not in self.images:
            raise Refused(404, f"No such image: {body['Image']}")
        if any(each["Name"] == name for each in self.made.values()):
            raise Refused(409, f'Conflict. The container name "/{name}" is already in use')
        self.creations += 1  # no id is ever given twice, as with a real engine
        id = f"c{self.creations}"
        self.made[id] = {
            "Id": id,
            "Name": name,
            "Image": self.images[body["Image"]]["Id"],
            "Config": {"Labels": body["Labels"]},
            "HostConfig": body["HostConfig"],
            "State": {"Running": False, "ExitCode": 0, "StartedAt": NEVER, "FinishedAt": NEVER},
        }
        self._answer(held)
        return id

    def start(self, runtime_id: str) -> None:
        held = self._call("start", runtime_id)
        self._container(runtime_id)
        self.run(runtime_id)
        self._answer(held)

    def kill(self, runtime_id: str, signal: str) -> None:
        self._call("kill", runtime_id, signal)
        if not self._container(runtime_id)["State"]["Running"]:
            raise Refused(409, f"Container {runtime_id} is not running")

    def remove(self, runtime_id: str) -> None:
        self._call("remove", runtime_id)
        self._container(runtime_id)
        del self.made[runtime_id]
        self.event("destroy", runtime_id)

    def inspect(self, runtime_id: str) -> Json:
        held = self._call("inspect", runtime_id)
        found = self._container(runtime_id)
        answer = {**found, "State": dict(found["State"])}
        self._answer(held)
        return answer

    def containers(self, labels: Mapping[str, str | None]) -> Sequence[Json]:
        self._call("containers")
        return [
            {"Id": each["Id"], "Labels": each["Config"]["Labels"]}
            for each in self.made.values()
            if _matches(each["Config"]["Labels"], labels)
        ]

    def volumes(self, labels: Mapping[str, str | None]) -> Sequence[Json]:
        self._call("volumes")
        return [
            {"Name": name, "Labels": own} for name, own in self.made_volumes.items() if _matches(own, labels)
        ]

    def networks(self, labels: Mapping[str, str | None] | None = None) -> Sequence[Json]:
        self._call("networks")
        return [each for each in self.named.values() if labels is None or _matches(each["Labels"], labels)]

    def create_network(self, name: str, subnet: str, gateway: str, labels: Mapping[str, str]) -> None:
        self._call("create_network", name, subnet)
        pool = {"Subnet": subnet, "Gateway": gateway}
        self.named[name] = {"Id": name, "Name": name, "Labels": dict(labels), "IPAM": {"Config": [pool]}}

    def has_volume(self, name: str) -> bool:
        self._call("has_volume", name)
        return name in self.made_volumes

    def remove_volume(self, name: str) -> None:
        self._call("remove_volume", name)
        if self.made_volumes.pop(name, None) is None:
            raise Refused(404, f"get {name}: no such volume")

    def remove_network(self, network_id: str) -> None:
        self._call("remove_network", network_id)
        del self.named[network_id]

    def usage(self, runtime_id: str) -> Json:
        self._call("usage", runtime_id)
        return {"cpu_stats": {"cpu_usage": {"total_usage": 7}}}

    def logs(
        self, runtime_id: str, *, tty: bool, follow: bool, tail: int | None, timestamps: bool, since: int
    ) -> OutputStream:
        raise NotImplementedError

    def execute(self, runtime_id: str, command: Sequence[str], *, tty: bool, stdin: bool) -> CommandStream:
        raise NotImplementedError

    def resize(self, exec_id: str, rows: int, columns: int) -> None:
        raise NotImplementedError

    def exec_result(self, exec_id: str) -> int | None:
        raise NotImplementedError

    def close(self) -> None:
        self._held.clear()


def _matches(own: Mapping[str, str], wanted: Mapping[str, str | None]) -> bool:
    return all(name in own and value in (None, own[name]) for name, value in wanted.items())
