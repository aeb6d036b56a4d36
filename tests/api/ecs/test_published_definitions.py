"""Task definitions as others published them: each registers, and what was sent comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from miniecs.fleets import Fleets
from miniecs.ids import Ids
from miniecs.model.task_definition import TaskDefinition
from miniecs.store.sqlite import SqliteStore
from miniecs_api.operations import Operations

if TYPE_CHECKING:
    from tests.api.conftest import Aws
    from tests.api.ecs.conftest import Ecs

FOLDER = Path(__file__).parents[2] / "data" / "taskdefs"
FILES = sorted(path.name for path in FOLDER.glob("*.json") if path.name != "manifest.json")

NO_ROLE_FOR_LOGS = (
    "Fargate requires task definition to have execution role ARN to support log driver awslogs."
)
REFUSED = {
    "aws-containers-task-definitions__jetty_jetty_fargate__1.json": NO_ROLE_FOR_LOGS,
    "aws-containers-task-definitions__nginx_nginx_fargate__1.json": NO_ROLE_FOR_LOGS,
    "aws-containers-task-definitions__tomcat_tomcat_ec2__1.json": (
        "When networkMode=awsvpc, the host ports and container ports in port mappings must match."
    ),
}


def lacking(sent: Any, answered: Any, path: str = "") -> list[str]:
    """Where the answer does not hold what was sent. Members may be added, list items may not."""
    if isinstance(sent, dict) and isinstance(answered, dict):
        return [
            problem
            for name, value in sent.items()
            for problem in lacking(value, answered.get(name), f"{path}.{name}")
        ]
    if isinstance(sent, list) and isinstance(answered, list) and len(sent) == len(answered):
        return [
            problem
            for index, (one, other) in enumerate(zip(sent, answered, strict=True))
            for problem in lacking(one, other, f"{path}[{index}]")
        ]
    return [] if sent == answered else [f"{path}: sent {sent!r}, answered {answered!r}"]


def test_the_manifest_names_every_file() -> None:
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    assert sorted(entry["file"] for entry in manifest) == FILES
    readme = (FOLDER / "README.md").read_text()
    assert all(entry["repo"] in readme and entry["commit"] in readme for entry in manifest)


@pytest.mark.parametrize("name", FILES)
def test_a_published_definition(ecs: Ecs, name: str) -> None:
    sent = json.loads((FOLDER / name).read_text())
    if name in REFUSED:
        assert ecs.refusal("RegisterTaskDefinition", **sent) == ("ClientException", REFUSED[name])
        return
    answered = ecs("RegisterTaskDefinition", **sent)["taskDefinition"]
    assert lacking(sent, answered) == []
    described = ecs("DescribeTaskDefinition", taskDefinition=sent["family"])["taskDefinition"]
    assert described == answered


def test_a_reopened_store_has_them_all(make_aws: Callable[..., Aws], tmp_path: Path) -> None:
    aws = make_aws()
    store = SqliteStore(tmp_path / "state.db")
    operations = Operations(store, Fleets(store), Ids(seed=1), aws.clock, aws.settings)
    answered = {}
    for name in FILES:
        if name not in REFUSED:
            params = json.loads((FOLDER / name).read_text())
            definition = operations.call("ecs", "RegisterTaskDefinition", params, aws.scope).result
            answered[definition["taskDefinition"]["taskDefinitionArn"]] = definition["taskDefinition"]
    store.close()
    reopened = SqliteStore(tmp_path / "state.db")
    assert {d.arn: d.wire() for d in reopened.all(TaskDefinition)} == answered
    reopened.close()


def test_a_difference_is_noticed() -> None:
    assert lacking({"a": [{"b": 1}]}, {"a": [{"b": 2, "c": 3}]}) == [".a[0].b: sent 1, answered 2"]
    assert lacking([1], [1, 2]) == [": sent [1], answered [1, 2]"]
