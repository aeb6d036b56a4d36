"""Slow and obvious readings of what the proxy reads fast, to compare with."""

from __future__ import annotations

TOKEN = set(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
HOST = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+,;=:[]")


def head_of(data: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], int] | None:
    """(first line, fields with lower-case names, where the head ends); None unless whole and well formed."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = data[:end].split(b"\r\n")
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or not set(name) <= TOKEN:
            return None
        if any((byte < 0x20 and byte != 9) or byte == 0x7F for byte in value):
            return None
        fields.append((name.lower(), value.strip(b" \t")))
    return first, fields, end + 4


def values(fields: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for each, value in fields if each == name]


def options(fields: list[tuple[bytes, bytes]]) -> list[bytes]:
    return [o.strip(b" \t").lower() for v in values(fields, b"connection") for o in v.split(b",")]


def length_of(fields: list[tuple[bytes, bytes]], absent: int, old: bool) -> int | None:
    """The body's length, -1 for chunked; None where it can be read in two ways or not at all."""
    lengths, codings = values(fields, b"content-length"), values(fields, b"transfer-encoding")
    if codings:
        if lengths or old or len(codings) > 1 or codings[0].lower() != b"chunked":
            return None
        return -1
    if lengths:
        one = lengths[0]
        if len(lengths) > 1 or not one or len(one) > 18 or not set(one) <= set(b"0123456789"):
            return None
        return int(one)
    return absent


def request(data: bytes) -> dict[str, object] | None:
    """What a request says, None where it is not a whole one or is to be refused. Origin-form targets only."""
    head = head_of(data)
    if head is None:
        return None
    first, fields, end = head
    parts = first.split(b" ")
    if len(parts) != 3 or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        return None
    method, target, version = parts
    if not method or not set(method) <= TOKEN or len(method) > 64 or method in (b"TRACE", b"CONNECT"):
        return None
    if not target.startswith(b"/") or any(byte < 0x21 or byte in (0x23, 0x7F) for byte in target):
        return None
    hosts = values(fields, b"host")
    old = version == b"HTTP/1.0"
    if len(hosts) > 1 or (not hosts and not old) or not all(set(host) <= HOST for host in hosts):
        return None
    length = length_of(fields, 0, old)
    expects = values(fields, b"expect")
    if length is None or any(each.lower() != b"100-continue" for each in expects):
        return None
    path, question, query = target.partition(b"?")
    close = b"close" in options(fields) or (old and b"keep-alive" not in options(fields))
    return {
        "method": method,
        "path": path,
        "query": query if question else None,
        "host": hosts[0] if hosts else b"",
        "length": length,
        "close": close,
        "end": end,
    }


def response(data: bytes) -> dict[str, object] | None:
    """What a response says, None where it is not a whole one or is to be refused."""
    head = head_of(data)
    if head is None:
        return None
    first, fields, end = head
    version, status, reason = first[:9], first[9:12], first[12:]
    if version not in (b"HTTP/1.1 ", b"HTTP/1.0 ") or len(status) != 3:
        return None
    if not status.isdigit() or status[:1] not in b"12345":
        return None
    if reason and not reason.startswith(b" "):
        return None
    if any((byte < 0x20 and byte != 9) or byte == 0x7F for byte in reason):
        return None
    length = length_of(fields, -2, False)
    if length is None:
        return None
    close = b"close" in options(fields) or (version == b"HTTP/1.0 " and b"keep-alive" not in options(fields))
    return {"status": int(status), "length": length, "close": close, "end": end}


def chunked(body: bytes) -> tuple[bytes, bytes] | str:
    """(the data, what comes after the body) of a chunked body; else that it is bad, or has more to come."""
    data = b""
    while True:
        line, end, rest = body.partition(b"\r\n")
        if not end:
            return "more"
        size, extended, extension = line.partition(b";")
        size = size.rstrip(b" \t") if extended else size
        if not 0 < len(size) < 16 or not set(size) <= set(b"0123456789abcdefABCDEF") or _control(extension):
            return "bad"
        count = int(size, 16)
        if not count:
            break
        if not b"\r\n".startswith(rest[count : count + 2]):
            return "bad"
        if len(rest) < count + 2:
            return "more"
        data += rest[:count]
        body = rest[count + 2 :]
    while True:
        line, end, rest = rest.partition(b"\r\n")
        if not end:
            return "more"
        if not line:
            return data, rest
        name, colon, value = line.partition(b":")
        if not colon or not name or not set(name) <= TOKEN or _control(value):
            return "bad"


def _control(text: bytes) -> bool:
    return any((byte < 0x20 and byte != 9) or byte == 0x7F for byte in text)


def like(text: str, pattern: str) -> bool:
    """Wildcards by trying everything; a backslash before * ? or \\ makes it plain."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(like(text[skipped:], pattern[1:]) for skipped in range(len(text) + 1))
    if pattern[0] == "?":
        return bool(text) and like(text[1:], pattern[1:])
    if pattern[0] == "\\" and pattern[1:2] in ("*", "?", "\\"):
        pattern = pattern[1:]
    return text[:1] == pattern[0] and like(text[1:], pattern[1:])
