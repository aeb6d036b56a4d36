"""HTTP/1.1 heads, read strictly: one pass of a compiled grammar says whether all of a head is well formed.

A load balancer and its targets must agree where each message ends, or one client's bytes become
another's request. So there is one reading of a head or none: whatever RFC 9112 lets a recipient
repair (bare line feeds, folded lines, spaces before the colon, two lengths) is refused. The grammar is
a regular expression because its engine is C: a head costs a microsecond. Possessive repeats keep the
time linear.
Limits: Application Load Balancer quotas, "HTTP headers" (request line and single header 16 K, all
headers 64 K; a response's headers 32 K).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

MAX_LINE = 16 * 1024
MAX_REQUEST_HEAD = 64 * 1024
MAX_RESPONSE_HEAD = 32 * 1024

CHUNKED = -1
"""As a body's length: it says itself where it ends."""
UNTIL_CLOSE = -2
"""As a response body's length: it ends with the connection."""

_NAME = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*+"
_FIELDS = rb"(?:" + _NAME + rb":" + _VALUE + rb"\r\n)*+\r\n"
_METHOD = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}+"

# The rare forms of a target: absolute, asterisk, authority.
_ANY_REQUEST = re.compile(rb"((" + _METHOD + rb') ([!-"$-~\x80-\xff]++) HTTP/1\.([01])\r\n)' + _FIELDS).match
_ABSOLUTE = re.compile(
    rb'(?i:https?)://([^/?#@\x00-\x20\x7f]+)(/[!-"$->@-~\x80-\xff]*+)?(?:\?([!-"$-~\x80-\xff]*+))?'
).fullmatch
_OTHER_VERSION = re.compile(_METHOD + rb" \S+ HTTP/[0-9]\.[0-9]\r\n").match
_RESPONSE = re.compile(
    rb"(HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*+)?\r\n)" + _FIELDS
).match
_UNFINISHED = re.compile(rb"(?:[\t\x20-\x7e\x80-\xff]++|\r\n)*+\r?").fullmatch

_HOST = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]*").fullmatch
_LENGTH = re.compile(rb"[0-9]{1,18}").fullmatch


def _no_case(text: str) -> str:
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else re.escape(c) for c in text)


def _any_of(names: Iterable[str]) -> str:
    """Any of the names in any case: by first letter, as a search tree, which is quicker than a flag."""
    by_letter: dict[str, list[str]] = {}
    for name in names:
        by_letter.setdefault(name[0], []).append(name[1:])
    return "|".join(
        f"{_no_case(letter)}(?:{'|'.join(map(_no_case, rests))})" for letter, rests in by_letter.items()
    )


def _finder(names: Iterable[str]) -> re.Pattern[bytes]:
    """Finds fields by name: (name, value and the blanks after it). Begins at the line feed before it."""
    return re.compile(rf"\n({_any_of(names)}):[ \t]*([^\r]*)\r".encode())


# What of a message's fields concerns a proxy.
_REQUEST_NAMES = (
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "keep-alive",
    "proxy-connection",
    "http2-settings",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-amzn-trace-id",
)
_RESPONSE_NAMES = (
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "upgrade",
    "trailer",
)
REQUEST_FIELDS = _finder(_REQUEST_NAMES)
RESPONSE_FIELDS = _finder(_RESPONSE_NAMES)
_find_request_fields = REQUEST_FIELDS.findall
_find_response_fields = RESPONSE_FIELDS.findall


def _others(names: Iterable[str], kept_alive: str = "") -> bytes:
    """Any fields that concern no proxy; ``Connection: keep-alive``, which changes nothing, is one."""
    keep = f"({kept_alive}{_no_case('connection')}: ?{_no_case('keep-alive')}\r\n)".encode()
    named = f"(?!(?:{_any_of(names)}):)".encode()
    return rb"(?:" + named + _NAME + rb":" + _VALUE + rb"\r\n|" + keep + rb")*+"


# Most messages: all that concerns a proxy in them is one Host, or one Content-Length. The same grammar as
# above in one pass which also finds that field.
_usual_request = re.compile(
    rb"((?!TRACE |CONNECT )("
    + _METHOD
    + rb') (/[!-"$->@-~\x80-\xff]*+)(?:\?([!-"$-~\x80-\xff]*+))? HTTP/1\.1\r\n)'
    + _others(_REQUEST_NAMES, "?:")
    + f"{_no_case('host')}: ?".encode()
    + rb"([A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]*+)\r\n"
    + _others(_REQUEST_NAMES, "?:")
    + rb"\r\n"
).match
# Groups: first line, status, length; Connection: keep-alive where it stood, before or after the length.
usual_response = re.compile(
    rb"(HTTP/1\.1 ([2-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*+)?\r\n)"
    + _others(_RESPONSE_NAMES)
    + f"{_no_case('content-length')}: ?([0-9]{{1,18}}+)\r\n".encode()
    + _others(_RESPONSE_NAMES)
    + rb"\r\n"
).match


