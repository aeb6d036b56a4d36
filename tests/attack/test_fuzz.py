"""20,000 requests, right in shape or mutated, over every operation there is, against the real server.

No 5xx, no lost connection, no answer that botocore cannot read, no error that the operation does not have, no
traceback in the log, no memory that only grows. A failing case prints its seed, the request and the answer.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from botocore.model import Shape

from miniecs_api.dispatch import registry

from .mutate import BYTES, HEADERS, as_form, as_json, mutate
from .requests import Living, choose, make, model, operation_model
from .server import RealServer
from .wire import Answer, Connection, Lost, allowed, parse

ROUNDS = 10
REQUESTS = 2_000  # in each round
MOST_MEMORY = 400  # MiB

OPERATIONS = sorted(registry())
_SIGNED_AS = {
    "ecs": "ecs",
    "elbv2": "elasticloadbalancing",
    "sts": "sts",
    "cloudwatch": "monitoring",
}


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    # Time runs faster, so that what control does after minutes is reached.
    folder = tmp_path_factory.mktemp("fuzzed")
    server = RealServer(folder / "data", folder, instances=3, time_scale=20.0)
    try:
        yield server.start()
    finally:
        server.stop()


class Case:
    """One request on its way: what was meant, what was sent, what came back."""

    def __init__(self, service: str, operation: str, rng: random.Random, living: Living) -> None:
        self.service = service
        self.operation = operation
        self.params = make(service, operation, rng, living)
        self.mutated = rng.random() < 0.5
        self.headers = _headers(service, operation)
        if self.mutated and rng.random() < 0.8:
            self.params = mutate(self.params, rng)
        self.body = _body(service, operation, self.params)
        # Whether the request still names its operation, so that its model says which errors there are.
        self.meant = True
        if self.mutated and rng.random() < 0.25:
            self.body = rng.choice(BYTES)(self.body, rng)
            self.meant = service == "ecs"
        elif self.mutated and rng.random() < 0.15:
            for name, text in rng.choice(HEADERS).items():
                self.headers.pop(name, None)
                if text is not None:
                    self.headers[name] = text
            self.meant = False
        self.headers["Content-Length"] = str(len(self.body))

    def judge(self, answer: Answer) -> dict[str, Any]:
        """The parsed answer. Raises AssertionError for what must not be."""
        assert answer.status < 500 or answer.status == 501, "a 5xx"
        if not self.meant:
            assert answer.body, "no body"
            return {}
        parsed = parse(self.service, self.operation, answer)
        assert parsed["ResponseMetadata"]["RequestId"]
        if answer.status == 200:
            output = operation_model(self.service, self.operation).output_shape
            if self.service == "ecs" and output is not None:
                assert (wrong := strays(output, json.loads(answer.body))) is None, wrong
            return parsed
        code = parsed["Error"]["Code"]
        assert code in allowed(self.service, self.operation), f"no error of {self.operation}: {code}"
        assert parsed["Error"]["Message"], "an error without a message"
        return {}

    def __str__(self) -> str:
        body = self.body if len(self.body) < 4000 else self.body[:4000] + b"..."
        return f"{self.service} {self.operation}\nheaders {self.headers}\nbody {body!r}"


_PYTHON = {
    "string": str,
    "integer": int,
    "long": int,
    "boolean": bool,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}


def strays(shape: Shape, value: Any, at: str = "") -> str | None:
    """Where an answer does not keep to its shape, which botocore would drop without a word."""
    match shape.type_name:
        case "structure":
            if not isinstance(value, dict):
                return f"{at} is no structure"
            for name, part in value.items():
                if name not in shape.members:
                    return f"{at}.{name} is no member"
                if wrong := strays(shape.members[name], part, f"{at}.{name}"):
                    return wrong
            return None
        case "list":
            found = (strays(shape.member, part, f"{at}[]") for part in value)
            return next((wrong for wrong in found if wrong), None)
        case "map":
            found = (strays(shape.value, part, f"{at}.{key}") for key, part in value.items())
            return next((wrong for wrong in found if wrong), None)
    wanted: Any = _PYTHON[shape.type_name]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        return f"{at} is {value!r}, no {shape.type_name}"
    return None


def _headers(service: str, operation: str) -> dict[str, str]:
    scope = f"000000000000/20250101/us-east-1/{_SIGNED_AS[service]}/aws4_request"
    headers = {
        "Host": "localhost",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
    }
    if service == "ecs":
        headers["Content-Type"] = "application/x-amz-json-1.1"
        headers["X-Amz-Target"] = f"AmazonEC2ContainerServiceV20141113.{operation}"
    return headers


def _body(service: str, operation: str, params: dict[str, Any]) -> bytes:
    if service == "ecs":
        return as_json(params)
    return as_form(params, operation, model(service).api_version)


def run(server: RealServer, seed: int, requests: int) -> Counter[str]:
    """One round on an emptied server; how many answers there were of each operation and outcome."""
    httpx.post(f"{server.url}/_miniecs/reset?restore=true", timeout=30).raise_for_status()
    rng, living, seen = random.Random(seed), Living(), Counter[str]()
    connection = Connection(server.port)
    for number in range(requests):
        service, operation = choose(OPERATIONS, rng)
        case = Case(service, operation, rng, living)
        answer: Answer | None = None
        try:
            answer = connection.ask(case.headers, case.body)
            parsed = case.judge(answer)
        except (AssertionError, OSError, ValueError) as error:
            log = "\n".join(server.said().splitlines()[-60:])
            pytest.fail(
                f"seed {seed}, request {number}: {type(error).__name__}: {error}\n{case}\n-> {answer}\n{log}",
                pytrace=not isinstance(error, (AssertionError, Lost)),
            )
        living.remember(parsed)
        seen[f"{service}.{operation} {answer.status}"] += 1
    connection.close()
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("round", range(ROUNDS))
def test_no_request_breaks_the_server(fuzzed: RealServer, round: int) -> None:
    seen = run(fuzzed, seed=1000 + round, requests=REQUESTS)
    assert sum(seen.values()) == REQUESTS
    assert fuzzed.trouble() == []
    assert fuzzed.resident() < MOST_MEMORY
    client = fuzzed.client("ecs")
    client.create_cluster(clusterName="afterwards")
    assert client.describe_clusters(clusters=["afterwards"])["clusters"][0]["status"] == "ACTIVE"
