"""What an operation is given: the transaction, the moment, fresh ids, and whose call it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from miniecs.config import Timing
from miniecs.fleets import Fleets
from miniecs.ids import Ids
from miniecs.model.scope import Scope
from miniecs.store import Transaction


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """What `up` decided about the API."""

    account: str = "000000000000"
    region: str = "us-east-1"
    owner: str = ""  # the data folder's; where the search for a VPC's addresses begins follows from it
    strict: bool = False  # refuse subnets, groups and the like that nobody made, as AWS does
    carries_traffic: bool = False  # whether a proxy listens for load balancers
    endpoint: str = "http://127.0.0.1:4566"
    timing: Timing = field(default_factory=Timing)


@dataclass(slots=True)
class Context:
    """One call. ``hints`` collects what is really wrong beside AWS's own words.

    ``host``: name and port under which the caller reached the server, '' for one in the same process.
    """

    tx: Transaction
    now: float
    ids: Ids
    scope: Scope
    settings: ApiSettings
    fleets: Fleets
    request_id: str = ""
    host: str = ""
    hints: list[str] = field(default_factory=list)

    @property
    def principal_arn(self) -> str:
        """The caller, as far as a local ECS knows callers: the account's root."""
        return f"arn:aws:iam::{self.scope.account}:root"

    def hint(self, text: str) -> None:
        self.hints.append(text)
