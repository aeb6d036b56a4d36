"""Compiles an image's Python library, as its package's script would: a start without takes 0.4 s longer.

Only where this interpreter is of the image's version; else the image compiles at each start, as it can.
"""

from __future__ import annotations

import importlib.util
import marshal
import re
import sys
import warnings

_HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
_SOURCE = re.compile(
    rf"usr/lib/python{re.escape(_HERE)}/(?!lib2to3/|idlelib/|test/|pydoc_data/)(.+/)?(?P<name>[^/]+)\.py$"
)
_UNCHECKED = 1  # PEP 552: by the source's hash, which nobody compares; a time would have to be the layer's


def compiled(path: str, source: bytes) -> tuple[str, bytes] | None:
    """Path and content of a module's .pyc; None for what is not to be, or cannot be, compiled."""
    found = _SOURCE.match(path)
    if found is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(source, f"/{path}", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    head = importlib.util.MAGIC_NUMBER + _UNCHECKED.to_bytes(4, "little") + importlib.util.source_hash(source)
    target = f"{path.rpartition('/')[0]}/__pycache__/{found['name']}.{sys.implementation.cache_tag}.pyc"
    return target, head + marshal.dumps(code)


def is_source(path: str) -> bool:
    return _SOURCE.match(path) is not None
