"""Subnets that collide with nothing: the same start every time, and what is taken is passed by."""

from __future__ import annotations

from ipaddress import IPv4Network
from itertools import islice
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from miniecs_agent.docker.networks import candidates, gateway, gateway_of, read_routes, subnets_of

HOME = IPv4Network("192.168.1.0/24")
ROUTES = """Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
br-1	008E1FAC	00000000	0001	0	0	0	00FEFFFF	0	0	0
"""


def test_routes_without_the_default_one() -> None:
    assert read_routes(ROUTES) == [IPv4Network("192.0.2.0/24"), IPv4Network("172.31.142.0/23")]


def test_subnets_and_gateways_of_the_engines_networks() -> None:
    networks: list[dict[str, Any]] = [
        {"IPAM": {"Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]}},
        {"IPAM": {"Config": [{"Subnet": "fd00::/64"}, {"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1/24"}]}},
        {"IPAM": {"Config": None}},
        {},
    ]
    assert subnets_of(networks) == [IPv4Network("172.17.0.0/16"), IPv4Network("10.0.0.0/24")]
    assert [gateway_of(each) for each in networks] == ["172.17.0.1", "10.0.0.1", None, None]


def test_the_default_vpcs_range_comes_first_and_the_seed_says_where_in_it() -> None:
    first = next(candidates("owner i-1", [], []))
    assert first.subnet_of(IPv4Network("172.31.0.0/16")) and first.prefixlen == 23
    assert first == next(candidates("owner i-1", [HOME], []))
    assert first != next(candidates("owner i-2", [], []))
    assert gateway(IPv4Network("172.31.4.0/23")) == "172.31.4.1"


def test_what_is_taken_is_passed_by() -> None:
    first, second = islice(candidates("x", [], []), 2)
    assert next(candidates("x", [], [first])) == second
    assert next(candidates("x", [first], [first])) == second  # a network's own route says nothing more


def test_a_range_that_somebody_else_has_a_route_into_comes_last() -> None:
    vpn = IPv4Network("172.31.7.0/24")
    found = list(candidates("x", [vpn], []))
    assert found[0].subnet_of(IPv4Network("10.211.0.0/16"))
    assert found[-1].subnet_of(IPv4Network("172.31.0.0/16"))
    assert IPv4Network("172.31.6.0/23") not in found


@given(
    st.lists(st.integers(0, 2**24 - 1)),
    st.lists(st.sampled_from(["10.0.0.0/8", "172.31.0.0/16", "0.0.0.0/1"])),
)
def test_no_candidate_overlaps_anything(places: list[int], routes: list[str]) -> None:
    taken = [IPv4Network((place << 8, 24)) for place in places]
    foreign = [IPv4Network(route) for route in routes]
    for subnet in islice(candidates("seed", foreign, taken), 5):
        assert not any(subnet.overlaps(other) for other in (*taken, *foreign))
