"""Real web servers as targets: what they do with connections that they keep, and how they read what we write.

Those that a machine has are used: two come with Python's packages, nginx and Apache with the system's.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from miniecs.proxy.core import Limits

from .bed import WITHIN, Backend, Bed, Wire, bed, eventually, free_port, run, table

pytestmark = pytest.mark.slow

GET = b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /file HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"PUT /file HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
LINES = "content " * 2000

PYTHON = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 1.0
    def do_GET(self):
        with open(sys.argv[2], "a") as log:
            print(self.path, self.headers.get("X-Amzn-Trace-Id"), file=log)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "16000")
        self.end_headers()
        self.wfile.write(b"content " * 2000)
    do_POST = do_GET
    def log_message(self, *args): pass
class Server(ThreadingHTTPServer):
    request_queue_size = 128
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

UVICORN = """
import sys, uvicorn
async def app(scope, receive, send):
    traces = [value.decode() for name, value in scope["headers"] if name == b"x-amzn-trace-id"]
    with open(sys.argv[2], "a") as log:
        print(scope["path"], *traces, file=log)
    while (await receive()).get("more_body"): pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(20):
        await send({"type": "http.response.body", "body": b"content " * 100, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), timeout_keep_alive=1, log_level="error",
            lifespan="off", http="h11", ws="none")
"""

NGINX = """
{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log;
events {{ worker_connections 512; }}
http {{
  log_format seen "$request $http_x_amzn_trace_id"; access_log {folder}/requests seen;
  keepalive_timeout 1s; keepalive_requests 50;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port}; root {folder}; error_page 405 =200 /file;
    location / {{ if ($request_method = PUT) {{ return 204; }} }}
  }}
}}
"""

APACHE = """
ServerRoot {folder}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
Listen 127.0.0.1:{port}
ServerName a
PidFile {folder}/pid
Mutex sem
ErrorLog {folder}/log
LogFormat "%r %{{X-Amzn-Trace-Id}}i" seen
CustomLog {folder}/requests seen
KeepAliveTimeout 1
MaxKeepAliveRequests 50
DocumentRoot {folder}
<Directory {folder}>
  Require all granted
</Directory>
"""
MODULES = Path("/usr/lib/apache2/modules")


@dataclass
class Kind:
    """A server. chunked: what it reads in that coding. command: made of a folder and a port."""

    name: str
    command: Callable[[Path, int], list[str]]
    chunked: bool = True

    def __str__(self) -> str:
        return self.name


def _python(code: str) -> Callable[[Path, int], list[str]]:
    return lambda folder, port: [sys.executable, "-c", code, str(port), str(folder / "requests")]


def _nginx(folder: Path, port: int) -> list[str]:
    user = "" if os.getuid() else "user root;"  # who alone can read pytest's folders
    (folder / "conf").write_text(NGINX.format(folder=folder, port=port, user=user))
    return ["nginx", "-c", str(folder / "conf"), "-e", str(folder / "log")]


def _apache(folder: Path, port: int) -> list[str]:
    (folder / "conf").write_text(APACHE.format(folder=folder, port=port, modules=MODULES))
    return ["apache2", "-X" if os.getuid() else "-DFOREGROUND", "-f", str(folder / "conf")]


def _needs(program: str, package: str) -> pytest.MarkDecorator:
    """CI installs it; elsewhere a run says that it did without."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{package} is not installed")


KINDS = [
    pytest.param(Kind("http.server", _python(PYTHON), chunked=False), id="http.server"),
    pytest.param(Kind("uvicorn", _python(UVICORN)), id="uvicorn"),
    pytest.param(Kind("nginx", _nginx), id="nginx", marks=_needs("nginx", "nginx-light")),
    pytest.param(Kind("apache", _apache), id="apache", marks=_needs("apache2", "apache2-bin")),
]


