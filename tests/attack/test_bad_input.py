"""Bad requests by hand, over raw sockets: each is answered, none is acted on, and the next one works."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from miniecs_api.dispatch import OURS, registry

from .requests import operation_model
from .server import RealServer
from .wire import Connection, Lost, read

pytestmark = pytest.mark.slow  # it starts a server

JSON = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.CreateCluster",
}
_HEAD = "POST / HTTP/1.1\r\nHost: localhost\r\n" + "".join(f"{k}: {v}\r\n" for k, v in JSON.items())


def signed(service: str, region: str = "us-east-1", account: str = "000000000000") -> dict[str, str]:
    scope = f"{account}/20250101/{region}/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}


def clusters(server: RealServer) -> list[str]:
    arns = server.client("ecs").list_clusters()["clusterArns"]
    return [arn.rsplit("/", 1)[-1] for arn in arns]


@pytest.fixture(autouse=True)
def _nothing_was_made(server: RealServer) -> Iterator[None]:
    """Whatever a test sends here is refused: no cluster comes of it."""
    before = clusters(server)
    yield
    assert clusters(server) == before


@pytest.fixture
def http(server: RealServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


def code(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["__type"]


@pytest.mark.parametrize(
    "body",
    [b"{", b"}", b"[]", b"null", b"1", b'"x"', b"{'a': 1}", b'{"a": NaN}', b'{"a": 1} {}', b"\xff\xfe{}",
     b'\xef\xbb\xbf{"clusterName": "x"}', b'{"clusterName": "\xed\xa0\x80"}', b'{"clusterName": "\\ud800"}',
     b'{"clusterName": 1}', b'{"clusterName": ["x"]}', b'{"clusterName": {}}', b'{"clusterName": true}',
     b'{"tags": {}}', b'{"tags": [1]}', b'{"tags": "a"}', b'{"settings": [[]]}', b"clusterName=x", b"<a/>",
     b"[" * 100_000, b'{"a":' * 50_000, b'{"tags":' + b"[" * 5000 + b"]" * 5000 + b"}",
     b'{"clusterName": "' + b"a" * 9_000_000 + b'"}'],
    ids=lambda body: repr(body[:30]),
)  # fmt: skip
def test_what_is_no_request_for_a_cluster(http: httpx.Client, body: bytes) -> None:
    status, kind = code(http.post("/", content=body, headers=JSON))
    assert status == 400
    assert kind in ("SerializationException", "InvalidParameterException")


@pytest.mark.parametrize("service", sorted(OURS))
def test_unknown_operations_of_every_service_of_ours(http: httpx.Client, service: str) -> None:
    names = {"elbv2": "elasticloadbalancing", "cloudwatch": "monitoring"}
    form = http.post("/", data={"Action": "Fly"}, headers=signed(names.get(service, service)))
    assert form.status_code in (400, 501)
    assert "<ErrorResponse" in form.text or "__type" in form.text
    target = {"X-Amz-Target": "Whatever.Fly", "Content-Type": "application/x-amz-json-1.1"}
    json_form = http.post("/", content=b"{}", headers=signed(names.get(service, service)) | target)
    assert json_form.status_code in (400, 501)
    assert json_form.content


def test_what_the_emulator_of_other_services_must_not_answer(serve: Callable[..., RealServer]) -> None:
    """moto has an ECS of its own, web pages for what it does not know, and a page that wipes all."""
    server = serve().start()
    with httpx.Client(base_url=server.url, timeout=60) as http:
        for service in ("quantum", "a" * 3000):
            reply = http.post("/", content=b"{}", headers=signed(service) | JSON)
            assert code(reply) == (501, "NotImplemented")
        # Who cannot be read from the signature is told by X-Amz-Target: it is our ECS that says this.
        target = {"X-Amz-Target": "AWSEvents.ListRules", "Content-Type": "application/x-amz-json-1.1"}
        assert code(http.post("/", content=b"{}", headers=signed("eventbridge") | target)) == (
            501,
            "NotImplemented",
        )
        for service in ("", "ECS", "ecs ", "../ecs", "\xe9", "Ecs"):
            headers = {k.encode(): v.encode() for k, v in (signed(service) | JSON).items()}
            reply = http.post("/", content=b'{"clusterName": 1}', headers=headers)
            assert code(reply) == (400, "SerializationException"), service
        for service in ("ec2", "iam", "sqs", "sns"):
            reply = http.post("/", data={"Action": "Fly"}, headers=signed(service))
            assert reply.status_code == 400, (service, reply.text)
            assert "<Code>InvalidAction</Code>" in reply.text
            assert "access-control-allow-origin" not in reply.headers
        for service in ("ssm", "secretsmanager", "kms", "ecr"):
            target = {"X-Amz-Target": "Whatever.Fly", "Content-Type": "application/x-amz-json-1.1"}
            reply = http.post("/", content=b"{}", headers=signed(service) | target)
            assert reply.status_code in (400, 501), (service, reply.text)
            assert reply.json()
        for path in ("/moto-api/reset", "/moto-api/data.json", "/%6doto-api/reset"):
            for headers_ in ({}, signed("s3"), signed("moto-api")):
                assert http.post(path, headers=headers_).status_code in (400, 501), path
    assert clusters(server) == []


def _blank(operation: str) -> dict[str, object]:
    """Everything that the operation requires, about objects that nobody has."""
    shape = operation_model("ecs", operation).input_shape
    made: dict[str, object] = {}
    for name in shape.required_members if shape else ():
        member = shape.members[name]
        made[name] = {"string": "nobody", "list": ["nobody"], "boolean": False}.get(member.type_name, 1)
    return made


UNKNOWN_IDS = sorted(
    operation
    for service, operation in registry()
    if service == "ecs"
    and operation.startswith(("Delete", "Deregister", "Stop", "Update", "Start", "Submit"))
)


@pytest.mark.parametrize("operation", UNKNOWN_IDS)
def test_unknown_ids(http: httpx.Client, operation: str) -> None:
    headers = JSON | {"X-Amz-Target": f"AmazonEC2ContainerServiceV20141113.{operation}"}
    reply = http.post("/", content=json.dumps(_blank(operation)), headers=headers)
    body = reply.json()
    assert reply.status_code == 400 or body.get("failures"), body


# What a web page can make a browser send


SIMPLE = ("text/plain", "text/plain;charset=UTF-8", "multipart/form-data; boundary=x", "", "application/json")


@pytest.mark.parametrize("media", SIMPLE)
@pytest.mark.parametrize("origin", ["http://evil.com", "null", "http://localhost.evil.com", "file://"])
def test_a_page_that_posts_without_asking_first(http: httpx.Client, media: str, origin: str) -> None:
    headers = {"Origin": origin, "Content-Type": media, "Referer": "http://evil.com/"}
    for path in ("/", "/?Action=CreateLoadBalancer&Name=x&Version=2015-12-01", "/_miniecs/reset"):
        reply = http.post(path, content=b'{"clusterName": "x"}', headers=headers)
        assert reply.status_code == 403
        assert not [name for name in reply.headers if name.startswith("access-control-")]
    preflight = headers | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-amz-target",
    }
    reply = http.options("/", headers=preflight)
    assert reply.status_code == 403
    assert not [name for name in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("host", ["evil.com", "evil.com:4566", "127.0.0.1.nip.io", "169.254.169.254", ""])
def test_a_name_that_was_bound_to_us(http: httpx.Client, host: str) -> None:
    """DNS rebinding: the page's own name leads to 127.0.0.1, and its requests are same-origin."""
    headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert http.post("/", content=b"{}", headers=headers | JSON).status_code == 403
    assert http.get("/_miniecs/health", headers=headers).status_code == 403
    assert http.get("/_miniecs/status", headers=headers).status_code == 403


