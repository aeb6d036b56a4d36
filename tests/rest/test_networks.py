"""The store's networks and moto's in step, with a moto that is told what to say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from miniecs.model.network import (
    SecurityGroup,
    Subnet,
    Vpc,
    default_group_id,
    default_subnet_id,
    default_vpc_id,
    network_key,
)
from miniecs.model.scope import Scope
from miniecs.store.memory import MemoryStore
from miniecs_api.rest import RestOfAws
from miniecs_api.wire.errors import AwsError
from miniecs_api.wire.protocols import Headers

SCOPE = Scope("111111111111", "eu-west-1")
VPC = default_vpc_id(SCOPE)
DEFAULTS = {default_subnet_id(SCOPE, f"eu-west-1{letter}"): f"eu-west-1{letter}" for letter in "abc"}


class Moto:
    """What it has, and what it was asked and told. ``meanwhile`` happens while it answers."""

    def __init__(self) -> None:
        self.vpcs = [VPC]
        self.subnets = dict(DEFAULTS)
        self.groups = {default_group_id(SCOPE): "default"}
        self.asked: list[bytes] = []
        self.told: list[Mapping[str, Any]] = []
        self.meanwhile: Callable[[], None] = lambda: None

    async def forward(
        self, method: str, path: str, query: str, headers: Headers, body: bytes, scope: Scope
    ) -> tuple[int, Headers, bytes]:
        self.asked.append(body)
        return 200, [], b""

    async def tell_networks(self, scope: Scope, adopted: Mapping[str, Any]) -> dict[str, Any]:
        self.told.append(adopted)
        self.subnets |= {each["id"]: each["zone"] for each in adopted["subnets"]}
        self.groups |= {each["id"]: each["id"] for each in adopted["groups"]}
        answer = {
            "vpcs": [{"id": id} for id in self.vpcs],
            "subnets": [{"id": id, "vpc": VPC, "zone": zone} for id, zone in self.subnets.items()],
            "groups": [{"id": id, "vpc": VPC, "name": name} for id, name in self.groups.items()],
        }
        await asyncio.sleep(0)
        self.meanwhile()
        return answer

    async def reset(self) -> None:
        self.vpcs.clear()

    async def close(self) -> None:
        pass


class Bed:
    def __init__(self) -> None:
        self.store, self.moto = MemoryStore(), Moto()
        self.rest = RestOfAws(self.moto, self.store)

    def ask(self, action: str, service: str = "ec2", **params: str) -> None:
        body = "&".join(f"{k}={v}" for k, v in {"Action": action, **params}.items()).encode()
        asyncio.run(self.rest.forward(service, "POST", "/", "", [], body, SCOPE))

    def put(self, thing: Any) -> None:
        with self.store.transaction() as tx:
            tx.put(thing)

    def subnets(self) -> dict[str, str]:
        return {subnet.id: subnet.zone for subnet in self.store.find(Subnet, "scope", SCOPE)}


@pytest.fixture
def bed() -> Bed:
    return Bed()


def test_what_moto_makes_and_removes_is_mirrored(bed: Bed) -> None:
    bed.ask("DescribeSubnets")
    assert bed.subnets() == DEFAULTS
    bed.moto.subnets["subnet-new"] = "eu-west-1b"
    bed.ask("CreateSubnet")
    assert bed.store.get(Subnet, network_key(SCOPE, "subnet-new")) == Subnet(
        SCOPE, "subnet-new", VPC, "eu-west-1b", made=True
    )
    bed.moto.subnets.clear()
    bed.moto.groups.clear()
    bed.moto.vpcs.clear()
    bed.ask("DeleteVpc")
    assert bed.subnets() == {}
    assert not list(bed.store.all(Vpc)) and not list(bed.store.all(SecurityGroup))
    bed.ask("DescribeVpcs")
    assert not list(bed.store.all(Vpc)), "the default VPC came back"


def test_reading_asks_moto_for_nothing_more_once_it_is_in_step(bed: Bed) -> None:
    for _ in range(3):
        bed.ask("DescribeSubnets")
    assert len(bed.moto.told) == 1
    bed.ask("CreateTags")
    assert len(bed.moto.told) == 2
    bed.ask("PutObject", service="s3")
    assert len(bed.moto.told) == 2
    assert len(bed.moto.asked) == 5


def test_moto_is_told_what_was_adopted_before_it_is_asked(bed: Bed) -> None:
    bed.ask("DescribeSubnets")
    bed.put(Subnet(SCOPE, "subnet-1", VPC, "eu-west-1c"))
    bed.put(SecurityGroup(SCOPE, "sg-1", VPC, "sg-1"))
    bed.ask("DescribeSubnets")
    assert bed.moto.told[-1] == {
        "subnets": [{"id": "subnet-1", "vpc": VPC, "zone": "eu-west-1c"}],
        "groups": [{"id": "sg-1", "vpc": VPC}],
    }


def test_what_was_adopted_can_be_deleted_and_adopted_again(bed: Bed) -> None:
    bed.put(Subnet(SCOPE, "subnet-1", VPC, "eu-west-1c"))
    bed.ask("DescribeSubnets")
    del bed.moto.subnets["subnet-1"]
    bed.ask("DeleteSubnet", SubnetId="subnet-1")
    assert bed.subnets() == DEFAULTS == bed.moto.subnets
    bed.put(Subnet(SCOPE, "subnet-1", VPC, "eu-west-1a"))
    bed.ask("DescribeSubnets")
    assert bed.subnets()["subnet-1"] == bed.moto.subnets["subnet-1"] == "eu-west-1a"


def test_what_is_adopted_while_moto_answers_stays(bed: Bed) -> None:
    bed.moto.meanwhile = lambda: bed.put(Subnet(SCOPE, "subnet-1", VPC, "eu-west-1a"))
    bed.ask("CreateSubnet")
    assert "subnet-1" in bed.subnets()


def test_a_failing_moto_leaves_the_store_as_it_was(bed: Bed) -> None:
    def fail() -> None:
        raise AwsError("ServiceUnavailable", "gone", 503)

    bed.ask("DescribeSubnets")
    bed.moto.subnets["subnet-new"] = "eu-west-1b"
    bed.moto.meanwhile = fail
    with pytest.raises(AwsError):
        bed.ask("CreateSubnet")
    assert bed.subnets() == DEFAULTS
    bed.moto.meanwhile = lambda: None
    bed.ask("CreateTags")
    assert "subnet-new" in bed.subnets()
