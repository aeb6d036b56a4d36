"""Where a run's time goes: the stack is looked at 200 times in each second of CPU time, which costs little.

A sample belongs to the innermost frame that is of a part, so that what a part asks of the standard library
is its own.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Mapping
from types import FrameType, TracebackType

_EVERY = 0.005  # seconds of CPU time
_ELSEWHERE = "elsewhere"


class Parts:
    """Samples between ``with`` and its end. parts: how a module's name begins -> the part it is of."""

    def __init__(self, parts: Mapping[str, str]) -> None:
        self._prefixes = sorted(parts.items(), key=lambda part: -len(part[0]))
        self._known: dict[str, str | None] = {}
        self.samples: Counter[str] = Counter()

    def __enter__(self) -> Parts:
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)

    def show(self) -> None:
        total = self.samples.total()
        for part, count in self.samples.most_common():
            print(f"  {100 * count / total:5.1f} %  {part}")

    def _sample(self, number: int, frame: FrameType | None) -> None:
        while frame is not None:
            part = self._part_of(frame.f_globals.get("__name__", ""))
            if part is not None:
                self.samples[part] += 1
                return
            frame = frame.f_back
        self.samples[_ELSEWHERE] += 1

    def _part_of(self, module: str) -> str | None:
        if module not in self._known:
            parts = (part for start, part in self._prefixes if module.startswith(start))
            self._known[module] = next(parts, None)
        return self._known[module]
