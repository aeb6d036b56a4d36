"""The last routing table, in the data folder: served after a kill until the control plane speaks again.

Replaced as a whole by renaming, so that a kill at any moment leaves the old or the new one.
"""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

from miniecs.model.routing import RoutingTable, from_json, to_json

log = logging.getLogger("miniecs.proxy")


@dataclass(frozen=True, slots=True)
class Kept:
    """numbers: load balancer -> N of 127.0.2.N."""

    table: RoutingTable = RoutingTable()
    numbers: dict[str, int] = field(default_factory=dict)


def load(path: Path) -> Kept:
    """What was kept; nothing where there is no file, or none that is understood."""
    try:
        document = json.loads(path.read_bytes())
        numbers = {str(arn): int(number) for arn, number in document["numbers"].items()}
        return Kept(from_json(json.dumps(document["table"]).encode()), numbers)
    except FileNotFoundError:
        return Kept()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        log.warning("%s is not used: %s", path, problem)
        return Kept()


def save(path: Path, kept: Kept) -> None:
    """Raises OSError."""
    fresh = path.with_suffix(".new")
    try:
        numbers = json.dumps(kept.numbers).encode()
        fresh.write_bytes(b'{"numbers":%b,"table":%b}' % (numbers, to_json(kept.table)))
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
