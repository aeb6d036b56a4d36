"""Who may join from another machine: signatures as agents make them, whole, altered, old and of strangers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from miniecs_api.signatures import JoinCredentials, Signatures, is_loopback

from .conftest import ManualClock
from .servers import KEY, REGISTRATION, SECRET, ServerProcess, other_addresses, signed

ELSEWHERE = ("192.0.2.7", 40000)
URL = "http://203.0.113.1:4566/acs/ws?dockerVersion=DockerVersion%3A%2020.10&seqNum=1&a-b=2&a=1"
NOT_MATCHING = (
    "The request signature we calculated does not match the signature you provided. Check the join token."
)


class Case:
    """A request from elsewhere, signed by botocore at the clock's time."""

    def __init__(self, *, key: str = KEY, secret: str = SECRET, service: str = "ecs", **more: Any) -> None:
        self.clock = ManualClock()
        self.body: bytes = more.get("body", b"")
        self.method = "POST" if self.body else "GET"
        headers = {"Host": "203.0.113.1:4566"} | more.get("headers", {})
        request = AWSRequest(self.method, URL, headers=headers, data=self.body)
        auth = SigV4Auth(Credentials(key, secret), service, "us-west-2")
        request.context["timestamp"] = stamp = at(self.clock.time)
        request.headers["X-Amz-Date"] = stamp
        text = auth.string_to_sign(request, auth.canonical_request(request))
        auth._inject_signature_to_request(request, auth.signature(text, request))
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        self.query = urlsplit(URL).query
        self.path = "/acs/ws"
        self.client: Any = ELSEWHERE
        self.join = JoinCredentials(KEY, SECRET)

    def judged(self) -> tuple[str, str] | None:
        scope = {
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in self.headers.items()],
            "client": self.client,
        }
        refusal = Signatures(self.join, self.clock).refuse(scope, self.method, self.body)
        if refusal is None:
            return None
        assert refusal.status == 403
        return refusal.code, refusal.message


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


def test_what_is_signed_with_the_join_credentials_is_let_in() -> None:
    assert Case().judged() is None
    assert Case(body=b'{"cluster": "mini"}').judged() is None


def test_a_query_is_compared_by_what_it_means() -> None:
    """Go's client sends a space as + and signs it as %20."""
    case = Case()
    assert "%20" in case.query
    case.query = case.query.replace("%20", "+")
    assert case.judged() is None


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("method", "PUT"),
        ("path", "/tcs/ws"),
        ("query", "seqNum=2"),
        ("body", b"{}"),
        ("host", "203.0.113.2:4566"),
        ("authorization", "Signature="),
    ],
)
def test_whatever_is_altered_no_longer_matches(change: str, value: Any) -> None:
    case = Case(body=b'{"cluster": "mini"}')
    if change == "host":
        case.headers["host"] = value
    elif change == "authorization":
        case.headers["authorization"] = case.headers["authorization"][:-64] + 64 * "0"
    else:
        setattr(case, change, value)
    assert case.judged() == ("InvalidSignatureException", NOT_MATCHING)


def test_a_body_must_be_the_one_whose_hash_was_signed() -> None:
    case = Case(body=b"{}", headers={"X-Amz-Content-SHA256": 64 * "0"})
    code, message = case.judged() or ("", "")
    assert (code, "x-amz-content-sha256" in message) == ("InvalidSignatureException", True)
    unsigned = Case(body=b"{}", headers={"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    assert (unsigned.judged() or ("",))[0] == "InvalidSignatureException"


def test_another_secret_does_not_match_and_another_key_is_unknown() -> None:
    assert Case(secret=SECRET[::-1]).judged() == ("InvalidSignatureException", NOT_MATCHING)
    unknown = ("UnrecognizedClientException", "The security token included in the request is invalid.")
    assert Case(key="A" * 20).judged() == unknown
    nobody_may = Case(key="", secret="")
    nobody_may.join = JoinCredentials()
    assert (nobody_may.judged() or ("",))[0] == "IncompleteSignature"
    nobody_may = Case(secret="")
    nobody_may.join = JoinCredentials(KEY, "")
    assert nobody_may.judged() == unknown


@pytest.mark.parametrize(("seconds", "fresh"), [(300, True), (301, False), (-300, True), (-301, False)])
def test_an_old_signature_is_refused_with_both_times(seconds: int, fresh: bool) -> None:
    case = Case()
    signed_at = case.clock.time
    case.clock.time += seconds
    if fresh:
        assert case.judged() is None
        return
    here = at(signed_at + seconds)
    assert case.judged() == (
        "InvalidSignatureException",
        f"Signature expired: signed at {at(signed_at)}, and it is {here} here; more than 5 minutes lie "
        "between the two machines' clocks.",
    )


def test_another_service_or_day_is_refused() -> None:
    scoped = "Credential should be scoped to X-Amz-Date's day and to service ecs."
    assert Case(service="s3").judged() == ("InvalidSignatureException", scoped)
    case = Case()
    today = at(case.clock.time)[:8]
    case.headers["authorization"] = case.headers["authorization"].replace(today, "20200101")
    assert case.judged() == ("InvalidSignatureException", scoped)
    case = Case()
    case.headers["x-amz-date"] = "yesterday"
    assert (case.judged() or ("",))[0] == "InvalidSignatureException"


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic YTpi",
        "AWS4-HMAC-SHA256",
        f"AWS4-HMAC-SHA256 Credential={KEY}/20231114/us-west-2/ecs/aws4_request, SignedHeaders=host, "
        f"Signature={64 * '0'}",
        f"AWS4-HMAC-SHA256 Credential={KEY}/20231114/us-west-2/ecs/aws4_request, "
        f"SignedHeaders=host;x-amz-date;x-nothing, Signature={64 * '0'}",
        f"AWS4-HMAC-SHA256 Credential={KEY}/x/us-west-2/ecs/aws4_request, SignedHeaders=host;x-amz-date, "
        "Signature=00",
    ],
)
def test_what_is_no_whole_signature_is_incomplete(authorization: str) -> None:
    case = Case()
    case.headers["authorization"] = authorization
    assert (case.judged() or ("",))[0] == "IncompleteSignature"