@contextmanager
def started(kind: Kind, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    (folder / "file").write_text(LINES)
    process = subprocess.Popen(kind.command(folder, port), stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


@asynccontextmanager
async def targeted(kind: Kind, folder: Path, proxies: int = 1) -> AsyncIterator[list[Bed]]:
    """Proxies before the server, once it answers."""
    port = free_port()
    async with AsyncExitStack() as stack:
        stack.enter_context(started(kind, folder, port))
        made = []
        for _ in range(proxies):
            it = await stack.enter_async_context(bed(limits=Limits()))
            await it.apply(table(Backend(port=port), port=it.places[0].port))
            made.append(it)
        async with asyncio.timeout(WITHIN):
            while not (await made[0].get("/file")).startswith(b"HTTP/1.1 200 "):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        yield made


async def load(
    it: Bed, requests: tuple[bytes, ...], pauses: tuple[float, ...], seconds: float
) -> Counter[bytes]:
    """The codes of a client's requests over a connection that is kept."""
    codes: Counter[bytes] = Counter()
    dice = random.Random(it.address[0])
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    async with it.client() as wire:
        while loop.time() < end:
            wire.send(dice.choice(requests))
            codes[await answered(wire)] += 1
            await asyncio.sleep(dice.choice(pauses))
    return codes


async def answered(wire: Wire) -> bytes:
    """The code of one answer, which was read to its end."""
    head = (await asyncio.wait_for(wire.reader.readuntil(b"\r\n\r\n"), WITHIN)).lower()
    if b"transfer-encoding: chunked" in head:
        while (size := int(await wire.reader.readuntil(b"\r\n"), 16)) or not await wire.reader.readexactly(2):
            await wire.reader.readexactly(size + 2)
    else:
        found = [line for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
        await wire.reader.readexactly(int(found[0].partition(b":")[2]) if found else 0)
    return head[9:12]


BURSTS = (0.0, 0.0, 0.0, 0.01, 0.3)
TO_THE_EDGE = tuple(number / 50 for number in range(25, 65))  # a server closes after a second


@pytest.mark.parametrize("kind", KINDS)
def test_no_request_fails_because_a_server_closes_idle_connections(kind: Kind, tmp_path: Path) -> None:
    async def test() -> None:
        # Each proxy has a pool of its own: in one that many share no connection is idle for long.
        async with targeted(kind, tmp_path / "server", 20) as beds:
            requests = (GET, POST, CHUNKED) if kind.chunked else (GET, POST)
            loads = [load(it, requests, BURSTS if it is beds[0] else TO_THE_EDGE, 8.0) for it in beds]
            codes = sum(await asyncio.gather(*loads), Counter())
            assert all(code < b"500" for code in codes) and codes.total() > 150, codes
            for it in beds:
                (one,) = it.proxy._groups["group"].targets.values()
                assert not one.busy and one.counts.connection_errors == 0

    run(test())


EVIL = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
BODIES = (
    b"",
    EVIL,
    b"0\r\n\r\n" + EVIL,
    b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVIL), EVIL),
    b"5\r\nhello\r\n0\r\nContent-Length: 5\r\nX: y\r\n\r\n" + EVIL,
    b"5;a=b\r\nhello\r\n00;\xff\r\n\r\n" + EVIL,
    b"5\nhello\n0\n\n" + EVIL,
    b"5\r\nhello0\r\n\r\n" + EVIL,
    b"0x5\r\nhello\r\n0\r\n\r\n" + EVIL,
    b"0_5\r\nhello\r\n0\r\n\r\n" + EVIL,
    b"1" + b"0" * 16 + b"5\r\nhello\r\n0\r\n\r\n" + EVIL,
    b"-1\r\n\r\n" + EVIL,
    b"5;a\nhello\r\n0\r\n\r\n" + EVIL,
    b"5 \r\nhello\r\n0 \r\n\r\n" + EVIL,
    b"2\r\nab\r\n0\r\nX: y\n\r\n" + EVIL,
)
FIRST = (
    b"POST /file HTTP/1.1",
    b"GET /file?x HTTP/1.1",
    b"PUT //file HTTP/1.1",
    b"POST http://b/file HTTP/1.1",
    b"POST /file HTTP/1.0",
    b"POST /file HTTP/1.1 ",
    b"POST  /file HTTP/1.1",
    b"POST /fi\xfele HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"HEAD /file HTTP/1.1",
    b"CONNECT /file HTTP/1.1",
    b"post /file HTTP/1.1",
)
FIELDS = (
    b"Content-Length: %d",
    b"content-length:%d",
    b"Content-Length:\t%d\t ",
    b"Content-Length: 00%d",
    b"Content-Length : %d",
    b"Content-Length: %d, %d",
    b"Content-Length: +%d",
    b"Content_Length: %d",
    b"Content-Length: %d\x0b",
    b"Content-Length: 0x%x",
    b"Content-Length: %d.0",
    b"Content-Length:\r\n %d",
    b"X: y\nContent-Length: %d",
    b"X: y\rContent-Length: %d",
    b"Content-Length\x00: %d",
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding:chunked",
    b"transfer-encoding:\tCHUNKED \t",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: ,chunked",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: chunked;a=b",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding:",
    b"Transfer_Encoding: chunked",
    b" Transfer-Encoding: chunked",
    b"X: y\r\n Transfer-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"X: y\x00\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\x00",
    b"Transfer-Encoding: chun\xfeked",
    b"TE: chunked",
    b"Connection: Content-Length",
    b"Connection: close, Transfer-Encoding, Host",
    b"Connection: keep-alive, X",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    b"Connection: Upgrade\r\nUpgrade: websocket",
    b"Expect: 100-continue",
    b"Trailer: Content-Length",
    b"Host: b",
    b"Keep-Alive: max=1",
    b"X: y",
)


def shape(dice: random.Random) -> bytes:
    """A request that someone may misread, and what follows it."""
    body = dice.choice(BODIES)
    lines = [dice.choice(FIRST[:4] if dice.random() < 0.7 else FIRST), b"Host: a"]
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3))):
        field = dice.choice(FIELDS)
        count = field.count(b"%d") + field.count(b"%x")
        lines.append(field % ((len(body),) * count))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize("kind", KINDS)
