"""The ids of default networks, and the zones of regions."""

from __future__ import annotations

from miniecs.model.network import (
    default_group_id,
    default_subnet_id,
    default_vpc_id,
    zone_names,
    zones,
)
from miniecs.model.scope import Scope


def test_default_ids_have_ec2s_form_and_are_each_scopes_own() -> None:
    scopes = [Scope("1" * 12, "us-east-1"), Scope("1" * 12, "eu-west-1"), Scope("2" * 12, "us-east-1")]
    found = [
        id
        for scope in scopes
        for id in (
            default_vpc_id(scope),
            default_group_id(scope),
            *(default_subnet_id(scope, zone) for zone in zones(scope.region)),
        )
    ]
    assert len(set(found)) == len(found) == 3 * 2 + 6 + 3 + 6
    assert all(len(id.partition("-")[2]) == 17 for id in found)


def test_a_cluster_may_have_more_zones_than_its_region() -> None:
    assert zones("ap-northeast-1") == ("ap-northeast-1a", "ap-northeast-1c", "ap-northeast-1d")
    names = zone_names("ap-northeast-1")
    assert names[:5] == (*zones("ap-northeast-1"), "ap-northeast-1b", "ap-northeast-1e")
    assert len(set(names)) == len(names) == 26
