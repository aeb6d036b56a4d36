"""The process: its table outlives a kill -9, its file says where it listens, SIGTERM ends it in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import pytest

from miniecs.model.routing import RoutingTable
from miniecs.proxy.table_file import Kept, load, save

from .bed import Backend, free_port, table

pytestmark = pytest.mark.slow

CODE = "import sys; from pathlib import Path; from miniecs.proxy.main import run; "
CODE += "run(Path(sys.argv[1]), 'http://127.0.0.1:1', '')"  # a server that is away
WITHIN = 20.0


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def target() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def answers(port: int) -> bool:
    try:
        with build_opener(ProxyHandler({})).open(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return bool(answer.read() == b"ok")
    except (URLError, OSError):
        return False


def until_answers(port: int) -> float:
    began = time.monotonic()
    while not answers(port):
        assert time.monotonic() - began < WITHIN, "waited for the proxy to answer"
        time.sleep(0.005)
    return time.monotonic() - began


@contextmanager
def process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A proxy on a folder; killed in the end if it still lives. Addresses are reserved beside the folder."""
    environment = {**os.environ, "TMPDIR": str(folder.parent)}
    made = subprocess.Popen([sys.executable, "-c", CODE, str(folder)], env=environment)
    try:
        yield made
    finally:
        made.kill()
        made.wait()


def test_it_serves_its_last_table_after_a_kill(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    with target() as backend:
        ports = {folder: free_port() for folder in (ours, theirs)}
        told = {folder: table(Backend("one", port=backend), port=port) for folder, port in ports.items()}
        for folder in (ours, theirs):
            folder.mkdir()
            save(folder / "proxy-table.json", Kept(told[folder]))
        with process(ours) as first:
            until_answers(ports[ours])
            said = json.loads((ours / "proxy.json").read_text())
            (place,) = said["listeners"]
            assert said["pid"] == first.pid
            assert (place["alias"], place["problem"]) == (f"127.0.0.1:{ports[ours]}", "")
        with process(theirs):
            until_answers(ports[theirs])  # and has an address of its own, the first that it finds free
            with process(ours) as second:
                took = until_answers(ports[ours])
                assert json.loads((ours / "proxy.json").read_text())["listeners"] == [place]
                second.send_signal(signal.SIGTERM)
                assert second.wait(WITHIN) == 0
        assert not (ours / "proxy.json").exists()
        assert load(ours / "proxy-table.json").table == told[ours]
        # A second is asked for; a machine that runs other tests at the same time is given some more.
        assert took < (1.0 if os.getloadavg()[0] < 1 else 10.0)


def test_a_file_that_is_not_understood_is_not_used(tmp_path: Path) -> None:
    for body in (
        b"",
        b"{",
        b"[]",
        b'{"table": {}}',
        b'{"table": {"x": 1}, "numbers": {}}',
        b'{"numbers": []}',
    ):
        (tmp_path / "t.json").write_bytes(body)
        assert load(tmp_path / "t.json") == Kept()
    assert load(tmp_path / "absent") == Kept()


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    kept = Kept(table(Backend(port=1), port=2), {"balancer": 7})
    save(tmp_path / "t.json", kept)
    save(tmp_path / "t.json", kept)
    assert load(tmp_path / "t.json") == kept
    assert [file.name for file in tmp_path.iterdir()] == ["t.json"]
    with pytest.raises(OSError):
        save(tmp_path / "no" / "t.json", Kept(RoutingTable()))