def test_no_server_takes_for_a_request_what_the_proxy_did_not(kind: Kind, tmp_path: Path) -> None:
    """Every request that the proxy passes on has a trace id; one that was smuggled has none."""

    async def test() -> None:
        dice = random.Random(4)
        async with targeted(kind, tmp_path / "server") as (it,):
            accepted = 0
            for _ in range(600):
                async with it.client() as wire:
                    wire.send(shape(dice))
                    wire.writer.write_eof() if dice.random() < 0.1 else None
                    with suppress(TimeoutError, ConnectionResetError):
                        async with asyncio.timeout(0.02):
                            accepted += (await wire.reader.read(9000)).startswith(b"HTTP/1.1 2")
                async with it.client() as wire:  # over the same connection to the server, where it was kept
                    wire.send(GET)
                    assert await answered(wire) == b"200"
            assert accepted > 50
        seen = (tmp_path / "server" / "requests").read_text().splitlines()
        # nginx refuses these by their first line, and reads no header of them.
        unread = ("OPTIONS * HTTP/1.1 -", "post /file HTTP/1.1 -")
        smuggled = [line for line in seen if "Root=1-" not in line and line not in unread]
        assert len(seen) > 600 and not smuggled, smuggled

    run(test())


def test_websockets_both_ways_with_large_and_fragmented_messages() -> None:
    async def test() -> None:
        sizes = (0, 1, 125, 126, 65_535, 65_536, 3_000_000)
        ended: list[tuple[int | None, str | None]] = []

        async def echo(socket: ServerConnection) -> None:
            async for message in socket:
                await socket.send(message)
            ended.append((socket.close_code, socket.close_reason))

        async def fragments(body: bytes) -> AsyncIterator[bytes]:
            for at in range(0, len(body), 100_000):
                yield body[at : at + 100_000]

        async with serve(echo, "127.0.0.1", 0, max_size=None) as server, bed() as it:
            port = server.sockets[0].getsockname()[1]
            await it.apply(table(Backend(port=port), port=it.places[0].port))
            host, listening = it.address
            url = f"ws://{host}:{listening}/socket"

            async def talk(number: int) -> None:
                async with connect(url, max_size=None, proxy=None) as socket:
                    dice = random.Random(number)
                    for size in sizes:
                        body = dice.randbytes(size)
                        await socket.send(body)
                        assert await socket.recv() == body
                        await socket.send(body.hex())
                        assert await socket.recv() == body.hex()
                    body = dice.randbytes(2_000_000)
                    sending = asyncio.create_task(socket.send(fragments(body)))
                    assert await socket.recv() == body
                    await sending
                    await (await socket.ping())
                    await socket.close(1000, f"enough of {number}")

            await asyncio.gather(*(talk(number) for number in range(4)))
            await eventually(lambda: len(ended) == 4, "the server to see the ends")
            assert sorted(ended) == [(1000, f"enough of {number}") for number in range(4)]
            (one,) = it.proxy._groups["group"].targets.values()
            await eventually(lambda: not one.connections and not it.proxy._clients["listener"], "the ends")

    run(test())
