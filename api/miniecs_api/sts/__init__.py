"""The one operation of STS that is ours: who the caller is, by our own account."""

from miniecs_api.sts import identity

MODULES = (identity,)
