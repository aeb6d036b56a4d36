"""The server ends in the middle of its work: by kill -9, and by SIGTERM while requests are in flight."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from .server import RealServer
from .wire import Lost, read

pytestmark = pytest.mark.slow

Serve = Callable[..., RealServer]

WRITERS = 4
BROKEN = (BotoCoreError, KeyError, ResponseParserError)
_WEB = {"family": "web", "containerDefinitions": [{"name": "app", "image": "busybox:latest", "memory": 16}]}


class Writer:
    """Writes through boto3 until the connection breaks; keeps what was acknowledged."""

    def __init__(self, server: RealServer, number: int) -> None:
        self._ecs = server.client("ecs")
        self._elbv2 = server.client("elbv2")
        self._number = number
        self.acknowledged: dict[str, Any] = {}
        self.begun: str | None = None
        self.error: Exception | None = None

    def write(self, until: int, tell: Callable[[], None]) -> None:
        try:
            for count in range(until):
                name = f"w{self._number}-{count}"
                self.begun = name
                self.acknowledged[name] = self._one(count, name)
                self.begun = None
                tell()
        except (BotoCoreError, ClientError, KeyError, ResponseParserError) as error:
            self.error = error

    def _one(self, count: int, name: str) -> Any:
        match count % 4:
            case 0:
                tags = [{"key": "n", "value": name}]
                return self._ecs.create_cluster(clusterName=name, tags=tags)["cluster"]["clusterArn"]
            case 1:
                answer = self._ecs.register_task_definition(**_WEB | {"family": name})
                return answer["taskDefinition"]["taskDefinitionArn"]
            case 2:
                tasks = self._ecs.run_task(taskDefinition="web", launchType="EC2", startedBy=name)["tasks"]
                return [task["taskArn"] for task in tasks]
            case _:
                answer = self._elbv2.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId="vpc-1")
                return answer["TargetGroups"][0]["TargetGroupArn"]


def lists(server: RealServer) -> dict[str, list[str]]:
    ecs, elbv2 = server.client("ecs"), server.client("elbv2")

    def all_of(client: Any, operation: str, key: str, **params: Any) -> list[Any]:
        pages = client.get_paginator(operation).paginate(**params)
        return [item for page in pages for item in page[key]]

    return {
        "clusters": all_of(ecs, "list_clusters", "clusterArns"),
        "definitions": all_of(ecs, "list_task_definitions", "taskDefinitionArns"),
        "tasks": [
            arn
            for status in ("RUNNING", "STOPPED")
            for arn in all_of(ecs, "list_tasks", "taskArns", desiredStatus=status)
        ],
        "groups": [g["TargetGroupArn"] for g in all_of(elbv2, "describe_target_groups", "TargetGroups")],
    }


@pytest.mark.parametrize("after", [40, 1000])
def test_kill_9_in_the_middle_of_a_thousand_writes(serve: Serve, after: int) -> None:
    server = serve(instances=3).start()
    server.client("ecs").register_task_definition(**_WEB)
    enough, count, lock = threading.Event(), 0, threading.Lock()

    def tell() -> None:
        nonlocal count
        with lock:
            count += 1
            if count == after:
                enough.set()

    writers = [Writer(server, number) for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        done = [pool.submit(writer.write, after, tell) for writer in writers]
        try:
            assert enough.wait(120), [writer.error for writer in writers]
        finally:
            os.kill(server.pid, signal.SIGKILL)
            server.kill()
        for future in done:
            future.result(60)
    acknowledged = {name: arn for writer in writers for name, arn in writer.acknowledged.items()}
    assert len(acknowledged) >= after
    # A server that is gone refuses nothing; a reply that ends after its head has no members for boto3.
    assert all(isinstance(writer.error, BROKEN) for writer in writers)

    found = lists(server.start())
    clusters, definitions = set(found["clusters"]), set(found["definitions"])
    tasks, groups = set(found["tasks"]), set(found["groups"])
    missing = []
    for name, arn in acknowledged.items():
        kind = int(name.rpartition("-")[2]) % 4
        held = (clusters, definitions, tasks, groups)[kind]
        missing += [one for one in (arn if isinstance(arn, list) else [arn]) if one not in held]
    assert missing == []
    # What nobody was told of may be there or not, one write a writer; nothing else is.
    begun = {writer.begun for writer in writers if writer.begun}
    known = {"default", "web", *acknowledged, *begun}
    names = [arn.rsplit("/", 1)[-1].partition(":")[0] for arn in (*clusters, *definitions)]
    assert set(names) <= known and len(names) == len(set(names))
    ecs = server.client("ecs")
    described = ecs.describe_clusters(clusters=["w0-0"], include=["TAGS"])["clusters"][0]
    assert described["tags"] == [{"key": "n", "value": "w0-0"}]
    # The tasks go on to where they were going.
    deadline = time.monotonic() + 60
    statuses: set[str] = set()
    while time.monotonic() < deadline:
        some = [arn for name, arn in acknowledged.items() if isinstance(arn, list) for arn in arn][:50]
        statuses = {task["lastStatus"] for task in ecs.describe_tasks(tasks=some)["tasks"]}
        if statuses <= {"RUNNING", "STOPPED"}:
            break
        time.sleep(0.25)
    assert statuses <= {"RUNNING", "STOPPED"}
    assert server.trouble() == []


def test_sigterm_while_requests_are_in_flight(serve: Serve) -> None:
    """What was accepted is answered, whoever is idle is hung up on, and the process ends at once."""
    server = serve(instances=2).start()
    server.client("ecs").register_task_definition(**_WEB)
    idle = [server.connect() for _ in range(50)]
    half = server.connect()
    half.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    writers = [Writer(server, number) for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        done = [pool.submit(writer.write, 100_000, lambda: None) for writer in writers]
        while sum(len(writer.acknowledged) for writer in writers) < 40:
            assert not any(writer.error for writer in writers)
            time.sleep(0.01)
        began = time.monotonic()
        assert server.stop() == 0
        took = time.monotonic() - began
        for future in done:
            future.result(60)
    assert took < 10, f"it took {took:.1f} s to end"
    assert server.trouble() == []
    assert read(half).status == 503
    for connection in idle:
        with connection, pytest.raises((Lost, ConnectionError)):
            read(connection)
    half.close()
    assert not (server.folder / "server.json").exists()
    acknowledged = [arn for writer in writers for arn in writer.acknowledged.values()]
    found = {arn for arns in lists(server.start()).values() for arn in arns}
    assert [arn for arn in acknowledged if not set(arn if isinstance(arn, list) else [arn]) <= found] == []
