"""Client tokens of RunTask and CreateService: what a call made that may come a second time.

A token counts in its cluster and for its operation, for a day. What is kept of the call is a digest of its
parameters, so that another call under the same token is noticed, whatever has become of what the first made.
Source: ECS API reference, "Ensuring idempotency".
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from miniecs.model.cluster import Cluster, IdempotencyRecord
from miniecs_api.context import Context

_LIFE = 24 * 3600.0


def known(ctx: Context, cluster: Cluster, operation: str, token: str | None) -> IdempotencyRecord | None:
    """What is remembered of the call that came first under this token."""
    if token is None:
        return None
    record = ctx.tx.get(IdempotencyRecord, _record(ctx, cluster, operation, token).key)
    return record if record is not None and record.expires_at > ctx.now else None


def is_same_call(record: IdempotencyRecord, params: dict[str, Any]) -> bool:
    return record.parameters_digest == _digest(params)


def remember(
    ctx: Context, cluster: Cluster, operation: str, params: dict[str, Any], made: tuple[str, ...]
) -> None:
    """Keep what the call has made, if it has a token. made: ARNs."""
    token = params.get("clientToken")
    if token is not None and made:
        ctx.tx.put(_record(ctx, cluster, operation, token, _digest(params), made))


def _record(
    ctx: Context, cluster: Cluster, operation: str, token: str, digest: str = "", made: tuple[str, ...] = ()
) -> IdempotencyRecord:
    return IdempotencyRecord(
        ctx.scope, operation, token, digest, made, ctx.now + _LIFE, cluster=cluster.name
    )


def _digest(params: dict[str, Any]) -> str:
    """Without the cluster, which may be named or not: the token counts in one alone."""
    asked = {name: value for name, value in params.items() if name != "cluster"}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