@pytest.mark.parametrize(
    "query", ["X-Amz-Credential=a/20250101/us-east-1/elasticloadbalancing/aws4_request&", ""]
)
def test_an_image_cannot_change_anything(server: RealServer, http: httpx.Client, query: str) -> None:
    """<img src="http://localhost:4566/?Action=…"> in an old browser, without Sec-Fetch-Site."""
    reply = http.get(
        f"/?{query}Action=CreateTargetGroup&Name=x&Protocol=HTTP&Port=80&VpcId=v&Version=2015-12-01"
    )
    assert reply.status_code == 403
    assert server.client("elbv2").describe_target_groups()["TargetGroups"] == []
    if query:
        reply = http.get(f"/?{query}Action=DescribeTargetGroups&Version=2015-12-01")
        assert reply.status_code == 200


# Connections


def test_pipelined_requests_are_answered_in_order(server: RealServer) -> None:
    bodies = [b"{", b'{"clusterName": "!"}', b"[]", b'{"tags": 1}'] * 50
    with server.connect() as connection:
        connection.sendall(
            b"".join(_HEAD.encode() + b"Content-Length: %d\r\n\r\n" % len(b) + b for b in bodies)
        )
        stream = connection.makefile("rb")
        statuses = []
        for _ in bodies:
            first, length = stream.readline(), 0
            while (line := stream.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            assert json.loads(stream.read(length))["__type"]
            statuses.append(int(first.split()[1]))
    assert statuses == [400] * len(bodies)


def test_a_thousand_idle_connections(server: RealServer) -> None:
    before = server.resident()
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(server.connect())
        began = time.monotonic()
        clusters(server)
        assert time.monotonic() - began < 5
        assert server.resident() - before < 60


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00" * 500,
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}{}{}",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 20_000 + b"\r\n",
        b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /%00%ff%zz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        b"CONNECT evil.com:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    ],
    ids=lambda request: repr(request[:60]),
)
def test_what_is_hardly_http(server: RealServer, request_: bytes) -> None:
    """An error, or at worst the end of the connection; never a wait, never a 5xx."""
    with server.connect(timeout=10) as connection:
        try:
            connection.sendall(request_)
            reply = connection.recv(65536)
        except (BrokenPipeError, ConnectionResetError):
            reply = b""
    assert reply == b"" or 400 <= int(reply.split()[1]) < 500 or reply.split()[1] == b"501", reply


