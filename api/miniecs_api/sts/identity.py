"""GetCallerIdentity: the caller is the root of the account that the access key or the settings name.

The other operations of STS hand out credentials, which are only good with whoever made them.
"""

from __future__ import annotations

from typing import Any

from miniecs_api.context import Context
from miniecs_api.operation import read_operation


@read_operation
def get_caller_identity(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """A root's user id is its account's number."""
    return {"UserId": ctx.scope.account, "Account": ctx.scope.account, "Arn": ctx.principal_arn}
