"""`miniecs exec`: a command in a running container, with this terminal when there is one."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from io import BytesIO
from select import select
from threading import Thread
from typing import Any, BinaryIO

from miniecs.cli.client import connect
from miniecs.cli.folder import DataFolder
from miniecs.cli.output import print_json
from miniecs.cli.problem import Problem
from miniecs.cli.streams import Data, Lost, Streams

_PIECE = 32 * 1024


def execute(
    folder: DataFolder,
    task: str,
    command: list[str],
    *,
    cluster: str | None,
    container: str | None,
    as_json: bool,
) -> int:
    """Run it; its exit code. As JSON its output is part of the one document. Raises Problem."""
    there = sys.stdin is not None
    terminal = there and not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    request = {
        "task": task,
        "cluster": cluster,
        "containers": None if container is None else [container],
        "kind": "exec",
        "exec": {"command": command, "tty": terminal, "stdin": there, **(_size() if terminal else {})},
    }
    kept = (BytesIO(), BytesIO())
    with Streams(connect(folder).endpoint, request) as streams:
        with _input(streams, terminal) if there else contextlib.nullcontext():
            code = _output(streams, kept if as_json else (sys.stdout.buffer, sys.stderr.buffer))
    if as_json:
        out, error = (part.getvalue().decode(errors="replace") for part in kept)
        print_json({"exitCode": code, "stdout": out, "stderr": error})
    return code


def _output(streams: Streams, outputs: tuple[BinaryIO, BinaryIO]) -> int:
    try:
        for event in streams.events():
            if isinstance(event, Data):
                out = outputs[event.error]
                out.write(event.data)
                out.flush()
            elif event.lost:
                raise Lost(f"{event.error} The command may still be running in its container.")
            elif event.error is not None:
                raise Problem(event.error)
            elif event.exit_code is not None:
                return event.exit_code
    except Lost as problem:
        raise Problem(str(problem)) from problem
    raise Problem("The command ended, and its engine did not tell its exit code.")


@contextlib.contextmanager
def _input(streams: Streams, terminal: bool) -> Iterator[None]:
    """Standard input goes to the command, from a thread of its own; so do the terminal's sizes."""
    woken, wake = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, wake)  # which ends the thread
        if terminal:
            stack.enter_context(_raw())

            def resized(number: int, frame: Any) -> None:
                os.write(wake, b"r")

            stack.enter_context(_handling(resized, signal.SIGWINCH))
        Thread(target=_feed, args=(streams, woken), daemon=True).start()
        yield


def _feed(streams: Streams, woken: int) -> None:
    source = sys.stdin.fileno()
    sources = [source, woken]
    with open(woken, "rb", buffering=0) as wakes:
        while True:
            ready, _, _ = select(sources, [], [])
            if woken in ready:
                if not wakes.read(64):
                    return
                streams.resize(**_size())
            if source in ready:
                data = os.read(source, _PIECE)
                if not streams.write(data):
                    return
                if not data:
                    sources.remove(source)


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Keys go to the command as they are typed, Ctrl-C too; the terminal is as before in the end."""
    source = sys.stdin.fileno()
    before = termios.tcgetattr(source)

    def end(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    with _handling(end, signal.SIGTERM, signal.SIGHUP):
        try:
            tty.setraw(source, termios.TCSADRAIN)  # what was typed meanwhile is for the command
            yield
        finally:
            termios.tcsetattr(source, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _handling(handler: Callable[[int, Any], None], *signals: signal.Signals) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


def _size() -> dict[str, int]:
    size = os.get_terminal_size(sys.stdout.fileno())
    return {"rows": size.lines, "columns": size.columns}
