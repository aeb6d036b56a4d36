"""The door for everything AWS: one HTTP request in, one reply in the caller's own wire form out.

A bare ASGI callable: a framework's routing would cost as much again as all the rest of an operation. Whatever
goes wrong inside is an answer, never a dropped connection.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Container, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from miniecs.ids import Ids
from miniecs.model.frozen import replace
from miniecs.model.scope import Scope
from miniecs.store import StoreError
from miniecs_api import body as bodies
from miniecs_api.body import ClientGone, Receive
from miniecs_api.dispatch import BLOCKED, OURS, not_implemented
from miniecs_api.gate import Gate
from miniecs_api.signatures import AGENT_OPERATIONS
from miniecs_api.wire import models, protocols, query
from miniecs_api.wire.codec import Codec, codec
from miniecs_api.wire.errors import AwsError
from miniecs_api.wire.protocols import Headers, Reply
from miniecs_api.wire.protocols import Protocol as Wire
from miniecs_api.wire.recognise import Credential, Request, recognise, with_form

log = logging.getLogger("miniecs.api")

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
HttpScope = MutableMapping[str, Any]

_REGION = re.compile(r"[a-z0-9-]{1,32}")
_READS = ("Describe", "Get", "List")
_HINT_LIMIT = 4096  # clients read 64 KiB of headers at most
_UNFORWARDED = frozenset(
    {b"connection", b"content-length", b"date", b"server", b"transfer-encoding"}
    | {b"access-control-allow-origin"}  # moto lets every page read
)
_SPOKEN = {"json": (Wire.JSON_1_0, Wire.JSON_1_1), "query": (Wire.QUERY,), "smithy-rpc-v2-cbor": (Wire.CBOR,)}
_MEDIA = {
    Wire.JSON_1_0: ("application/x-amz-json-1.0", ""),
    Wire.JSON_1_1: ("application/x-amz-json-1.1", "application/json", ""),
    Wire.CBOR: ("application/cbor", ""),
}


class Outcome(Protocol):
    """What an operation answered."""

    @property
    def result(self) -> dict[str, Any]: ...

    @property
    def hints(self) -> Sequence[str]: ...


class Calls(Protocol):
    """Runs one operation in one transaction; raises AwsError for what AWS refuses."""

    def call(
        self,
        service: str,
        operation: str,
        params: dict[str, Any],
        scope: Scope,
        request_id: str,
        host: str,
    ) -> Outcome:
        """``host``: name and port under which the caller reached us."""


class RestOfAws(Protocol):
    """Whoever answers for the services that are not ours."""

    async def forward(
        self, service: str, method: str, path: str, query: str, headers: Headers, body: bytes, scope: Scope
    ) -> tuple[int, Headers, bytes]:
        """The reply to a request. Raises AwsError where there is none: NotImplemented, 501."""


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Whose account and region a caller without them is in, and what the door puts up with."""

    account: str = "000000000000"
    region: str = "us-east-1"
    bind: str = "127.0.0.1"
    allow_hosts: tuple[str, ...] = ()
    body_limit: int = 10 * 1024 * 1024
    body_timeout: float = 30.0  # seconds for a whole body


class Guard(Protocol):
    """Who knows which callers of the agents' operations are agents that may join."""

    def refuse(self, scope: HttpScope, method: str, body: bytes) -> AwsError | None: ...


