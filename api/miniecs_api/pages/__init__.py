"""miniecs's own pages under /_miniecs/: what AWS's API has no question for, as JSON.

The command line reads them and anyone else may. What a page says is a pure function of the store; the web
framework around them is imported when ``make`` is called, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from miniecs.clock import Clock
from miniecs.config import InstanceSpec, ServerSettings, Timing
from miniecs.model.scope import Scope
from miniecs.store import Store

if TYPE_CHECKING:
    from miniecs_api.app import ASGIApp
    from miniecs_api.data_plane import DataPlane
    from miniecs_api.hosts import HostLinks
    from miniecs_api.metrics import TaskMetrics
    from miniecs_api.pulls import Pulls


class InstanceFailed(Exception):
    """A container instance could not be made; the message says why and what to do."""


class PagesServer(Protocol):
    """What the pages need of the server. ``scope`` is where `up` makes its cluster."""

    @property
    def store(self) -> Store: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def links(self) -> HostLinks:
        """The agents of engines that are connected now."""

    @property
    def data_plane(self) -> DataPlane:
        """The proxy: where it listens and what it counted."""

    @property
    def metrics(self) -> TaskMetrics:
        """What tasks use."""

    @property
    def pulls(self) -> Pulls:
        """How far the images of PENDING tasks are."""

    @property
    def timing(self) -> Timing: ...

    @property
    def settings(self) -> ServerSettings: ...

    @property
    def scope(self) -> Scope: ...

    @property
    def endpoint(self) -> str: ...

    async def add_instance(self, wanted: InstanceSpec) -> str:
        """Start a container instance; its ARN, once its agent is connected.

        Raises UnknownInstanceType, AwsError and InstanceFailed.
        """

    async def remove_instance(self, arn: str) -> None:
        """Switch a container instance off and deregister it; its tasks stop. Raises InstanceFailed."""


def make(server: PagesServer) -> ASGIApp:
    """The pages as an ASGI app; takes the time and memory of importing FastAPI."""
    from miniecs_api.pages.app import make_app

    return make_app(server)