def test_who_does_not_sign_is_told_so() -> None:
    case = Case()
    del case.headers["authorization"]
    assert case.judged() == ("MissingAuthenticationToken", "Request is missing Authentication Token")
    case.client = None
    assert case.judged() is not None


@pytest.mark.parametrize(
    ("address", "is_so"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:192.0.2.1", False),
        ("192.0.2.1", False),
        ("0.0.0.0", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_only_loopback_is_not_asked(address: str, is_so: bool) -> None:
    assert is_loopback(address) is is_so
    case = Case(secret="wrong")
    case.client = (address, 1)
    assert (case.judged() is None) is is_so


# Against a server that other machines reach.


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    running = ServerProcess(tmp_path_factory.mktemp("server"), bind="0.0.0.0").start()
    running.ecs("CreateCluster", {"clusterName": "mini"})
    yield running
    running.close()
    assert "Traceback" not in running.log


@pytest.fixture(scope="module")
def address() -> str:
    found = other_addresses()
    if not found:
        pytest.skip("this machine has no address but loopback's")
    return found[0]


AGENTS_CALLS = {
    "RegisterContainerInstance": REGISTRATION,
    "DiscoverPollEndpoint": {"cluster": "mini"},
    "SubmitTaskStateChange": {"cluster": "mini", "task": "t", "status": "RUNNING"},
    "SubmitContainerStateChange": {"cluster": "mini", "task": "t", "status": "RUNNING"},
    "SubmitAttachmentStateChanges": {"cluster": "mini", "attachments": []},
}


@pytest.mark.parametrize("operation", sorted(AGENTS_CALLS))
def test_agents_calls_from_elsewhere_need_the_join_credentials(
    server: ServerProcess, address: str, operation: str
) -> None:
    params = AGENTS_CALLS[operation]

    def asked(**how: Any) -> tuple[int, str]:
        status, answer = server.ecs(operation, params, **how)
        return status, answer.get("__type", "").rpartition("#")[2]

    assert asked(address=address) == (403, "MissingAuthenticationToken")
    assert asked(address=address, sign=signed(secret="wrong")) == (403, "InvalidSignatureException")
    assert asked(address=address, sign=signed(key="000000000000")) == (403, "UnrecognizedClientException")
    here = asked()
    assert here[0] in (200, 400)
    assert asked(address=address, sign=signed()) == here
    assert asked(sign=signed(secret="wrong")) == here
    assert f"refused an agent at {address} (/): Request is missing Authentication Token" in server.log


def test_everybody_elses_calls_need_none(server: ServerProcess, address: str) -> None:
    assert server.ecs("ListClusters", address=address)[0] == 200
    assert server.ecs("ListClusters", address=address, sign=signed(secret="wrong"))[0] == 200


def test_an_agent_is_sent_to_where_it_found_the_server(server: ServerProcess, address: str) -> None:
    endpoint = f"http://{address}:{server.port}"
    answer = {"endpoint": f"{endpoint}/acs", "telemetryEndpoint": f"{endpoint}/tcs"}
    asked = server.ecs("DiscoverPollEndpoint", {"cluster": "mini"}, address=address, sign=signed())
    assert asked == (200, answer)


@pytest.mark.parametrize("path", ["/acs/ws", "/tcs/ws"])
def test_channels_from_elsewhere_need_the_join_credentials(
    server: ServerProcess, address: str, path: str
) -> None:
    _, answer = server.ecs("RegisterContainerInstance", REGISTRATION)
    arn = answer["containerInstance"]["containerInstanceArn"]
    names = {"containerInstanceArn": arn, "containerInstance": arn, "dockerVersion": "DockerVersion: 20"}
    missing = {"MissingAuthenticationToken": "Request is missing Authentication Token"}
    assert server.refusal(path, names, address=address) == (403, missing)
    wrong = server.refusal(path, names, address=address, sign=signed(secret="wrong"))
    assert wrong == (403, {"InvalidSignatureException": NOT_MATCHING})
    server.dial(path, names, address=address, sign=signed()).close()


def test_host_links_from_elsewhere_need_them_too(server: ServerProcess, address: str) -> None:
    refused = (403, {"message": "Request is missing Authentication Token"})
    assert server.refusal("/host/ws", address=address) == refused
    with server.dial("/host/ws", address=address, sign=signed()) as link:
        link.send("miniecs.HostHello", host="ENGINE", name="other", local=False)
        assert link.receive("miniecs.HostInstances")["instances"] == []


def test_the_local_host_is_on_this_machine(server: ServerProcess, address: str) -> None:
    """There, one may dial any of its addresses; the kernel then dials from the same one."""
    with server.dial("/host/ws", address=address, sign=signed()) as link:
        link.send("miniecs.HostHello", host="local", name="here", local=True)
        assert link.receive("miniecs.HostInstances")["instances"] == []
