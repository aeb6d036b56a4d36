"""The test bed itself: what the other tests here take for granted."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import docker.errors
import pytest
import requests

from .daemon import Daemon, Engine, running_on
from .engine_proxy import EngineProxy
from .netns import Namespace
from .waiting import NotReached, until

MARK = f"miniecs-test-bed={os.getpid()}"


@pytest.fixture
def through(engine_proxy: EngineProxy) -> Iterator[Engine]:
    """A client of the session's engine that passes the proxy."""
    client = Engine(engine_proxy.url)
    yield client
    client.close()


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """A container's name, which is free afterwards."""
    name = f"miniecs-test-bed-{os.getpid()}"
    yield name
    with contextlib.suppress(docker.errors.NotFound):
        engine.client.containers.get(name).remove(force=True)


def test_one_worker_has_all_tests_of_a_module(request: pytest.FixtureRequest) -> None:
    """They share clusters, engines and names of containers."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@docker test_bed")


def _aside(call: Any) -> tuple[threading.Thread, list[Any]]:
    """The call on a thread of its own, and what came of it."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except (docker.errors.DockerException, requests.RequestException) as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def test_one_image_has_a_shell_and_the_other_has_none(
    engine: Engine, busybox: str, no_shell: str, name: str
) -> None:
    run = engine.client.containers.run
    assert run(busybox, ["sh", "-c", "echo $((6 * 7))"], remove=True) == b"42\n"
    assert run(no_shell, ["sleep", "0"], remove=True) == b""
    with pytest.raises(docker.errors.APIError, match="executable file not found"):
        run(no_shell, ["sh", "-c", "true"], name=name)


def test_an_engine_of_its_own_lives_in_its_own_network(
    engine: Engine, second_engine: Daemon, host: Namespace
) -> None:
    assert second_engine.client.info()["ID"] != engine.client.info()["ID"]
    server = second_engine.client.containers.run(
        "busybox:latest",
        ["sh", "-c", "echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp"],
        detach=True,
        ports={"80/tcp": 8099},
    )
    # Its ports are published on the namespace's address, and not on this machine's.
    page = f"http://{host.address}:8099/index.html"
    assert until("the page", lambda: _got(page)) == "hello\n"
    with pytest.raises(requests.ConnectionError):
        requests.get("http://127.0.0.1:8099/", timeout=5)
    server.remove(force=True)


def _got(url: str) -> str:
    try:
        return requests.get(url, timeout=5).text
    except requests.ConnectionError:
        return ""


def test_an_engine_may_be_frozen_killed_and_started_again(host: Namespace) -> None:
    daemon = Daemon(netns=host.name, options=["--live-restore"])
    try:
        daemon.start()
        pid = daemon.pid
        daemon.freeze()
        assert daemon.pid == pid
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(0.3)
            probe.connect(str(daemon.folder / "docker.sock"))
            probe.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(TimeoutError):
                probe.recv(1)
        daemon.thaw()
        assert daemon.answers()
        daemon.kill()
        assert not daemon.answers()
        daemon.start()
        assert daemon.pid != pid
        (daemon.folder / "dockerd.pid").write_text(str(os.getpid()))  # as after a reboot: somebody else's
        daemon.kill()
        daemon.start()
    finally:
        daemon.remove()
    assert not running_on(daemon.folder)
    assert not daemon.folder.exists()


def test_a_daemon_that_cannot_start_says_why() -> None:
    daemon = Daemon(options=["--no-such-option"])
    with pytest.raises(NotReached, match="unknown flag: --no-such-option"):
        daemon.start()
    daemon.remove()


# The proxy


def test_what_is_dropped_before_the_engine_never_happened(
    engine: Engine, busybox: str, through: Engine, engine_proxy: EngineProxy, name: str
) -> None:
    hold = engine_proxy.hold(r"POST /containers/create")
    thread, outcome = _aside(lambda: through.client.containers.create(busybox, name=name))
    assert str(hold.reached()) == f"POST /containers/create?name={name}"
    hold.release(forward=False)
    thread.join(10)
    assert isinstance(outcome[0], requests.ConnectionError)
    with pytest.raises(docker.errors.NotFound):
        engine.client.containers.get(name)


def test_what_is_dropped_after_the_engine_has_happened(
    engine: Engine, busybox: str, through: Engine, engine_proxy: EngineProxy, name: str
) -> None:
    hold = engine_proxy.hold(r"POST /containers/create", "after")
    thread, outcome = _aside(lambda: through.client.containers.create(busybox, name=name))
    hold.reached()
    assert engine.client.containers.get(name).status == "created"
    assert not outcome
    hold.release(forward=False)
    thread.join(10)
    assert isinstance(outcome[0], requests.ConnectionError)


def test_what_is_let_go_goes_on_as_if_nothing_had_been(
    busybox: str, through: Engine, engine_proxy: EngineProxy, name: str
) -> None:
    hold = engine_proxy.hold(r"POST /containers/[^/]+/start", "after")
    thread, outcome = _aside(
        lambda: through.client.containers.run(busybox, ["cat"], name=name, detach=True, stdin_open=True)
    )
    hold.reached()
    hold.release()
    thread.join(10)
    container = outcome[0]
    # Hijacked connections pass: a command's output, multiplexed or as it is.
    assert container.exec_run(["sh", "-c", "echo to; echo and >&2"], demux=True).output == (b"to\n", b"and\n")
    assert len(engine_proxy.asked(r"POST /containers/[^/]+/start")) == 1


def test_a_cut_ends_what_is_open_and_refuses_what_is_new(through: Engine, engine_proxy: EngineProxy) -> None:
    thread, outcome = _aside(lambda: list(through.client.events(filters={"label": MARK})))
    until("the events to be asked for", lambda: engine_proxy.asked("GET /events"))
    engine_proxy.cut()
    thread.join(10)
    assert not thread.is_alive()
    assert outcome
    assert not through.answers()
    engine_proxy.heal()
    assert through.answers()


def test_a_lie_is_told_until_it_is_over(through: Engine, engine_proxy: EngineProxy) -> None:
    with engine_proxy.lies(r"GET /version", 200, b'{"Version": "1.2.3", "ApiVersion": "1.15"}'):
        assert through.client.version() == {"Version": "1.2.3", "ApiVersion": "1.15"}
    assert through.client.version()["Version"] != "1.2.3"
