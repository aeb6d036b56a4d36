"""The control plane's side of moto: starts the child at its first use, forwards, restarts it when it died."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from miniecs.ids import Ids
from miniecs.model.scope import Scope
from miniecs_api.wire.errors import AwsError

log = logging.getLogger("miniecs.rest")

_START_TIMEOUT = 60.0  # seconds; importing moto takes one or two on a quiet machine
_CALL_TIMEOUT = 120.0
# What belongs to one connection and not to the request; the child gets its own.
_HOP_BY_HOP = frozenset({b"connection", b"transfer-encoding", b"content-length", b"keep-alive", b"expect"})

# What we say to the child ourselves, and no client may.
_OURS = (b"x-miniecs-", b"x-moto-")


class Moto:
    """Forwards requests to moto, keeping each account's and region's resources apart.

    What moto was told is kept in a journal in the data folder and told again after a restart.
    """

    def __init__(self, journal: Path, ids: Ids) -> None:
        self._journal = journal
        self._ids = ids
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._client: httpx.AsyncClient | None = None

    async def forward(
        self,
        method: str,
        path: str,
        query: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        scope: Scope,
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """moto's answer: status, headers, body. Raises AwsError NotImplemented for what moto lacks too."""
        theirs = [(name, value) for name, value in headers if not name.lower().startswith(_OURS)]
        return await self._send(method, path, query, theirs, body, scope)

    async def tell_networks(self, scope: Scope, adopted: Mapping[str, Any]) -> dict[str, Any]:
        """All networks of the account and region, once moto has those that were adopted too."""
        credential = f"miniecs/20000101/{scope.region}/ec2/aws4_request"
        headers = [
            (b"authorization", f"AWS4-HMAC-SHA256 Credential={credential}, Signature=none".encode()),
            (b"x-miniecs-asks", b"networks"),
        ]
        status, _, answer = await self._send("POST", "/", "", headers, json.dumps(adopted).encode(), scope)
        if status != 200:
            raise RuntimeError(f"moto's networks were not told: {status} {answer[:500]!r}")
        everything: dict[str, Any] = json.loads(answer)
        return everything

    async def _send(
        self,
        method: str,
        path: str,
        query: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        scope: Scope,
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        client = await self._running()
        sent = [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
        sent.append((b"x-moto-account-id", scope.account.encode()))
        url = path + (f"?{query}" if query else "")
        try:
            answer = await client.request(method, url, headers=sent, content=body)
        except httpx.HTTPError as problem:
            raise AwsError(
                "ServiceUnavailable",
                f"The emulator of the other AWS services did not answer: {problem!r}. Call again; "
                "it is restarted with what it was told.",
                503,
            ) from problem
        if answer.headers.get("x-miniecs-unknown"):
            raise AwsError("NotImplemented", answer.text, 501)
        return answer.status_code, answer.headers.raw, answer.content

    async def reset(self) -> None:
        """Forget everything, journal included. The child is ended; the next call starts a new one."""
        async with self._starting:
            await self._end()
            self._journal.unlink(missing_ok=True)

    async def close(self) -> None:
        async with self._starting:
            await self._end()

    async def _running(self) -> httpx.AsyncClient:
        async with self._starting:
            if self._process is not None and self._process.returncode is not None:
                log.warning("the emulator of the other AWS services ended; starting it again")
                await self._end()
            if self._client is None:
                await self._start()
            assert self._client is not None
            return self._client

    async def _start(self) -> None:
        secret = self._ids.secret()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "miniecs_api.rest.child",
            str(self._journal),
            stdin=asyncio.subprocess.PIPE,  # its end is how the child learns that we are gone
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "MINIECS_REST_SECRET": secret},
        )
        self._process = process
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                line = await process.stdout.readline()
            ready: dict[str, Any] = json.loads(line)
        except (TimeoutError, ValueError) as problem:
            await self._end()
            raise AwsError(
                "ServiceUnavailable",
                "The emulator of the other AWS services (moto) did not start; the server's log says why.",
                503,
            ) from problem
        if ready["failed"]:
            log.warning(
                "%d of %d remembered calls could not be repeated: %s",
                len(ready["failed"]),
                ready["replayed"],
                "; ".join(ready["failed"][:5]),
            )
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{ready['port']}",
            headers={"x-miniecs-secret": secret},
            timeout=_CALL_TIMEOUT,
            trust_env=False,
        )

    async def _end(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        await process.wait()
