"""What the load balancer answers itself: error pages, fixed responses and redirects.

Source: answers of Application Load Balancers (Server: awselb/2.0, a page of 122 bytes for a 502, of 134
for a redirect), and the user guide's "Troubleshoot your Application Load Balancers" for which code is when.
"""

from __future__ import annotations

from http import HTTPStatus

# Where the load balancer's words are not RFC 9110's.
_REASONS = {
    302: "Found",
    413: "Request Entity Too Large",
    414: "Request-URI Too Large",
    408: "Request Time-out",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
    505: "HTTP Version Not Supported",
}


def reason(status: int) -> str:
    """The reason phrase; empty for the load balancer's own codes (460, 463, 464) and unknown ones."""
    if status in _REASONS:
        return _REASONS[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def answer(
    status: int,
    date: bytes,
    *,
    body: bytes | None = None,
    content_type: str = "text/html",
    close: bool = False,
    head_only: bool = False,
    server: bool = True,
    more: bytes = b"",
) -> bytes:
    """A whole response. body: None for the load balancer's own page. more: further header lines."""
    named = b"Server: awselb/2.0\r\n" if server else b""
    kept = b"close" if close else b"keep-alive"
    if body is None:
        words = f"{status} {reason(status)}".rstrip()
        body = (
            f"<html>\r\n<head><title>{words}</title></head>\r\n<body>\r\n<center><h1>{words}</h1></center>\r\n"
            "</body>\r\n</html>\r\n"
        ).encode()
    if status == 204:
        # It can have neither content nor a length.
        bare = b"HTTP/1.1 204 No Content\r\n%bDate: %b\r\nConnection: %b\r\n%b\r\n"
        return bare % (named, date, kept, more)
    head = (
        b"HTTP/1.1 %d %b\r\n%bDate: %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nConnection: %b\r\n%b\r\n"
    ) % (
        status,
        reason(status).encode(),
        named,
        date,
        content_type.encode(),
        len(body),
        kept,
        more,
    )
    return head if head_only else head + body
