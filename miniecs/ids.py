"""The only place that makes identifiers; seeded for simulations, so that a run repeats exactly."""

from __future__ import annotations

import random
import string

_SYSTEM = random.SystemRandom()
_BASE62 = string.digits + string.ascii_letters


class Ids:
    """Fresh identifiers in the forms AWS uses. With a seed the sequence is always the same."""

    def __init__(self, seed: int | None = None) -> None:
        # Not the system's generator for each id: that costs a system call, and nobody guards ids.
        self._random = random.Random(_SYSTEM.getrandbits(256) if seed is None else seed)

    def begin_anew(self, seed: int) -> None:
        """What comes from now on is that of another seed."""
        self._random.seed(seed)

    def hex(self, digits: int = 32) -> str:
        """Lower-case hex: 32 for tasks and container instances, 17 after ``i-`` and ``eni-``."""
        # Bytes are put into hex in half of the time that it takes to format a number.
        return self._random.getrandbits(4 * digits).to_bytes((digits + 1) // 2, "big").hex()[-digits:]

    def uuid(self) -> str:
        """Version 4, in its text form."""
        text = self._random.getrandbits(128).to_bytes(16, "big").hex()
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"

    def secret(self) -> str:
        """Not to be guessed by who has seen every id: of the system's generator, never repeatable."""
        return f"{_SYSTEM.getrandbits(128):032x}"

    def digits(self, count: int = 19) -> str:
        """Decimal digits, the first not 0: deployments (``ecs-svc/…``) and service revisions."""
        low = 10 ** (count - 1)
        return str(low + self._random.randrange(9 * low))

    def letters(self, count: int = 21) -> str:
        """Letters and digits: service deployments."""
        return "".join(self._random.choices(_BASE62, k=count))

    def number(self, below: int) -> int:
        """A random number in [0, below): seeds of placement ties."""
        return int(self._random.random() * below)