class Door:
    """Answers every AWS request: with an operation of ours, with the rest of AWS, or with a clear error."""

    def __init__(
        self,
        operations: Calls,
        implemented: Container[tuple[str, str]],
        rest_of_aws: RestOfAws,
        settings: DoorSettings,
        ids: Ids,
        guard: Guard | None = None,
    ) -> None:
        self._operations = operations
        self._implemented = implemented
        self._rest_of_aws = rest_of_aws
        self._settings = settings
        self._ids = ids
        self._guard = guard
        self._gate = Gate(settings.bind, settings.allow_hosts)
        self._scopes = lru_cache(maxsize=1024)(self._scope)
        self._codecs: dict[tuple[str | None, str | None, Wire, str], Codec] = {}

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request = recognise(scope["method"], scope["path"], scope["query_string"], headers)
        request_id = self._ids.uuid()
        try:
            reply = await self._answer(scope, headers, request, request_id, receive)
        except ClientGone:
            return
        await send_reply(send, reply)

    async def _answer(
        self,
        scope: HttpScope,
        headers: dict[bytes, bytes],
        request: Request,
        request_id: str,
        receive: Receive,
    ) -> Reply:
        try:
            if refusal := self._gate.refuse(scope["method"], scope["path"], headers):
                raise refusal
            _refuse_what_a_page_can_get(scope, headers)
            declared = headers.get(b"content-length")
            body = await bodies.read(
                receive, declared, self._settings.body_limit, self._settings.body_timeout
            )
            fields: dict[str, str] = {}
            if request.protocol is Wire.QUERY and _may_be_ours(request.service):
                fields = self._fields(scope, headers, body)
                request = with_form(request, fields)
            where = self._scopes(request.credential)
            if request.service is None:
                raise _unrecognised()
            if not self._is_ours(request.service, request.operation):
                return await self._forward(scope, request, body, where)
            if request.operation in AGENT_OPERATIONS and self._guard is not None:
                if refusal := self._guard.refuse(scope, scope["method"], body):
                    raise refusal
            host = headers.get(b"host", b"").decode("latin-1")
            if request.protocol is Wire.QUERY:
                return self._ours(request, fields, where, request_id, host)
            return self._ours(request, self._unpacked(headers, body), where, request_id, host)
        except AwsError as error:
            return _failure(request, error, request_id)
        except StoreError as error:
            log.error("the store cannot do its work: %s", error)
            return _failure(request, AwsError("ServerException", str(error), 503), request_id)
        except ClientGone:
            raise
        except asyncio.CancelledError:
            # The server was told to end and has waited long enough; this is the last that is heard of it.
            text = "miniecs is shutting down, and this request was not complete."
            return _failure(request, AwsError("ServiceUnavailable", text, 503), request_id)
        except Exception:  # the last stop: a bug must still be an answer
            log.exception("%s of %s failed (request %s)", request.operation, request.service, request_id)
            text = f"This is a bug in miniecs; its log has the details under request {request_id}."
            code = "ServerException" if request.service == "ecs" else "InternalFailure"
            return _failure(request, AwsError(code, text, 500), request_id)

    def _fields(self, scope: HttpScope, headers: dict[bytes, bytes], body: bytes) -> dict[str, str]:
        """A form's fields, from the address and from the body."""
        fields = query.form(scope["query_string"])
        if scope["method"] == "GET":
            return fields
        return fields | query.form(self._unpacked(headers, body))

    def _unpacked(self, headers: dict[bytes, bytes], body: bytes) -> bytes:
        encoding = headers.get(b"content-encoding")
        return body if encoding is None else bodies.decompress(body, encoding, self._settings.body_limit)

    def _is_ours(self, service: str, operation: str | None) -> bool:
        """Whether we answer, if only to say that we cannot; else the rest of AWS does."""
        if service in OURS or service in BLOCKED:
            return True
        if service == "sts" and operation not in models.load("sts").operations:
            return True
        return (service, operation) in self._implemented

    def _scope(self, credential: Credential | None) -> Scope:
        region = credential.region if credential else None
        if region is not None and not _REGION.fullmatch(region):
            raise AwsError("InvalidSignatureException", "Credential should be scoped to a valid region.", 403)
        account = credential.account if credential else None
        return Scope(account or self._settings.account, region or self._settings.region)

    def _ours(
        self, request: Request, body: bytes | dict[str, str], scope: Scope, request_id: str, host: str
    ) -> Reply:
        key = (request.service, request.operation, request.protocol, request.content_type)
        wire = self._codecs.get(key)
        if wire is None:
            wire = self._codecs[key] = self._codec(request)
        params, unknown = wire.parse(body)
        service, operation = wire.service.name, wire.operation.name
        outcome = self._operations.call(service, operation, params, scope, request_id, host)
        reply = wire.render(outcome.result, request_id)
        if operation in AGENT_OPERATIONS:
            unknown = ()  # agents have a model of their own, with more members than the published one
        hints = [*(f"{operation} has no parameter {name!r}: ignored" for name in unknown), *outcome.hints]
        if hints:
            log.info("%s: %s", operation, " | ".join(hints))
            reply.headers.append(_hint(hints))
        return reply

    def _codec(self, request: Request) -> Codec:
        """The codec of a request to a service of ours; raises AwsError for what it cannot be asked."""
        service, operation = request.service or "", request.operation or ""
        if service in BLOCKED:
            raise not_implemented(service, operation or "this operation")
        model = models.load(service)
        spoken = [wire for name in model.protocols for wire in _SPOKEN[name]]
        media = _MEDIA.get(request.protocol)
        if request.protocol not in spoken or (media is not None and request.content_type not in media):
            forms = ", ".join(dict.fromkeys(_content_type(wire) for wire in spoken))
            given = request.content_type or "none"
            raise AwsError(
                "SerializationException", f"{service} takes requests with Content-Type {forms}, not {given}."
            )
        if operation not in model.operations:
            raise _unknown_operation(request)
        if (service, operation) not in self._implemented:
            raise not_implemented(service, operation)
        return codec(service, operation, request.protocol)

    async def _forward(self, scope: HttpScope, request: Request, body: bytes, where: Scope) -> Reply:
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        status, headers, answer = await self._rest_of_aws.forward(
            request.service or "",
            scope["method"],
            path,
            scope["query_string"].decode("latin-1"),
            list(scope["headers"]),
            body,
            where,
        )
        if status >= 500 and _is_a_web_page(headers):
            raise _failed_elsewhere(request, body, status)
        return Reply(status, [(k, v) for k, v in headers if k.lower() not in _UNFORWARDED], answer)


