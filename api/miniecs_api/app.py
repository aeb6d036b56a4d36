"""The outermost ASGI callable: the AWS door, miniecs's own pages under /_miniecs/, the agents' websockets.

The pages are a FastAPI app of their own, made at their first use: importing FastAPI takes as long and as much
memory as all else that the server needs to answer its first AWS request. Health and reset, which every start
and every test suite call, are answered without it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Container, Mapping
from typing import Any, Protocol

import orjson

from miniecs.ids import Ids
from miniecs_api.body import Receive
from miniecs_api.dispatch import registry
from miniecs_api.door import Calls, Door, DoorSettings, Guard, HttpScope, RestOfAws, Send, send_reply
from miniecs_api.gate import Gate
from miniecs_api.wire.protocols import Reply

log = logging.getLogger("miniecs.api")

ASGIApp = Callable[[HttpScope, Receive, Send], Awaitable[None]]

_OWN = "/_miniecs/"


class Admin(Protocol):
    """What can be done to the server as a whole."""

    def health(self) -> Mapping[str, Any]:
        """At least status, version and runtime."""

    async def reset(self, restore: bool) -> None:
        """Stop every task and wipe all state of all accounts and regions; then bring back what `up` made."""


def create_app(
    operations: Calls,
    rest_of_aws: RestOfAws,
    admin: Admin,
    settings: DoorSettings,
    *,
    implemented: Container[tuple[str, str]] | None = None,
    ids: Ids | None = None,
    pages: Callable[[], ASGIApp] | None = None,
    websockets: Mapping[str, ASGIApp] | None = None,
    guard: Guard | None = None,
) -> ASGIApp:
    """The whole server, with the operations that exist unless ``implemented`` says otherwise.

    ``pages`` makes the app of the other paths under /_miniecs/ when one is first asked for; ``websockets``
    are the websocket apps by the path prefixes that they own ("/ws"); ``guard`` checks the callers of agents'
    operations.
    """
    functions = registry() if implemented is None else implemented
    door = Door(operations, functions, rest_of_aws, settings, ids or Ids(), guard)
    return _App(door, admin, Gate(settings.bind, settings.allow_hosts), pages, dict(websockets or {}))


class _App:
    def __init__(
        self,
        door: Door,
        admin: Admin,
        gate: Gate,
        pages: Callable[[], ASGIApp] | None,
        websockets: dict[str, ASGIApp],
    ) -> None:
        self._door = door
        self._admin = admin
        self._gate = gate
        self._make_pages = pages
        self._pages: ASGIApp | None = None
        self._websockets = websockets

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http" if not scope["path"].startswith(_OWN):
                await self._door(scope, receive, send)
            case "http":
                await self._own(scope, receive, send)
            case "websocket":
                await self._websocket(scope, receive, send)
            case "lifespan":
                await _lifespan(receive, send)

    async def _own(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if refusal := self._gate.refuse(method, path, dict(scope["headers"])):
            await send_reply(send, _json(403, {"message": refusal.message}))
        elif path == _OWN + "health":
            await send_reply(send, self._health(method))
        elif path == _OWN + "reset":
            await send_reply(send, await self._reset(method, scope["query_string"]))
        elif self._make_pages is not None:
            if self._pages is None:
                self._pages = self._make_pages()
            await self._pages(scope, receive, send)
        else:
            await send_reply(send, _json(404, {"message": f"There is no {path} in miniecs."}))

    def _health(self, method: str) -> Reply:
        if method not in ("GET", "HEAD"):
            return _wrong_method("GET")
        return _json(200, self._admin.health())

    async def _reset(self, method: str, query: bytes) -> Reply:
        if method != "POST":
            return _wrong_method("POST")
        wanted = {b"": False, b"restore=false": False, b"restore=true": True}
        if query not in wanted:
            return _json(400, {"message": "reset takes no parameter but restore=true or restore=false."})
        try:
            await self._admin.reset(wanted[query])
        except Exception as error:  # the last stop: a bug must still be an answer
            log.exception("reset failed")
            return _json(500, {"message": f"The reset failed: {error}"})
        return _json(200, {"status": "reset", "restored": wanted[query]})

    async def _websocket(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if self._gate.refuse("GET", scope["path"], headers) is None:
            for prefix, app in self._websockets.items():
                if scope["path"] == prefix or scope["path"].startswith(prefix + "/"):
                    await app(scope, receive, send)
                    return
        # Closed before it was accepted: the client gets a 403.
        await send({"type": "websocket.close", "code": 1008})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        phase = (await receive())["type"]
        await send({"type": f"{phase}.complete"})
        if phase == "lifespan.shutdown":
            return


def _json(status: int, content: Mapping[str, Any]) -> Reply:
    return Reply(status, [(b"content-type", b"application/json")], orjson.dumps(content))


def _wrong_method(right: str) -> Reply:
    reply = _json(405, {"message": f"Use {right} here."})
    reply.headers.append((b"allow", right.encode()))
    return reply
