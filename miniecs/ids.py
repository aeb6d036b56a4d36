"""The only place that makes identifiers; seeded for simulations, so that a run repeats exactly."""

from __future__ import annotations

import random
import string
import uuid

_BASE62 = string.digits + string.ascii_letters


class Ids:
    """Fresh identifiers in the forms AWS uses. With a seed the sequence is always the same."""

    def __init__(self, seed: int | None = None) -> None:
        self._random: random.Random = random.SystemRandom() if seed is None else random.Random(seed)

    def hex(self, digits: int = 32) -> str:
        """Lower-case hex: 32 for tasks and container instances, 17 after ``i-`` and ``eni-``."""
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def digits(self, count: int = 19) -> str:
        """Decimal digits, the first not 0: deployments (``ecs-svc/…``) and service revisions."""
        low = 10 ** (count - 1)
        return str(low + self._random.randrange(9 * low))

    def letters(self, count: int = 21) -> str:
        """Letters and digits: service deployments."""
        return "".join(self._random.choices(_BASE62, k=count))

    def number(self, below: int) -> int:
        """A random number in [0, below): seeds of placement ties."""
        return self._random.randrange(below)
