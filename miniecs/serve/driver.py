"""Calls the reconciler when something was committed and when it asked to be woken; its only timer."""

from __future__ import annotations

import asyncio
import logging

from miniecs.clock import Clock
from miniecs.reconciler import Reconciler
from miniecs.store import Commit, Store, StoreError

log = logging.getLogger("miniecs.reconciler")

_AFTER_FAILURE = 1.0  # seconds; a bug in one plan must not spin, nor end the loop
_LONGEST_SLEEP = 3600.0  # loop.call_later refuses none, but clocks are adjusted


class Driver:
    """Drives one reconciler on the running event loop until ``stop``."""

    def __init__(self, store: Store, reconciler: Reconciler, clock: Clock) -> None:
        self._reconciler = reconciler
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._soon = False
        self._stopped = False
        self._end_subscription = store.subscribe(self._on_commit)
        self._wake()

    def stop(self) -> None:
        self._stopped = True
        self._end_subscription()
        if self._timer is not None:
            self._timer.cancel()

    def _on_commit(self, commit: Commit) -> None:
        self._wake()

    def _wake(self) -> None:
        """Step in the loop's next turn, however many commits come until then."""
        if not self._soon and not self._stopped:
            self._soon = True
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_soon(self._step)

    def _step(self) -> None:
        self._soon = False
        now = self._clock.now()
        try:
            wake_at = self._reconciler.step(now)
        except StoreError as problem:
            log.error("the control loops wait: %s", problem)
            wake_at = now + _AFTER_FAILURE
        except Exception:  # the loops of every other object must go on
            log.exception("a control loop failed; it is tried again in %g s", _AFTER_FAILURE)
            wake_at = now + _AFTER_FAILURE
        if self._soon or self._stopped:
            return
        if wake_at is not None:
            delay = min(max(0.0, wake_at - self._clock.now()), _LONGEST_SLEEP)
            self._timer = self._loop.call_later(delay, self._step)
