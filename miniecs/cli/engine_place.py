"""Whether an engine's networks are those of the place in which we run: else no container could be reached.

A socket is a file, and is reached from where the networks behind it are not: from a container into which it
was passed, or from another network namespace.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from urllib.parse import urlsplit

from miniecs.docker_api import DockerApi, DockerApiError

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_TIMEOUT = 5.0


def is_here(host: str) -> bool:
    """True also where it cannot be told. Raises OSError and DockerApiError."""
    if (same := _in_our_namespace(host)) is not None:
        return same
    gateways = _gateways(DockerApi(host))
    return not gateways or any(_is_ours(address) for address in gateways)


def _in_our_namespace(host: str) -> bool | None:
    """Whether who listens on the socket has our networks; None where we may not know."""
    url = urlsplit(host)
    if url.scheme != "unix" or sys.platform != "linux":
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_TIMEOUT)
        probe.connect(url.path)
        told = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid = _CREDENTIALS.unpack(told)[0]
    try:
        return os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
    except OSError:
        return None  # another user's process, or one that is not in our namespace of processes: pid 0


def _gateways(api: DockerApi) -> list[str]:
    """The addresses that the default bridge has on the engine's machine; none where there is none."""
    try:
        network = api.call("GET", "/networks/bridge")
    except DockerApiError:
        return []
    configurations = (network.get("IPAM") or {}).get("Config") or ()
    return [str(each["Gateway"]).partition("/")[0] for each in configurations if each.get("Gateway")]


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
