"""Who may call at all: not the web pages that the user's browser happens to show.

Anything on this machine may use miniecs, and so may a page that this machine serves. A foreign page is told
by its Origin, or by Sec-Fetch-Site where it sends none; one whose name was rebound to 127.0.0.1 by its Host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from miniecs_api.wire.errors import AwsError


class Gate:
    """Checks Host and Origin against loopback, the bind address and the names that the user allowed."""

    def __init__(self, bind: str, allowed: Iterable[str]) -> None:
        self._bind = bind.lower()
        self._allowed = frozenset(name.lower().rstrip(".") for name in allowed)
        self._knows = lru_cache(maxsize=256)(self._is_ours)
        self._may_serve = lru_cache(maxsize=256)(self._is_page_of_ours)

    def refuse(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> AwsError | None:
        """Why the request is not to be answered, or None when it is."""
        host = headers.get(b"host", b"")
        if not self._knows(host):
            name = host.decode("latin-1")
            return _denied(
                f"miniecs answers under the names of this machine, and this request is for {name!r}. If that "
                f"is a name of this machine, start miniecs with --allow-host {_bare(name) or 'NAME'}."
            )
        origin = headers.get(b"origin")
        if origin is not None and not self._may_serve(_host_of(origin), host):
            name = origin.decode("latin-1")
            return _denied(
                f"miniecs does not answer web pages of other sites, and this request comes from {name!r}. If "
                "that site is yours, start miniecs with --allow-host and its name."
            )
        if headers.get(b"sec-fetch-site") == b"cross-site" and not _is_link_to_a_page(method, path, headers):
            return _denied("miniecs does not answer web pages of other sites.")
        return None

    def _is_ours(self, host: bytes) -> bool:
        name = _bare(host.decode("latin-1"))
        if name is None:
            return False
        # Only names can be rebound: who listens on every address answers to every address.
        return self._is_named(name) or (self._bind in ("0.0.0.0", "::") and _address(name) is not None)

    def _is_page_of_ours(self, origin: bytes, host: bytes) -> bool:
        """Whether a page is this machine's. Anybody's page can have an address for its name, so one that is
        not known to be ours must be the address that the page calls, too."""
        name = _bare(origin.decode("latin-1"))
        if name is None:
            return False
        return self._is_named(name) or (self._knows(origin) and name == _bare(host.decode("latin-1")))

    def _is_named(self, name: str) -> bool:
        """Whether it is this machine, whoever says so."""
        if name == "localhost" or name.endswith(".localhost") or name in self._allowed or name == self._bind:
            return True
        address = _address(name)
        return address is not None and address.is_loopback


def _denied(text: str) -> AwsError:
    return AwsError("AccessDeniedException", text, 403)


def _is_link_to_a_page(method: str, path: str, headers: Mapping[bytes, bytes]) -> bool:
    """Following a link from somewhere else to the console is harmless: reading it changes nothing."""
    return (
        method == "GET" and path.startswith("/_miniecs/") and headers.get(b"sec-fetch-dest") == b"document"
    )


def _host_of(origin: bytes) -> bytes:
    _, _, host = origin.partition(b"://")
    return host  # nothing for "null", which sandboxed frames and files send


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


def _bare(host: str) -> str | None:
    """The name or address of a Host header, without port and brackets; None when it is not one."""
    try:
        parts = urlsplit(f"//{host}")
        parts.port  # noqa: B018 - raises for what is no port
    except ValueError:
        return None
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return parts.hostname.rstrip(".") if parts.hostname else None
