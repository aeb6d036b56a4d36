"""`miniecs logs` against a real server and agent, with containers that are not there."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from miniecs.cli import logs
from miniecs.cli.client import Client
from miniecs.cli.folder import DataFolder
from miniecs.cli.problem import Problem
from miniecs.cli.streams import Data, Streams
from miniecs.model.instance import ContainerInstance
from miniecs.model.stream import CHUNK
from miniecs.model.task import Task
from miniecs_api import stream_socket

from .conftest import until
from .stream_bed import CLUSTER, ID, INSTANCE, TASK, Bed

FOLDER = DataFolder(Path("/nowhere"))
CUT = "miniecs: The connection to the agent ended. Going on as soon as it can be had.\n"
RESTARTED = "miniecs: The connection to the server ended. Going on as soon as it can be had.\n"

Printed = tuple[int, bytes, bytes]


class Reader:
    """The command in this process, and what it has printed so far."""

    def __init__(self, bed: Bed, monkeypatch: pytest.MonkeyPatch, capture: Any) -> None:
        self.bed = bed
        self.out, self.err = b"", b""
        self._capture = capture
        monkeypatch.setattr(logs, "connect", lambda folder: Client(bed.endpoint))

    def __call__(self, *, task: str = ID[:8], **options: Any) -> Printed:
        code = logs.logs(FOLDER, wanted(task, **options))
        self.look()
        out, err, self.out, self.err = self.out, self.err, b"", b""
        return code, out, err

    def refused(self, **options: Any) -> str:
        with pytest.raises(Problem) as refusal:
            self(**options)
        return str(refusal.value)

    def follow(self, *steps: Callable[[], Any], **options: Any) -> Printed:
        """Follow, and meanwhile take the steps, one after the other; some wait for what is to be printed."""

        def act() -> None:
            try:
                for step in steps:
                    step()
            finally:  # whatever went wrong, following ends
                for name in ("web", "sidecar"):
                    self.bed.stop(name)

        with ThreadPoolExecutor(1) as pool:
            acting = pool.submit(act)
            result = self(follow=True, **options)
            acting.result()
        return result

    def look(self) -> None:
        captured = self._capture.readouterr()
        self.out += captured.out
        self.err += captured.err

    def has_printed(self, text: bytes) -> Callable[[], None]:
        def waited() -> None:
            def printed() -> bool:
                self.look()
                return text in self.out + self.err

            until(printed, f"{text!r} is printed")

        return waited


def wanted(task: str, **options: Any) -> logs.Wanted:
    given = dict.fromkeys(logs.Wanted._fields[1:])
    return logs.Wanted(task, **{**given, "follow": False, "timestamps": False, "as_json": False, **options})


@pytest.fixture
def bed() -> Iterator[Bed]:
    made = Bed("web", "sidecar")
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Bed]:
    """For those who only try."""
    made = Bed("web", "sidecar")
    made.run("web")
    yield made
    made.close()


@pytest.fixture
def read(bed: Bed, monkeypatch: pytest.MonkeyPatch, capsysbinary: Any) -> Reader:
    return Reader(bed, monkeypatch, capsysbinary)


@pytest.fixture
def both(bed: Bed) -> Bed:
    bed.run("web")
    bed.run("sidecar")
    bed.write("web", b"one\n", b"two\n")
    bed.write("web", b"bad\n", stream="stderr")
    bed.write("sidecar", b"up\n")
    return bed


def test_of_one_container_the_very_bytes(both: Bed, read: Reader) -> None:
    both.write("web", b"\xff no end")
    assert read(container="web") == (0, b"one\ntwo\n\xff no end", b"bad\n")
    assert both.engine.asked == [("web", False, None, False, 0)]


def test_of_several_each_line_behind_its_name(both: Bed, read: Reader) -> None:
    code, out, err = read(task=TASK)
    assert (code, sorted(out.splitlines()), err) == (
        0, [b"sidecar  | up", b"web      | one", b"web      | two"], b"web      | bad\n"
    )


def test_tail_and_timestamps(both: Bed, read: Reader) -> None:
    stamps = [stamp.encode() for stamp, _, _ in both.engine.containers["web"].lines]
    assert read(container="web", tail=2, timestamps=True) == (
        0, stamps[1] + b" two\n", stamps[2] + b" bad\n"
    )


def test_as_json_one_document_a_line_all_on_stdout(both: Bed, read: Reader) -> None:
    both.write("web", b"\xff no end")
    code, out, err = read(container="web", as_json=True)
    assert (code, err) == (0, b"")
    assert [json.loads(line) for line in out.splitlines()] == [
        {"container": "web", "stream": stream, "timestamp": stamp, "line": line}
        for (stamp, stream, _), line in zip(
            both.engine.containers["web"].lines, ("one", "two", "bad", "\ufffd no end"), strict=True
        )
    ]


def test_who_cannot_be_read_says_why(bed: Bed, read: Reader) -> None:
    bed.run("web")
    assert read.refused(task="fffffff0").startswith("There is no task 'fffffff0'.")
    assert read.refused(container="db") == "Task 01234567 has no container 'db'. It has web, sidecar."
    assert read(container="sidecar") == (1, b"", b"miniecs: Container sidecar has not started yet.\n")
    del bed.engine.containers["web"]
    assert read(container="web") == (1, b"", b"miniecs: No such container: web\n")
    bed.stop("sidecar", reason="CannotPullContainerError: no")
    why = b"Container sidecar of task 01234567 never ran: CannotPullContainerError: no\n"
    assert read(container="sidecar") == (1, b"", b"miniecs: " + why)
    bed.cut()
    gone = "The agent of container instance cccccccc is not connected."
    assert read.refused(container="web") == gone


def test_one_that_can_be_read_is_a_success(bed: Bed, read: Reader) -> None:
    bed.run("web")
    bed.write("web", b"here\n")
    assert read() == (0, b"web      | here\n", b"miniecs: sidecar: Container sidecar has not started yet.\n")


def test_tasks_without_an_instance(bed: Bed, read: Reader) -> None:
    bed.put(ContainerInstance(INSTANCE, CLUSTER, status="INACTIVE"))
    assert read.refused() == (
        "Task 01234567 was on container instance cccccccc, which is gone with its containers."
    )
    task = Task(TASK, CLUSTER, f"{CLUSTER}:1", "family:web")
    bed.put(replace(task, last_status="STOPPED", stopped_reason="no room"))
    assert read.refused() == "Task 01234567 was never placed on a container instance: no room"
    bed.put(task)
    assert read.refused() == "Task 01234567 is not placed on a container instance yet."


def test_simulated_containers_have_none(monkeypatch: pytest.MonkeyPatch, capsysbinary: Any) -> None:
    bed = Bed("web", simulated=True)
    try:
        told = Reader(bed, monkeypatch, capsysbinary).refused()
        assert told == "Simulated containers write no logs. `up --runtime docker` runs real ones."
    finally:
        bed.close()


def test_following_waits_for_containers_and_ends_with_the_last(bed: Bed, read: Reader) -> None:
    bed.run("web")
    bed.write("web", b"begun\n")
    assert read.follow(
        read.has_printed(b"begun"),
        lambda: bed.run("sidecar"),
        lambda: bed.write("sidecar", b"later\n"),
        read.has_printed(b"later"),
        lambda: bed.write("web", b"no end"),
        lambda: bed.stop("web"),
        read.has_printed(b"no end\n"),
        lambda: bed.write("sidecar", b"last\n"),
        lambda: bed.stop("sidecar"),
    ) == (0, b"web      | begun\nsidecar  | later\nweb      | no end\nsidecar  | last\n", b"")


def test_following_one_that_never_begins(bed: Bed, read: Reader) -> None:
    bed.run("web")
    code, out, err = read.follow(
        lambda: until(lambda: bed.engine.reading == 1, "it is followed"),
        lambda: bed.stop("sidecar", reason="CannotStartContainerError: no such file"),
        lambda: bed.stop("web"),
    )
    why = b"Container sidecar of task 01234567 never ran: CannotStartContainerError: no such file\n"
    assert (code, out, err) == (0, b"", b"miniecs: sidecar: " + why)


@pytest.mark.parametrize("tail", [None, 0, 2])
def test_following_goes_on_where_it_was(both: Bed, read: Reader, tail: int | None) -> None:
    """The agent goes and comes back, then the server: no line is lost, and none comes twice."""
    before = {None: b"one\ntwo\n", 0: b"", 2: b"two\n"}[tail]

    def restart() -> None:
        both.stop_server()
        both.write("web", b"five\n")
        both.start_server()

    code, out, err = read.follow(
        lambda: until(lambda: both.engine.reading == 1, "it is followed"),
        lambda: both.write("web", b"three\n"),
        read.has_printed(b"three\n"),
        both.cut,
        read.has_printed(b"Going on"),
        lambda: both.write("web", b"four\n"),
        both.start_agent,
        read.has_printed(b"four\n"),
        restart,
        read.has_printed(b"five\n"),
        lambda: both.stop("web"),
        container="web",
        tail=tail,
    )
    bad = b"" if tail == 0 else b"bad\n"
    assert (code, out) == (0, before + b"three\nfour\nfive\n")
    assert err == bad + CUT.encode() + RESTARTED.encode()


def test_without_following_a_line_that_is_cut_is_a_failure(both: Bed, read: Reader) -> None:
    both.do(lambda: setattr(both, "holds_back", True))
    cutting = threading.Timer(0.3, both.cut)
    cutting.start()
    assert read.refused(container="web") == "The connection to the agent ended."
    both.start_agent()
    stopping = threading.Timer(0.3, both.stop_server)
    stopping.start()
    assert read.refused(container="web") == "The connection to the server ended."
    stopping.join()
    both.start_server()


def test_amazons_own_agent_is_not_asked_and_docker_is_named_instead(both: Bed, read: Reader) -> None:
    """1.48.1 and 1.105.1 note each of our own messages as a warning, and answer none."""
    theirs = ContainerInstance(INSTANCE, CLUSTER, agent_version="1.105.1", agent_hash="a8b3e7d3")
    both.put(theirs)
    why = (
        "Task 01234567 is run by Amazon's own ECS agent 1.105.1, which does not answer this: only miniecs's "
        "agent does. On its machine: "
    )
    assert read.refused() == why + "`docker logs docker-web` (web), `docker logs docker-sidec` (sidecar)."
    both.put(replace(theirs, agent_hash="miniecs"))
    assert read(container="web") == (0, b"one\ntwo\n", b"bad\n")
    assert both.engine.asked == [("web", False, None, False, 0)]


def test_an_agent_that_does_not_know_of_streams(
    both: Bed, read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_socket, "_ANSWER_WITHIN", 0.1)
    both.do(lambda: setattr(both, "holds_back", True))
    why = b"The agent of container instance cccccccc does not answer: only miniecs's own agent can.\n"
    assert read(container="web") == (1, b"", b"miniecs: " + why)
    until(lambda: both.agent is not None and len(both.agent) == 0, "the agent was told that it is over")


def test_many_at_once_each_get_their_own(bed: Bed) -> None:
    bed.run("web")
    bed.write("web", *(b"%d\n" % number for number in range(1000)))
    asked = {"task": ID, "kind": "logs", "containers": ["web"]}
    with contextlib.ExitStack() as stack:
        readers = [
            stack.enter_context(Streams(bed.endpoint, {**asked, "logs": {"follow": True, "tail": number}}))
            for number in range(1, 40)
        ]
        for number, reader in enumerate(readers, 1):
            lines = b"".join(b"%d\n" % line for line in range(1000 - number, 1000))
            events = reader.events()
            got = b""
            while len(got) < len(lines):
                event = next(events)
                assert isinstance(event, Data)
                got += event.data
            assert got == lines
    until(lambda: bed.engine.reading == 0, "nobody reads any more")
    assert len(bed.hub) == 0


def test_a_reader_that_does_not_read_holds_up_only_itself(bed: Bed, read: Reader) -> None:
    bed.run("web")
    lines = [b"%06d" % number + b"x" * 993 + b"\n" for number in range(3000)]
    bed.write("web", *lines)
    asked = {"task": ID, "kind": "logs", "containers": ["web"], "logs": {}}
    with Streams(bed.endpoint, asked) as idle:
        assert read(container="web") == (0, b"".join(lines), b"")
        agent = bed.agent
        assert agent is not None and len(agent) == 1
        (stream,) = agent._streams.values()
        assert stream._out.waiting <= 3 * CHUNK  # and the engine is not read on
        assert b"".join(e.data for e in idle.events() if isinstance(e, Data)) == b"".join(lines)


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}]
)
def test_a_foreign_web_page_gets_nothing(shared: Bed, headers: dict[str, str]) -> None:
    address = f"ws://127.0.0.1:{shared.port}{stream_socket.PATH}"
    with (
        pytest.raises(InvalidStatus) as refusal,
        connect(address, additional_headers=headers, proxy=None) as socket,
    ):
        socket.send(OPEN)
    assert refusal.value.response.status_code == 403


def ask(bed: Bed, *frames: str | bytes) -> tuple[int, str]:
    """The close code and reason after these frames."""
    with connect(f"ws://127.0.0.1:{bed.port}{stream_socket.PATH}", proxy=None) as socket:
        for frame in frames:
            socket.send(frame)
        with pytest.raises(ConnectionClosed):
            while True:
                socket.recv(10)
    return socket.close_code or 0, socket.close_reason or ""


ASKED = {"type": "open", "task": ID, "kind": "logs", "containers": ["web"]}
OPEN = json.dumps({**ASKED, "logs": {"follow": True}})


@pytest.mark.parametrize(
    "frame",
    [
        "{", "[]", '"x"', "1", "{}", '{"type": "what"}', '{"type": "credit"}',
        '{"type": "credit", "stream": 1, "bytes": 1}', '{"type": "credit", "stream": -1, "bytes": 1}',
        '{"type": "credit", "stream": 0, "bytes": -1}', '{"type": "credit", "stream": 0, "bytes": 1e9}',
        '{"type": "credit", "stream": 0, "bytes": 1000000}', b"", b"\7\0x", b"\0\0" + b"x" * 300_000,
    ],
)
def test_nonsense_ends_the_connection_and_its_streams(shared: Bed, frame: str | bytes) -> None:
    code, reason = ask(shared, OPEN, frame)
    assert (code, reason[:15]) == (1008, "not understood:")
    until(lambda: shared.engine.reading == 0 and len(shared.hub) == 0, "its stream has ended")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (b"x", "The first message is the request, as text."),
        (
            "{",
            "The request is not understood: it: "
            "Invalid JSON: EOF while parsing an object at line 1 column 1.",
        ),
        ("{}", "The request is not understood: type: Field required."),
        (
            '{"type": "open", "task": "x", "kind": "exec", "exec": {"command": []}}',
            "The request is not understood: exec.command: "
            "List should have at least 1 item after validation, not 0.",
        ),
        (
            '{"type": "open", "task": "x", "kind": "logs"}',
            "The request is not understood: it: Value error, kind logs wants a member logs.",
        ),
        (
            f'{{"type": "open", "task": "{ID}", "kind": "logs", "logs": {{}}, "containers": []}}',
            "Task 01234567 has no container of no name. It has web, sidecar.",
        ),
    ],
)
def test_requests_that_make_no_sense(shared: Bed, request_: str | bytes, message: str) -> None:
    with connect(f"ws://127.0.0.1:{shared.port}{stream_socket.PATH}", proxy=None) as socket:
        socket.send(request_)
        assert json.loads(socket.recv(10)) == {"type": "refused", "message": message, "lost": False}


def test_who_asks_nothing_is_let_go(shared: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_socket, "_ASK_WITHIN", 0.1)
    assert ask(shared) == (1008, "nothing was asked")


def test_a_task_that_is_dropped_ends_the_waiting(bed: Bed, read: Reader) -> None:
    def drop() -> None:
        with bed.store.transaction() as tx:
            tx.delete(Task, TASK)

    assert read.follow(
        lambda: until(lambda: bool(bed.store._listeners), "it waits"),
        lambda: bed.do(drop),
        container="web",
    ) == (1, b"", b"miniecs: The task is gone.\n")
