"""What miniecs's own agents and the control plane say to each other beside ECS's protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from miniecs.ids import Ids
from miniecs.model.stream import PULL_PROGRESS
from miniecs.store import Store
from miniecs_api.agents import AgentSessions
from miniecs_api.pulls import Pulls
from miniecs_api.streams import Streams


class Extensions:
    """Hears all of our own messages (miniecs_api.agents.OwnMessages), each kind by whom it concerns."""

    def __init__(self, store: Store, sessions: AgentSessions, ids: Ids) -> None:
        self.streams = Streams(sessions.send_own, ids)
        self.pulls = Pulls(store)
        sessions.listen(self)

    def received(self, instance_arn: str, message: Mapping[str, Any]) -> None:
        if message.get("type") == PULL_PROGRESS:
            self.pulls.received(instance_arn, message)
        else:
            self.streams.received(instance_arn, message)

    def closed(self, instance_arn: str) -> None:
        self.streams.closed(instance_arn)
