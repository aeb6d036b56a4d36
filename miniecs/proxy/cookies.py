"""The cookies that bind a client to a target group's target, or to one of a rule's target groups.

Source: user guide, "Sticky sessions": AWSALB and AWSALBTG, each with a second one for other origins.
"""

from __future__ import annotations

from email.utils import formatdate

from miniecs.proxy.grammar import Request, values_of

TARGET = b"AWSALB"
GROUP = b"AWSALBTG"


def cookie_of(request: Request, data: bytes, name: bytes) -> bytes | None:
    """The value of a cookie of the request: the plain one's, else that of its CORS twin."""
    found: dict[bytes, bytes] = {}
    for header in values_of(data[request.line_end - 1 : request.end], b"cookie"):
        for part in header.split(b";"):
            key, _, value = part.strip(b" \t").partition(b"=")
            found.setdefault(key, value)
    return found.get(name) or found.get(name + b"CORS")


def set_cookie(name: bytes, token: bytes, seconds: int, now: float) -> bytes:
    """The two Set-Cookie lines."""
    expires = formatdate(now + seconds, usegmt=True).encode()
    return (
        b"Set-Cookie: %b=%b; Expires=%b; Path=/\r\n"
        b"Set-Cookie: %bCORS=%b; Expires=%b; Path=/; SameSite=None\r\n"
        % (name, token, expires, name, token, expires)
    )
