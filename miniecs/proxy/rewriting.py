"""What the load balancer changes of a head on its way: bytes cut out and bytes put in, the rest untouched.

Put in right after the first line, as Application Load Balancers do. Cut out is what concerns one
connection only (RFC 9110, 7.6.1), and what the load balancer says itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from miniecs.proxy.grammar import CHUNKED, REQUEST_FIELDS, RESPONSE_FIELDS, Request, Response

MAX_FORWARDED = 30
"""Addresses in X-Forwarded-For; with more the answer is a 463."""

_FIELD = re.compile(rb"([^:\r\n]+):[ \t]*([^\r]*)\r\n")
_VALID_NAME = re.compile(rb"[-A-Za-z0-9]+").fullmatch
_ROOT = re.compile(rb"(?:^|;)\s*(?i:root)=").search

# A Connection header must not take away what requests are routed, framed, authorised or traced by.
_PROTECTED = frozenset(
    b"host content-length transfer-encoding cookie authorization x-forwarded-for x-forwarded-proto "
    b"x-forwarded-port x-amzn-trace-id content-type set-cookie date".split()
)
# Options that name no field of their own.
_WORDS = frozenset((b"keep-alive", b"close", b"upgrade", b"te", b""))
_KEPT = (b"host", b"content-length")
_CHUNKED = b"Transfer-Encoding: chunked\r\n"  # always in these words, so that all read the same in it


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """What of a load balancer's and a listener's attributes changes heads."""

    port: int = 80
    scheme: str = "http"
    xff_mode: str = "append"
    xff_client_port: bool = False
    drop_invalid: bool = False
    server_header: bool = True
    response_headers: tuple[tuple[str, str], ...] = ()
    changes_responses: bool = False  # by either of the two above

    def client_name(self, address: str, port: int) -> bytes:
        """A client as X-Forwarded-For names it."""
        if not self.xff_client_port:
            return address.encode()
        return f"[{address}]:{port}".encode() if ":" in address else f"{address}:{port}".encode()

    def forwarded(self, client: bytes) -> bytes:
        """The X-Forwarded headers of a request that brought no X-Forwarded-For."""
        first = b"X-Forwarded-For: %b\r\n" % client if self.xff_mode == "append" else b""
        return first + self.forwarded_rest()

    def forwarded_rest(self) -> bytes:
        return f"X-Forwarded-Proto: {self.scheme}\r\nX-Forwarded-Port: {self.port}\r\n".encode()


def addresses_in(request: Request, data: bytes) -> int:
    """How many addresses its X-Forwarded-For headers name."""
    if request.plain:
        return 0
    fields = REQUEST_FIELDS.findall(data, request.line_end - 1, request.end)
    return sum(value.count(b",") + 1 for name, value in fields if name.lower() == b"x-forwarded-for")


def rewritten_request(
    request: Request, data: bytes, settings: HeadSettings, client: bytes, trace: bytes
) -> bytes:
    """The head as a target gets it. client: its name; trace: a fresh trace id, without ``Root=``."""
    chain: list[bytes] = []
    traces: list[bytes] = []
    options: list[bytes] = []
    kept: list[bytes] = []
    at = request.line_end
    # The finder begins at the line feed before a field and ends at the carriage return after it.
    for found in REQUEST_FIELDS.finditer(data, request.line_end - 1, request.end):
        name, value = found[1].lower(), found[2].strip(b" \t")
        if name in _KEPT and not (name == b"host" and request.authority is not None):
            continue
        kept.append(data[at : found.start() + 1])
        at = found.end() + 1
        if name == b"x-forwarded-for":
            chain.append(value)
        elif name == b"x-amzn-trace-id":
            traces.append(value)
        elif name == b"connection":
            options += [option.strip(b" \t").lower() for option in value.split(b",")]
    kept.append(data[at : request.end])
    fields = _without(b"".join(kept), frozenset(options) - _PROTECTED - _WORDS, settings.drop_invalid)
    return b"".join((_first_line(request), *_added(request, settings, client, trace, chain, traces), fields))


def _first_line(request: Request) -> bytes:
    query = b"" if request.query is None else b"?" + request.query
    return b"%b %b%b HTTP/1.1\r\n" % (request.method, request.path, query)


def _added(
    request: Request,
    settings: HeadSettings,
    client: bytes,
    trace: bytes,
    chain: list[bytes],
    traces: list[bytes],
) -> list[bytes]:
    added: list[bytes] = []
    if settings.xff_mode == "append":
        added.append(b"X-Forwarded-For: %b\r\n" % b", ".join([*filter(None, chain), client]))
    elif settings.xff_mode == "preserve":
        added += [b"X-Forwarded-For: %b\r\n" % value for value in chain]
    added.append(settings.forwarded_rest())
    if request.authority is not None:
        added.append(b"Host: %b\r\n" % request.authority)
    given = traces[0] if traces else b""
    if not given:
        added.append(b"X-Amzn-Trace-Id: Root=%b\r\n" % trace)
    else:
        ours = b"Self" if _ROOT(given) else b"Root"
        added.append(b"X-Amzn-Trace-Id: %b=%b;%b\r\n" % (ours, trace, given))
    if request.upgrade:
        added.append(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
    if request.length == CHUNKED:
        added.append(_CHUNKED)
    return added


def _without(fields: bytes, names: frozenset[bytes], drop_invalid: bool) -> bytes:
    """Fields (with the empty line that ends them) without those named, or whose names are not plain."""
    if not names and not drop_invalid:
        return fields
    kept = [
        found[0]
        for found in _FIELD.finditer(fields)
        if found[1].lower() not in names and not (drop_invalid and not _VALID_NAME(found[1]))
    ]
    return b"".join(kept) + b"\r\n"


def rewritten_response(
    response: Response, data: bytes, settings: HeadSettings, added: bytes, *, old_client: bool
) -> bytes:
    """The head as a client gets it. old_client: of HTTP/1.0, to which no chunks are sent."""
    options: list[bytes] = []
    kept: list[bytes] = []
    at = response.line_end
    for found in RESPONSE_FIELDS.finditer(data, response.line_end - 1, response.end):
        name = found[1].lower()
        if name == b"content-length" and response.status != 204:  # RFC 9110, 8.6: a 204 has none
            continue
        kept.append(data[at : found.start() + 1])
        at = found.end() + 1
        if name == b"connection":
            options += [option.strip(b" \t").lower() for option in found[2].split(b",")]
    kept.append(data[at : response.end])
    names = frozenset(options) - _PROTECTED - _WORDS
    if response.length == CHUNKED and response.status != 204 and not old_client:
        added += _CHUNKED
    if settings.changes_responses:
        names |= {name.lower().encode() for name, _ in settings.response_headers}
        names |= frozenset() if settings.server_header else {b"server"}
        added += "".join(f"{name}: {value}\r\n" for name, value in settings.response_headers).encode()
    return b"HTTP/1.1" + data[8 : response.line_end] + added + _without(b"".join(kept), names, False)