class Refusal(NamedTuple):
    """Why a request is not taken: the load balancer's status, and words for the log."""

    status: int
    why: str


class Request:
    """A request's head. Offsets are into the bytes that it was read from. What is rare is the class's."""

    minor = b"1"
    length = 0  # of the body, or CHUNKED
    plain = True  # nothing in it needs to be changed or taken out
    close = False  # the client wants no further request on its connection
    expects = False  # 100-continue
    upgrade = False  # to websocket
    authority: bytes | None = None  # of an absolute-form target

    def __init__(
        self, method: bytes, path: bytes, query: bytes | None, host: bytes, line_end: int, end: int
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.host = host
        self.line_end = line_end
        self.end = end


def read_request(data: bytes) -> Request | Refusal | None:
    """The head at the start of data; None when it is not all there yet, and so far nothing is wrong."""
    found = _usual_request(data)
    if found is None:
        return _rare_request(data)
    line, method, path, query, host = found.groups()
    request = Request(method, path, query, host, len(line), found.end())
    if request.end > MAX_LINE and (refusal := _too_long(data, request)):
        return refusal
    return request


def _rare_request(data: bytes) -> Request | Refusal | None:
    found = _ANY_REQUEST(data)
    if found is None:
        return _not_a_request(data)
    line, method, target, minor = found.groups()
    line_end, end = len(line), found.end()
    if method in (b"CONNECT", b"TRACE"):
        return Refusal(405, "its method is not for load balancers")
    if target.startswith(b"/"):
        path, separator, query = target.partition(b"?")
        request = Request(method, path, query if separator else None, b"", line_end, end)
    elif target == b"*" and method == b"OPTIONS":
        request = Request(method, b"*", None, b"", line_end, end)
    elif (absolute := _ABSOLUTE(target)) is not None:
        authority, path, query = absolute.groups()
        if not _HOST(authority):
            return Refusal(400, "its target names no host")
        request = Request(method, path or b"/", query, b"", line_end, end)
        request.authority = authority
        request.plain = False
    else:
        return Refusal(400, "its target is none of the forms that there are")
    if minor == b"0":
        request.minor = minor
    return _too_long(data, request) or _with_fields(
        request, _find_request_fields(data, line_end - 1, request.end)
    )


def _too_long(data: bytes, request: Request) -> Refusal | None:
    if request.line_end > MAX_LINE:
        return Refusal(414, "its first line exceeds 16 K")
    if request.end > MAX_REQUEST_HEAD:
        return Refusal(400, "its headers exceed 64 K")
    if any(len(line) > MAX_LINE for line in data[request.line_end : request.end].split(b"\r\n")):
        return Refusal(400, "one of its headers exceeds 16 K")
    return None


def _not_a_request(data: bytes) -> Refusal | None:
    """Which refusal, or None where more bytes may make it a request."""
    end_of_line = data.find(b"\r\n")
    if (end_of_line if end_of_line >= 0 else len(data)) > MAX_LINE:
        return Refusal(414, "its first line exceeds 16 K")
    other = _OTHER_VERSION(data)
    if other is not None and not data[: other.end() - 3].endswith(b" HTTP/1."):
        return Refusal(505, "its version is not HTTP/1.0 or HTTP/1.1")
    if b"\r\n\r\n" in data:
        return Refusal(400, "its head is malformed")
    if len(data) > MAX_REQUEST_HEAD:
        return Refusal(400, "its headers exceed 64 K")
    if not _UNFINISHED(data) or data[:1] in (b" ", b"\t", b":"):
        return Refusal(400, "its head is malformed")
    return None


def unfinished(data: bytes, known: int, limit: int = MAX_REQUEST_HEAD) -> bool:
    """True when more bytes may make data a head, of which the first ``known`` bytes were found so before.

    It looks at the others only: a head that comes byte by byte costs no more than those bytes.
    """
    if data.find(b"\r\n\r\n", max(known - 3, 0)) >= 0 or len(data) > limit:
        return False
    if len(data) > MAX_LINE and data.find(b"\r\n", 0, MAX_LINE + 2) < 0:
        return False
    start = known - 1 if data[known - 1 : known] == b"\r" else known
    return _UNFINISHED(data, start) is not None


def _with_fields(request: Request, fields: list[tuple[bytes, bytes]]) -> Request | Refusal:
    """What the fields say; anything about the body that could be read in two ways is refused."""
    hosts: list[bytes] = []
    lengths: list[bytes] = []
    codings: list[bytes] = []
    options: list[bytes] = []
    upgrades: list[bytes] = []
    for name, value in fields:
        name, value = name.lower(), value.rstrip(b" \t")
        if name == b"host":
            hosts.append(value)
            continue
        request.plain = request.plain and name == b"content-length"
        if name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value)
        elif name == b"connection":
            options += [option.strip(b" \t").lower() for option in value.split(b",")]
        elif name == b"upgrade":
            upgrades.append(value.lower())
        elif name == b"expect":
            if value.lower() != b"100-continue":
                return Refusal(417, "it expects what there is not")
            request.expects = request.minor == b"1"
    if len(hosts) > 1 or (not hosts and request.minor == b"1") or not all(map(_HOST, hosts)):
        return Refusal(400, "it has not one Host header")
    request.host = request.authority or (hosts[0] if hosts else b"")
    if request.minor == b"0":
        request.plain = False
        request.close = b"keep-alive" not in options
    request.close = request.close or b"close" in options
    refusal = _measure(request, lengths, codings)
    if refusal is not None:
        return refusal
    if b"upgrade" in options and upgrades == [b"websocket"] and request.minor == b"1":
        request.upgrade = request.method == b"GET" and request.length == 0
    return request