def test_a_request_that_ends_early_is_forgotten(server: RealServer) -> None:
    whole = _HEAD.encode() + b'Content-Length: 20\r\n\r\n{"clusterName": "x"}'
    for end in range(0, len(whole), 7):
        with server.connect() as connection:
            connection.sendall(whole[:end])
    for end in (len(whole) - 1, len(_HEAD)):
        with server.connect() as connection:
            connection.sendall(whole[:end])
            connection.shutdown(socket.SHUT_WR)
            with pytest.raises((Lost, ConnectionError)):
                read(connection)


def test_a_body_that_comes_a_byte_at_a_time(server: RealServer) -> None:
    body = b'{"clusterName": "!!"}'
    with server.connect() as connection:
        connection.sendall(_HEAD.encode() + b"Content-Length: %d\r\n\r\n" % len(body))
        for place in range(len(body)):
            connection.sendall(body[place : place + 1])
        assert read(connection).status == 400


@pytest.mark.parametrize(
    "content",
    [
        lambda: gzip.compress(b" " * 200_000_000),
        lambda: gzip.compress(gzip.compress(b" " * 10_000_000)),
        lambda: gzip.compress(b"{}")[:-4],
        lambda: b"\x1f\x8b" + b"\xff" * 100,
        lambda: b"",
        lambda: b"{}",
    ],
    ids=["bomb", "twice", "cut", "junk", "empty", "plain"],
)
def test_compressed_bodies(server: RealServer, http: httpx.Client, content: Callable[[], bytes]) -> None:
    body = content()  # here, since packing the bomb takes each worker a second wherever it is imported
    before = server.resident()
    reply = http.post("/", content=body, headers=JSON | {"Content-Encoding": "gzip"})
    assert reply.status_code in (400, 413)
    assert server.resident() - before < 50


def test_a_connection_lives_through_all_refusals(server: RealServer) -> None:
    connection = Connection(server.port)
    for body in (b"{", b" " * 11_000_000, b"[]") * 3:
        headers = JSON | {"Host": "localhost", "Content-Length": str(len(body))}
        assert connection.ask(headers, body).status in (400, 413)
    connection.close()
