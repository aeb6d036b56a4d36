"""The aws CLI and boto3 against the real operations behind the real door, on loopback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvicorn
from botocore.config import Config
from botocore.exceptions import ClientError

from miniecs.clock import SystemClock
from miniecs.fleets import Fleets
from miniecs.ids import Ids
from miniecs.store import MemoryStore
from miniecs_api.app import create_app
from miniecs_api.context import ApiSettings
from miniecs_api.door import DoorSettings
from miniecs_api.operations import Operations

from .test_published_definitions import FILES, FOLDER, REFUSED, lacking

pytestmark = pytest.mark.slow

GROUP = "arn:aws:autoscaling:us-east-1:000000000000:autoScalingGroup:1:autoScalingGroupName/web"


class NothingElse:
    """No other services and nobody to administer: what is not ECS here is not asked for."""

    async def forward(self, *_: Any) -> Any:
        raise NotImplementedError

    def health(self) -> dict[str, Any]:
        return {}

    async def reset(self, restore: bool) -> None:
        raise NotImplementedError


@dataclass
class Server:
    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        return boto3.client(
            "ecs",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="000000000000",
            aws_secret_access_key="x",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def cli(self, *arguments: str) -> Any:
        """``aws ecs …``; its JSON. Raises CalledProcessError when it fails."""
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": "000000000000",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_PAGER": "",
        }
        command = [str(Path(sys.executable).with_name("aws")), "ecs", *arguments, "--output", "json"]
        done = subprocess.run(
            command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=60, check=True
        )
        return json.loads(done.stdout or "null")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("ecs")
    store = MemoryStore()
    operations = Operations(store, Fleets(store), Ids(), SystemClock(), ApiSettings())
    app = create_app(operations, NothingElse(), NothingElse(), DoorSettings())
    # Bound and listening before the thread begins: whoever connects early waits in the backlog.
    listener = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield Server(listener.getsockname()[1], folder)
    running.should_exit = True
    thread.join(30)
    assert not thread.is_alive(), "the server did not stop within 30 s"


@pytest.mark.parametrize("name", FILES)
def test_a_published_definition(server: Server, name: str) -> None:
    client = server.client()
    sent = json.loads((FOLDER / name).read_text())
    if name in REFUSED:
        with pytest.raises(ClientError) as caught:
            client.register_task_definition(**sent)
        assert caught.value.response["Error"] == {"Code": "ClientException", "Message": REFUSED[name]}
        return
    answered = client.register_task_definition(**sent)["taskDefinition"]
    assert lacking(sent, answered) == []
    described = client.describe_task_definition(taskDefinition=answered["taskDefinitionArn"])
    assert described["taskDefinition"] == answered


def test_task_definitions_by_hand(server: Server) -> None:
    containers = json.dumps([{"name": "app", "image": "busybox", "memory": 64}])
    register = ("register-task-definition", "--family", "byhand", "--container-definitions", containers)
    first = server.cli(*register, "--tags", "key=team,value=blue")
    assert first["tags"] == [{"key": "team", "value": "blue"}]
    second = server.cli(*register, "--cpu", "1 vCPU", "--memory", "2GB")["taskDefinition"]
    assert (second["revision"], second["cpu"], second["memory"]) == (2, "1024", "2048")
    arns = [first["taskDefinition"]["taskDefinitionArn"], second["taskDefinitionArn"]]
    assert server.cli("list-task-definitions", "--family-prefix", "byhand") == {"taskDefinitionArns": arns}
    newest = server.cli("describe-task-definition", "--task-definition", "byhand")
    assert newest == {"taskDefinition": second}
    gone = server.cli("deregister-task-definition", "--task-definition", "byhand:1")["taskDefinition"]
    assert gone["status"] == "INACTIVE"
    deleted = server.cli("delete-task-definitions", "--task-definitions", "byhand:1", "byhand:2")
    assert [d["status"] for d in deleted["taskDefinitions"]] == ["DELETE_IN_PROGRESS"]
    assert [f["arn"] for f in deleted["failures"]] == ["byhand:2"]
    families = server.cli("list-task-definition-families", "--family-prefix", "byhand", "--status", "ACTIVE")
    assert families == {"families": ["byhand"]}


def test_a_refusal_on_the_command_line(server: Server) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        server.cli("register-task-definition", "--family", "none", "--container-definitions", "[]")
    assert "(ClientException) when calling the RegisterTaskDefinition operation" in caught.value.stderr
    assert "Container list cannot be empty." in caught.value.stderr


def test_clusters_and_capacity_providers_by_hand(server: Server) -> None:
    provider = json.dumps({"autoScalingGroupArn": GROUP, "managedScaling": {"status": "ENABLED"}})
    server.cli("create-capacity-provider", "--name", "cp", "--auto-scaling-group-provider", provider)
    strategy = "capacityProvider=cp,weight=1"
    server.cli("create-cluster", "--cluster-name", "hand", "--capacity-providers", "cp", "FARGATE")
    updated = server.cli(
        "put-cluster-capacity-providers",
        *("--cluster", "hand", "--capacity-providers", "cp"),
        *("--default-capacity-provider-strategy", strategy),
    )["cluster"]
    assert updated["defaultCapacityProviderStrategy"] == [
        {"capacityProvider": "cp", "weight": 1, "base": 0}
    ]
    setting = "name=containerInsights,value=enabled"
    server.cli("update-cluster-settings", "--cluster", "hand", "--settings", setting)
    included = ("SETTINGS", "STATISTICS", "TAGS", "CONFIGURATIONS", "ATTACHMENTS")
    described = server.cli("describe-clusters", "--clusters", "hand", "none", "--include", *included)
    (cluster,) = described["clusters"]
    assert cluster["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    assert len(cluster["statistics"]) == 12
    assert [failure["reason"] for failure in described["failures"]] == ["MISSING"]
    assert cluster["clusterArn"] in server.cli("list-clusters")["clusterArns"]
    names = [p["name"] for p in server.cli("describe-capacity-providers")["capacityProviders"]]
    assert names == ["FARGATE", "FARGATE_SPOT", "cp"]
    assert server.cli("delete-cluster", "--cluster", "hand")["cluster"]["status"] == "INACTIVE"
    scaling = "managedScaling={targetCapacity=50}"
    server.cli("update-capacity-provider", "--name", "cp", "--auto-scaling-group-provider", scaling)
    gone = server.cli("delete-capacity-provider", "--capacity-provider", "cp")["capacityProvider"]
    assert gone["status"] == "INACTIVE"


def test_attributes_settings_and_tags_by_hand(server: Server) -> None:
    client = server.client()
    arn = client.create_cluster(clusterName="marked")["cluster"]["clusterArn"]
    instance = client.register_container_instance(
        cluster="marked",
        instanceIdentityDocument=json.dumps({"instanceId": "i-0123456789abcdef0"}),
        totalResources=[
            {"name": "CPU", "type": "INTEGER", "integerValue": 1024},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": 1024},
        ],
    )["containerInstance"]["containerInstanceArn"]
    attribute = f"name=stack,value=prod,targetId={instance}"
    server.cli("put-attributes", "--cluster", "marked", "--attributes", attribute)
    where = ("--cluster", "marked", "--target-type", "container-instance", "--attribute-name", "stack")
    (listed,) = server.cli("list-attributes", *where)["attributes"]
    assert (listed["value"], listed["targetId"]) == ("prod", instance)
    server.cli("delete-attributes", "--cluster", "marked", "--attributes", f"name=stack,targetId={instance}")
    assert server.cli("list-attributes", *where) == {"attributes": []}

    server.cli("tag-resource", "--resource-arn", arn, "--tags", "key=a,value=b", "key=c,value=d")
    server.cli("untag-resource", "--resource-arn", arn, "--tag-keys", "a")
    assert server.cli("list-tags-for-resource", "--resource-arn", arn) == {
        "tags": [{"key": "c", "value": "d"}]
    }

    server.cli("put-account-setting-default", "--name", "containerInsights", "--value", "enabled")
    server.cli("put-account-setting", "--name", "awsvpcTrunking", "--value", "enabled")
    own = {s["name"]: s["value"] for s in server.cli("list-account-settings")["settings"]}
    assert own == {"containerInsights": "enabled", "awsvpcTrunking": "enabled"}
    effective = server.cli("list-account-settings", "--effective-settings")["settings"]
    assert len(effective) == 11, "the CLI follows nextToken"
    server.cli("delete-account-setting", "--name", "containerInsights")
    server.cli("delete-account-setting", "--name", "awsvpcTrunking")
    assert server.cli("list-account-settings") == {"settings": []}