def _refuse_what_a_page_can_get(scope: HttpScope, headers: dict[bytes, bytes]) -> None:
    """Any page can make a browser GET an address, but not sign it; and nobody checks a signature in it."""
    if scope["method"] != "GET" or b"Action=" not in scope["query_string"] or b"authorization" in headers:
        return
    if b"X-Amz-Credential=" not in scope["query_string"]:
        raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    action = query.form(scope["query_string"]).get("Action", "")
    if not action.startswith(_READS):
        text = f"miniecs takes {action} as a POST only: any web page can make a browser GET an address."
        raise AwsError("AccessDeniedException", text, 403)


def _is_a_web_page(headers: Headers) -> bool:
    return any(k.lower() == b"content-type" and v.startswith(b"text/html") for k, v in headers)


def _failed_elsewhere(request: Request, body: bytes, status: int) -> AwsError:
    """What a client can read, for the web page that moto answers to a request it cannot deal with."""
    operation = request.operation or query.form(body).get("Action")
    if operation not in models.operation_names(request.service or ""):
        return _unknown_operation(replace(request, operation=operation))
    text = f"moto, which answers for {request.service} in miniecs, failed on {operation}; the log says why."
    return AwsError("InternalFailure", text, status)


def _may_be_ours(service: str | None) -> bool:
    """Whether a form has to be read to know who answers; all others are forwarded as they came."""
    return service is None or service == "sts" or service in OURS or service in BLOCKED


async def send_reply(send: Send, reply: Reply) -> None:
    length = (b"content-length", str(len(reply.body)).encode())
    await send({"type": "http.response.start", "status": reply.status, "headers": [*reply.headers, length]})
    await send({"type": "http.response.body", "body": reply.body})


def _content_type(wire: Wire) -> str:
    return _MEDIA[wire][0] if wire in _MEDIA else "application/x-www-form-urlencoded"


def _unknown_operation(request: Request) -> AwsError:
    name = request.operation
    if request.protocol in (Wire.QUERY, Wire.EC2):
        if not name:
            return AwsError("MissingAction", "The request must contain the parameter Action")
        return AwsError("InvalidAction", f"Could not find operation {name}")
    return AwsError("UnknownOperationException", f"{request.service} has no operation {name}")


def _unrecognised() -> AwsError:
    return AwsError(
        "MissingAuthenticationToken",
        "miniecs cannot tell which AWS service this request is for: it has no signature (an Authorization "
        "header with a credential scope), no X-Amz-Target and no Action and Version that it knows.",
    )


def _failure(request: Request, error: AwsError, request_id: str) -> Reply:
    reply = protocols.failure(request.protocol, _model(request.service), error, request_id)
    if error.hint:
        log.info("%s: %s (%s)", request.operation, error, error.hint)
        reply.headers.append(_hint([error.hint]))
    return reply


def _model(service: str | None) -> models.Service | None:
    """The model whose names an error is given in; the services that others answer for need none."""
    return models.load(service) if service in OURS or service == "sts" else None


def _hint(hints: Sequence[str]) -> tuple[bytes, bytes]:
    text = " ".join(" | ".join(hints).split())[:_HINT_LIMIT]
    return (b"x-miniecs-hint", text.encode("latin-1", "replace"))