def _measure(request: Request, lengths: list[bytes], codings: list[bytes]) -> Refusal | None:
    if codings:
        if lengths or request.minor == b"0":
            return Refusal(400, "it has a length beside a transfer coding, or one that its version has not")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            return Refusal(501, "its transfer coding is not chunked")
        request.length = CHUNKED
    elif lengths:
        if len(lengths) > 1 or not _LENGTH(lengths[0]):
            return Refusal(400, "its length is not one number")
        request.length = int(lengths[0])
    return None


class Response:
    """A response's head. Offsets are into the bytes that it was read from. What is rare is the class's."""

    plain = True  # no field needs to be taken out
    close = False  # the target's connection is not to be used again
    keep_alive = 0  # seconds for which the target keeps an idle connection, 0: not said
    upgrade = False

    def __init__(self, status: int, length: int, says_keep_alive: bool, line_end: int, end: int) -> None:
        self.status = status
        self.length = length  # of the body as the fields tell it, CHUNKED or UNTIL_CLOSE
        self.says_keep_alive = says_keep_alive  # has that one Connection field, and is plain with it
        self.line_end = line_end
        self.end = end


_keep_alive = re.compile(rb"(?i:timeout)=([0-9]{1,6})").search


def read_response(data: bytes) -> Response | str | None:
    """The head at the start of data, None when it is not all there yet, or words for what is wrong."""
    found = usual_response(data)
    if found is not None and found.end() <= MAX_RESPONSE_HEAD:
        line, status, before, length, after = found.groups()
        kept = before is not None or after is not None
        return Response(int(status), int(length), kept, len(line), found.end())
    found = _RESPONSE(data)
    if found is None:
        if b"\r\n\r\n" in data or not _UNFINISHED(data) or b"HTTP/1."[: len(data)] != data[:7]:
            return "its head is malformed"
        return "its headers exceed 32 K" if len(data) > MAX_RESPONSE_HEAD else None
    line, minor, status = found.groups()
    response = Response(int(status), UNTIL_CLOSE, False, len(line), found.end())
    response.close = minor == b"0"
    if response.end > MAX_RESPONSE_HEAD:
        return "its headers exceed 32 K"
    return _answered(response, _find_response_fields(data, response.line_end - 1, response.end))


def _answered(response: Response, fields: list[tuple[bytes, bytes]]) -> Response | str:
    lengths: list[bytes] = []
    codings: list[bytes] = []
    options: list[bytes] = []
    for name, value in fields:
        name, value = name.lower(), value.rstrip(b" \t")
        if name == b"content-length":
            lengths.append(value)
            continue
        if name == b"transfer-encoding":
            codings.append(value)
            continue
        response.plain = False
        if name == b"connection":
            options += [option.strip(b" \t").lower() for option in value.split(b",")]
        elif name == b"keep-alive" and (timeout := _keep_alive(value)):
            response.keep_alive = int(timeout[1])
        elif name == b"upgrade":
            response.upgrade = value.lower() == b"websocket"
    response.close = b"close" in options or (response.close and b"keep-alive" not in options)
    response.upgrade = response.upgrade and b"upgrade" in options
    if codings:
        if lengths or len(codings) > 1 or codings[0].lower() != b"chunked":
            return "its length can be read in two ways"
        response.length = CHUNKED
    elif lengths:
        if len(lengths) > 1 or not _LENGTH(lengths[0]):
            return "its length is not one number"
        response.length = int(lengths[0])
    return response


_finders: dict[bytes, Callable[..., list[tuple[bytes, bytes]]]] = {}


def values_of(head: bytes, name: bytes) -> list[bytes]:
    """The values of a field of a head that was read, in order; name in lower case."""
    find = _finders.get(name)
    if find is None:
        find = _finders[name] = _finder((name.decode("latin-1"),)).findall
    return [value.rstrip(b" \t") for _, value in find(head)]
