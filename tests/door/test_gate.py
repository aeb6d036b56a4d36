"""Who is let in: this machine's names, and no foreign web page."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from miniecs_api.gate import Gate

from .conftest import Server

TARGET = {b"x-amz-target": b"AmazonEC2ContainerServiceV20141113.ListClusters"}

OURS = [
    "localhost", "localhost:4566", "LOCALHOST:4566", "localhost.", "127.0.0.1", "127.0.0.1:4566",
    "127.9.8.7:1", "[::1]", "[::1]:4566", "web-1.us-east-1.elb.localhost:8001", "10.1.2.3:4566",
    "host.docker.internal:4566",
]  # fmt: skip
THEIRS = [
    "", "evil.com", "evil.com:4566", "localhost.evil.com", "127.0.0.1.evil.com", "evil.com#localhost",
    "10.1.2.4", "localhost@evil.com", "evil.com/localhost", "notlocalhost", "localhost:port", "[::2]",
    "169.254.170.2", "0",
]  # fmt: skip


def gate() -> Gate:
    return Gate("10.1.2.3", ["host.docker.internal"])


@pytest.mark.parametrize("host", OURS)
def test_our_names(host: str) -> None:
    assert gate().refuse("POST", "/", {b"host": host.encode()}) is None


@pytest.mark.parametrize("host", THEIRS)
def test_other_names(host: str) -> None:
    refusal = gate().refuse("POST", "/", {b"host": host.encode()})
    assert refusal is not None and refusal.status == 403 and "--allow-host" in refusal.message


def test_who_listens_everywhere_answers_to_every_address_but_to_no_more_names() -> None:
    everywhere = Gate("0.0.0.0", [])
    assert everywhere.refuse("POST", "/", {b"host": b"192.168.1.7:4566"}) is None
    assert everywhere.refuse("POST", "/", {b"host": b"evil.com"}) is not None


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:3000", True),
        ("https://app.localhost", True),
        ("http://127.0.0.1:8080", True),
        ("http://evil.com", False),
        ("https://localhost.evil.com", False),
        ("null", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_origins(origin: str, allowed: bool) -> None:
    headers = {b"host": b"localhost", b"origin": origin.encode()}
    assert (gate().refuse("POST", "/", headers) is None) == allowed


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        ("http://192.168.1.7:4566", "192.168.1.7:4566", True),
        ("http://192.168.1.7:3000", "192.168.1.7:4566", True),
        ("http://127.0.0.1:3000", "192.168.1.7:4566", True),
        ("http://[::1]:3000", "192.168.1.7:4566", True),
        ("http://203.0.113.5", "192.168.1.7:4566", False),
        ("http://203.0.113.5", "localhost:4566", False),
        ("http://[2001:db8::1]", "localhost:4566", False),
        ("http://0.0.0.0", "localhost:4566", True),
    ],
)
def test_a_page_at_an_address_is_ours_only_where_it_calls_itself(
    origin: str, host: str, allowed: bool
) -> None:
    headers = {b"host": host.encode(), b"origin": origin.encode()}
    assert (Gate("0.0.0.0", []).refuse("GET", "/_miniecs/streams", headers) is None) == allowed


def test_a_cross_site_request_is_refused_even_without_an_origin() -> None:
    headers = {b"host": b"localhost", b"sec-fetch-site": b"cross-site"}
    assert gate().refuse("GET", "/", headers) is not None
    assert gate().refuse("GET", "/", headers | {b"sec-fetch-dest": b"document"}) is not None
    assert gate().refuse("GET", "/_miniecs/console", headers | {b"sec-fetch-dest": b"document"}) is None
    assert gate().refuse("POST", "/_miniecs/reset", headers | {b"sec-fetch-dest": b"document"}) is not None
    assert gate().refuse("GET", "/_miniecs/console", headers | {b"sec-fetch-dest": b"iframe"}) is not None
    assert gate().refuse("GET", "/", headers | {b"sec-fetch-site": b"same-origin"}) is None


@pytest.mark.parametrize("foreign", [{"Host": "evil.com"}, {"Origin": "http://evil.com"}])
def test_a_foreign_request_is_told_why_and_does_nothing(server: Server, foreign: dict[str, str]) -> None:
    json = {
        "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.CreateCluster",
        "Content-Type": "application/x-amz-json-1.1",
    }
    with httpx.Client(base_url=server.url, headers=foreign) as http:
        reply = http.post("/", json={}, headers=json)
        assert (reply.status_code, reply.json()["__type"]) == (403, "AccessDeniedException")
        assert "'evil.com'" in reply.json()["message"] or "'http://evil.com'" in reply.json()["message"]
        assert http.post("/", data={"Action": "X", "Version": "2011-06-15"}).status_code == 403
        assert http.post("/_miniecs/reset").status_code == 403
        assert http.get("/_miniecs/health").status_code == 403
    assert (server.asked.calls, server.forwarded.requests, server.admin.resets) == ([], [], [])


def test_a_name_that_the_user_allowed(serve: Callable[..., Server]) -> None:
    server = serve(allow_hosts=("Build.Example.",))
    with httpx.Client(base_url=server.url, headers={"Host": "build.example:4566"}) as http:
        assert http.get("/_miniecs/health").status_code == 200


def test_an_image_on_a_page_cannot_call_an_operation(server: Server) -> None:
    with httpx.Client(base_url=server.url) as http:
        reply = http.get("/?Action=DescribeLoadBalancers&Version=2015-12-01")
        assert reply.status_code == 403 and "<Code>MissingAuthenticationToken</Code>" in reply.text
        # Anybody can make up a signature in an address, and nobody checks it.
        for service in ("elasticloadbalancing", "ec2", "iam"):
            made_up = f"X-Amz-Credential=a/20250101/us-east-1/{service}/aws4_request"
            reply = http.get(f"/?{made_up}&Action=CreateTargetGroup&Version=2015-12-01")
            assert reply.status_code == 403 and "<Code>AccessDeniedException</Code>" in reply.text
    assert server.asked.calls == []
    assert server.forwarded.requests == []


def test_websockets_go_to_whom_they_belong(server: Server) -> None:
    with connect(f"ws://127.0.0.1:{server.port}/ws/acs?a=1") as socket:
        assert socket.recv() == "/ws/acs"
    for path, headers in (("/wsx", {}), ("/other", {}), ("/ws", {"Origin": "http://evil.com"})):
        with pytest.raises(InvalidStatus) as caught:
            connect(f"ws://127.0.0.1:{server.port}{path}", additional_headers=headers)
        assert caught.value.response.status_code == 403
