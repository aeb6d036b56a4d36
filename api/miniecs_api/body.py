"""Reading a request's body to its end, within limits of size and time.

A refusal leaves the connection open: the server drops what still comes, where closing it on unread bytes
would reset it, and the client would never see why.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from miniecs_api.wire.errors import AwsError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGone(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


async def read(receive: Receive, declared: bytes | None, limit: int, seconds: float) -> bytes:
    """The whole body. Raises AwsError for what is too large or too slow, ClientGone for what is cut off."""
    if declared is not None and (not declared.isdigit() or int(declared) > limit):
        raise _too_large(limit)
    try:
        with _Deadline(seconds):
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                body: bytes = message.get("body", b"")
                if len(body) > limit:
                    raise _too_large(limit)
                return body
            return await _rest(message, receive, limit)
    except TimeoutError:
        text = f"The request's body was not complete after {seconds:g} seconds."
        raise AwsError("RequestTimeout", text, 408) from None


class _Deadline:
    """asyncio.timeout for what nearly always is there at once: a third of its cost, which every request pays.

    Not for code that may itself be cancelled and go on: whoever is cancelled in here has failed.
    """

    __slots__ = ("_expired", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expired = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(loop)
        self._timer = loop.call_later(self._seconds, self._expire)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._timer.cancel()
        if self._expired and kind is asyncio.CancelledError and self._task is not None:
            self._task.uncancel()
            raise TimeoutError

    def _expire(self) -> None:
        self._expired = True
        if self._task is not None:
            self._task.cancel()


async def _rest(message: MutableMapping[str, Any], receive: Receive, limit: int) -> bytes:
    parts = bytearray()
    while message["type"] == "http.request":
        parts += message.get("body", b"")
        if len(parts) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return bytes(parts)
        message = await receive()
    raise ClientGone


def decompress(body: bytes, encoding: bytes, limit: int) -> bytes:
    """The body as it was before Content-Encoding. A small one that unpacks to a huge one is refused."""
    if encoding in (b"", b"identity"):
        return body
    if encoding != b"gzip":
        name = encoding.decode("latin-1")
        raise AwsError("SerializationException", f"Content-Encoding {name!r} is not supported; gzip is.")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise AwsError("SerializationException", f"The request body is not valid gzip: {error}") from None
    if len(unpacked) > limit:
        raise _too_large(limit)
    if not unpacker.eof:
        raise AwsError("SerializationException", "The request body is not valid gzip: it is cut off")
    return unpacked


def _too_large(limit: int) -> AwsError:
    text = f"The request's body is larger than {limit} bytes, the most that miniecs takes."
    return AwsError("RequestEntityTooLarge", text, 413)
