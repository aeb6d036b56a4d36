"""The server process: uvicorn on uvloop around the composition, and the errors a person can mend."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn
from uvicorn.config import LOGGING_CONFIG

from miniecs import __version__
from miniecs.config import ServerSettings
from miniecs.serve.collector import spare_the_collector
from miniecs.serve.server import Server
from miniecs.store import StoreError

USER_MISTAKE = 2
_BACKLOG = 1024
_LARGEST_MESSAGE = 4 * 1024 * 1024  # bytes of one websocket message
_KEEP_ALIVE = 65  # seconds; longer than SDKs pause between calls, or a call meets a connection that just ends
_LAST_ANSWERS = 5  # seconds that requests which are being answered have when the server is told to end


def main(settings: ServerSettings) -> int:
    """Serve until SIGTERM or SIGINT. 0: ended as asked; 2: could not start, and said why on stderr."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every call to moto
    try:
        listener = _listen(settings)
    except OSError as problem:
        return _refuse(
            f"cannot listen on {settings.bind}:{settings.port}: {problem.strerror or problem}. "
            "Choose another with --port, or end what uses it."
        )
    try:
        Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
        _run(Server(settings), listener)
    except (OSError, StoreError) as problem:
        listener.close()
        return _refuse(str(problem))
    return 0


def _run(server: Server, listener: socket.socket) -> None:
    if sys.platform == "win32":
        asyncio.run(_serve(server, listener))
    else:
        import uvloop

        uvloop.run(_serve(server, listener))


def _refuse(why: str) -> int:
    print(f"miniecs: {why}", file=sys.stderr)
    return USER_MISTAKE


def _listen(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.bind, settings.port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _end(server: Server, http: uvicorn.Server) -> None:
    server.end()
    http.should_exit = True


def _is_no_refusal(record: logging.LogRecord) -> bool:
    """uvicorn takes a websocket handshake that an HTTP status answered for one that was forgotten."""
    return record.msg != "ASGI callable returned without completing handshake."


async def _serve(server: Server, listener: socket.socket) -> None:
    config = uvicorn.Config(
        server.app,
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=_LARGEST_MESSAGE,
        ws_per_message_deflate=False,  # costs memory for every agent
        lifespan="off",
        access_log=False,
        proxy_headers=False,  # nobody stands before us, and nobody may say where he comes from
        log_config={**LOGGING_CONFIG, "loggers": {}},
        log_level="warning",
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_LAST_ANSWERS,
    )
    http = uvicorn.Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, server, http)
    logging.getLogger("uvicorn.error").addFilter(_is_no_refusal)
    server.start()
    spare_the_collector()
    running = Path(server.settings.data_dir) / "server.json"
    running.write_text(json.dumps({"pid": os.getpid(), "endpoint": server.endpoint, "version": __version__}))
    try:
        await http._serve([listener])
    finally:
        running.unlink(missing_ok=True)
        await server.close()
