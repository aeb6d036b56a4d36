"""The websocket of the proxy's link, at /proxy: only from this machine, and only this data folder's proxy."""

from __future__ import annotations

import logging

from miniecs_api.data_plane import DataPlane, ProxyLink
from miniecs_api.sockets import POLICY_VIOLATION, Receive, Send, Socket, SocketScope, is_here, peer, refuse

log = logging.getLogger("miniecs.proxy")

_LONGEST_REASON = 123  # bytes in a close frame


class ProxyChannel:
    """The websocket app."""

    def __init__(self, data_plane: DataPlane) -> None:
        self._data_plane = data_plane

    async def __call__(self, scope: SocketScope, receive: Receive, send: Send) -> None:
        if not is_here(scope):
            log.warning("refused a proxy at %s: it must run on this machine", peer(scope))
            await refuse(receive, send, 403, {"message": "The proxy must run on the server's own machine."})
            return
        socket = Socket(receive, send, "The proxy")

        def hang_up(why: str) -> None:
            socket.hang_up(POLICY_VIOLATION, why.encode()[:_LONGEST_REASON].decode(errors="ignore"))

        link = ProxyLink(self._data_plane, socket.put_text, hang_up)
        try:
            await socket.run(link.receive)
        finally:
            link.closed()
