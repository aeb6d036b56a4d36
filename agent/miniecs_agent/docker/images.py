"""Images of an engine: found where they are, pulled once however many tasks wait, with progress.

As the ECS agent with ECS_IMAGE_PULL_BEHAVIOR=prefer-cached: an image that the engine has is not pulled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from miniecs.clock import Clock
from miniecs_agent.docker.connection import Connection
from miniecs_agent.docker.errors import Refused, duration
from miniecs_agent.host_engine import EngineGone, PullProgress

PULL_LIMIT = 18.0  # seconds without any progress: a launch that cannot succeed is over within 20
INACTIVITY_LIMIT = 60.0  # ECS_IMAGE_PULL_INACTIVITY_TIMEOUT
_PROGRESS_EVERY = 0.5
_DOWNLOADING = ("Downloading", "Download complete", "Pull complete", "Already exists")


class Image(NamedTuple):
    """What is needed of an image. digest: its registry's, or the id of one that no registry knows.

    is_local: it has the digest that it was asked for as its id, and the engine knows it by nothing else.
    """

    id: str
    digest: str | None
    stop_signal: str
    is_local: bool = False


@dataclass(slots=True)
class Meter:
    """Adds up the layers of a pull."""

    status: str = ""
    layers: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, message: Mapping[str, Any]) -> None:
        self.status = str(message.get("status", self.status))
        layer, detail = message.get("id"), message.get("progressDetail") or {}
        if layer and self.status in _DOWNLOADING:
            current, total = self.layers.get(layer, (0, 0))
            total = detail.get("total") or total
            current = total if self.status != "Downloading" else detail.get("current", current)
            self.layers[layer] = (current, total)

    @property
    def current(self) -> int:
        return sum(current for current, _ in self.layers.values())

    @property
    def total(self) -> int:
        return sum(total for _, total in self.layers.values())


Waiter = tuple[str, str]  # task ARN and container


@dataclass(slots=True, eq=False)
class _Pull:
    """One pull under way, and who wants to hear how far it is."""

    waiters: set[Waiter] = field(default_factory=set)
    work: asyncio.Task[Image] | None = None
    messages: int = 0


class Images:
    """All images of one engine. ``progress`` is called on the loop."""

    def __init__(
        self, connection: Connection, progress: Callable[[PullProgress], None], clock: Clock
    ) -> None:
        self._connection = connection
        self._progress = progress
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._found: dict[str, Image] = {}
        self._pulls: dict[str, _Pull] = {}

    def known(self, image: str) -> Image | None:
        """An image that was found, as long as the engine has not said that images changed."""
        return self._found.get(image)

    def forget(self) -> None:
        self._found.clear()

    async def get(self, image: str, waiter: Waiter, limit: float = PULL_LIMIT) -> Image:
        """Find it or pull it. Raises Refused with the words of the engine, or of the registry."""
        found = self._found.get(image)
        if found is not None:
            return found
        pull = self._pulls.get(image)
        if pull is None:
            pull = self._pulls[image] = _Pull()
            pull.work = asyncio.create_task(self._find_or_pull(image, pull, limit))
            pull.work.add_done_callback(partial(self._ended, image, pull))
        pull.waiters.add(waiter)
        assert pull.work is not None
        try:
            return await asyncio.shield(pull.work)
        finally:
            pull.waiters.discard(waiter)

    async def find(self, image: str) -> Image | None:
        """Of an image's name or id; None when the engine does not have it.

        A digest may be the id of an image that was made locally, whose tag may have another by now.
        """
        inspected = await self._inspect(image)
        if inspected is not None:
            return read_image(inspected, image)
        digest = digest_in(image)
        inspected = await self._inspect(digest) if digest is not None else None
        return None if inspected is None else read_image(inspected, image)._replace(is_local=True)

    async def _inspect(self, image: str) -> Mapping[str, Any] | None:
        try:
            return await self._connection.ask(partial(self._connection.api.inspect_image, image))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def _ended(self, image: str, pull: _Pull, work: asyncio.Task[Image]) -> None:
        if self._pulls.get(image) is pull:
            del self._pulls[image]
        if not work.cancelled():
            work.exception()  # each waiter has it; with none left, nobody needs it

    async def _find_or_pull(self, image: str, pull: _Pull, limit: float) -> Image:
        found = await self.find(image)
        if found is None:
            await self._pull(image, pull, limit)
            found = await self.find(image)
            if found is None:
                raise Refused(404, f"No such image: {image}")
        self._found[image] = found
        return found

    async def _pull(self, image: str, pull: _Pull, limit: float) -> None:
        connection = self._connection
        while True:
            await connection.back()
            try:
                return await self._pull_once(image, pull, limit)
            except EngineGone:
                await connection.suspect()

    async def _pull_once(self, image: str, pull: _Pull, limit: float) -> None:
        """In a thread; one that has heard nothing when its time is over is left to itself."""
        pull.messages = 0
        work = self._loop.run_in_executor(self._connection.pulls, partial(self._read, image, pull))
        while True:
            before = pull.messages
            await asyncio.wait({work}, timeout=INACTIVITY_LIMIT if before else limit)
            if work.done():
                return work.result()
            if pull.messages == before:
                work.cancel()  # its thread ends when the engine gives up
                if before:
                    raise Refused(0, f"inactivity time exceeded timeout while pulling image {image}")
                raise Refused(0, f"no answer from the registry of {image} after {duration(limit)}")

    def _read(self, image: str, pull: _Pull) -> None:
        """Blocks until the image is there."""
        meter, told_at = Meter(), 0.0
        for message in self._connection.api.pull(image):
            pull.messages += 1
            if "error" in message:
                raise Refused(0, str(message["error"]))
            meter.add(message)
            now = self._clock.now()
            if now - told_at >= _PROGRESS_EVERY:
                told_at = now
                self._loop.call_soon_threadsafe(
                    self._tell, image, pull, meter.status, meter.current, meter.total
                )

    def _tell(self, image: str, pull: _Pull, status: str, current: int, total: int) -> None:
        for task_arn, container in tuple(pull.waiters):
            self._progress(PullProgress(task_arn, container, image, status, current, total))


def digest_in(image: str) -> str | None:
    """The digest that an image's name asks for."""
    return image.partition("@")[2] or None


def read_image(inspected: Mapping[str, Any], name: str = "") -> Image:
    """``name``: what it was asked for by; of several digests the one of that repository is meant."""
    digests = [str(each).partition("@") for each in inspected.get("RepoDigests") or ()]
    repository = name.partition("@")[0]
    id = str(inspected.get("Id", ""))
    digests.sort(key=lambda each: not (repository == each[0] or repository.startswith(f"{each[0]}:")))
    return Image(
        id=id,
        digest=digest_in(name) or (digests[0][2] if digests else id or None),
        stop_signal=(inspected.get("Config") or {}).get("StopSignal") or "",
    )
