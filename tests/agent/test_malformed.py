"""What is no message, or no task: said, ignored or reported; and nothing else suffers from it."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from miniecs_agent.core.effects import SendAcs, SendTcs, Submit
from miniecs_agent.core.shapes import Each, Record, Shape, Values, fault
from miniecs_agent.core.spec import InvalidTask, read_task
from miniecs_agent.docker.config import Place, create_body, task_volumes, volumes
from miniecs_agent.docker.errors import Failure
from miniecs_agent.host_engine import Owner
from miniecs_agent.host_ports import HostPorts
from miniecs_agent.shell.host_link import read_desired

from .cases import CLUSTER, INSTANCE, Bench, arn, container, document, payload, sent

PLACE = Place(Owner("0123456789ab", "/data"), "i-1", "miniecs-01234567-i-1", cpus=4)

EVERYTHING = document(
    container(
        "web",
        command=["serve"],
        entryPoint=["sh"],
        environment={"A": "1"},
        cpu=10,
        memory=16,
        links=["side:alias"],
        portMappings=[
            {"containerPort": 80, "hostPort": 0, "protocol": "tcp"},
            {"containerPortRange": "90-92", "protocol": "udp"},
        ],
        mountPoints=[{"sourceVolume": "scratch", "containerPath": "/v", "readOnly": True}],
        volumesFrom=[{"sourceContainer": "side", "readOnly": False}],
        dependsOn=[{"containerName": "side", "condition": "HEALTHY"}],
        startTimeout=3,
        stopTimeout=3,
        restartPolicy={"enabled": True, "ignoredExitCodes": [1], "restartAttemptPeriod": 60},
        healthCheckType="docker",
        dockerConfig={"config": '{"User": "x"}', "hostConfig": "{}", "version": "1.17"},
        overrides='{"command": ["other"]}',
    ),
    container("side"),
    volumes=[
        {"name": "scratch", "type": "host", "host": {}},
        {"name": "own", "type": "docker", "dockerVolumeConfiguration": {"scope": "task", "labels": {}}},
    ],
    associations=[{"type": "gpu", "containers": ["other"]}],
    roleCredentials={"credentialsId": "c", "expiration": "e"},
    lastStatus="PENDING",
    cpu=0.5,
    memory=20,
)
NAMES = {"clusterArn": CLUSTER, "containerInstanceArn": INSTANCE, "messageId": "m"}
TASKS = [{"taskArn": arn(), "taskClusterArn": CLUSTER, "desiredStatus": "RUNNING"}]
INTERFACES = [{"attachmentArn": "arn:a", "macAddress": "0a:00:00:00:00:01"}]
MESSAGES = [
    payload(EVERYTHING, document(name="t2")),
    {"type": "TaskManifestMessage", "message": {**NAMES, "timeline": 5, "tasks": TASKS}},
    {"type": "TaskStopVerificationAck", "message": {"messageId": "m", "stopTasks": TASKS}},
    {"type": "HeartbeatMessage", "message": {"healthy": True, "messageId": "m"}},
    {
        "type": "IAMRoleCredentialsMessage",
        "message": {"messageId": "m", "roleCredentials": {"credentialsId": "c", "expiration": "e"}},
    },
    {
        "type": "AttachTaskNetworkInterfacesMessage",
        "message": {**NAMES, "taskArn": arn(), "elasticNetworkInterfaces": INTERFACES},
    },
    {
        "type": "AttachInstanceNetworkInterfacesMessage",
        "message": {**NAMES, "elasticNetworkInterfaces": INTERFACES},
    },
    {"type": "ConfirmAttachmentMessage", "message": NAMES},
    {"type": "PerformUpdateMessage", "message": NAMES},
]
JUNK: list[Any] = [
    *(None, 0, -1, 1.5, 1e308, 2**62, True, False),
    *("", "x", "{", "[]", "null", '{"a": 1}', '{"command": 1}', '{"Labels": 5}', '{"LogConfig": [1]}'),
    *("90-", "a-b", "5-1", "1-70000", "\u0000"),
    *([], [1], ["x"], [None], [[]], [{}], {}, {"a": 1}, {"x": None}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each part of a document."""
    children: Any = enumerate(value) if isinstance(value, list) else ()
    for key, child in value.items() if isinstance(value, dict) else children:
        yield (*path, key)
        yield from places(child, (*path, key))


def spoiled(whole: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A copy with one to three parts that are missing or something else."""
    spoiled = copy.deepcopy(whole)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        *way, last = chance.choice(list(places(spoiled)) or [("type",)])
        part: Any = spoiled
        for key in way:
            part = part[key]
        if isinstance(part, dict) and chance.random() < 0.2:
            del part[last]
        else:
            part[last] = copy.deepcopy(chance.choice(JUNK))
    return spoiled


@pytest.mark.parametrize("seed", range(8))
def test_no_message_harms_an_agent(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(250):
        bench = Bench()
        if chance.random() < 0.5:
            bench.take(document(name="well"))
        message = spoiled(chance.choice(MESSAGES), chance)
        for effect in bench.core.handle(1.0, message):
            if isinstance(effect, SendAcs | SendTcs):
                orjson.dumps(effect.message)
            elif isinstance(effect, Submit):
                orjson.dumps(effect.params)
        bench.core.tick(60.0)
        effects = bench.core.handle(61.0, payload(document(name="after"), seq=3, id="after"))
        assert ("AckRequest", {**_echoed(), "messageId": "after"}) in sent(effects), message
        assert bench.core.tasks.get(arn("after")) is not None


@pytest.mark.parametrize("seed", range(8))
def test_what_is_read_as_a_task_can_be_put_to_docker(seed: int) -> None:
    chance = random.Random(seed)
    read = 0
    for _ in range(250):
        try:
            task = read_task(spoiled(EVERYTHING, chance))
        except InvalidTask:
            continue
        read += 1
        task_volumes(task)
        for each in task.containers:
            bindings = HostPorts[str]("10.0.0.1").choose("me", each.ports, task.network_mode)
            volumes(task, each, PLACE)
            assert isinstance(create_body(task, each, PLACE, bindings), dict | Failure)
    assert read > 25, "or nothing was tried"


def _echoed() -> dict[str, str]:
    return {"cluster": CLUSTER, "containerInstance": INSTANCE}


@pytest.mark.parametrize(
    ("value", "shape", "words"),
    [
        (1, str, "it is not a string"),
        (True, int, "it is not a whole number"),
        (1.0, int, "it is not a whole number"),
        (True, float, "it is not a number"),
        ("true", bool, "it is not true or false"),
        ([], dict, "it is not an object"),
        ({}, Each(str), "it is not a list"),
        (["a", None], Each(str), "it[1] is not a string"),
        ({"a": "b", "c": 1}, Values(str), "it.c is not a string"),
        ([], Values(str), "it is not an object"),
        ([], Record({}), "it is not an object"),
        ({"a": None}, Record({"a": str}, ("a",)), "it has no a"),
        ({"a": {"b": [1]}}, Record({"a": Record({"b": Each(str)})}), "it.a.b[0] is not a string"),
    ],
)
def test_faults(value: Any, shape: Shape, words: str) -> None:
    assert fault(value, shape, "it") == words


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (1, float),
        (1.5, float),
        (None, object),
        ({"a": None, "b": 5}, Record({"a": str})),
        ({"a": {"x": "y"}}, Record({"a": Values(str)}, ("a",))),
    ],
)
def test_what_has_its_shape(value: Any, shape: Shape) -> None:
    assert fault(value, shape, "it") == ""


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"portMappings": [{"containerPort": 70000}]}, "70000 is no port"),
        ({"portMappings": [{"containerPortRange": "9-5"}]}, "'9-5' is no range of ports"),
        ({"dependsOn": [{"containerName": "a", "condition": "SOON"}]}, "unknown dependency condition 'SOON'"),
        ({"environment": {"A": 1}}, "task.containers[0].environment.A is not a string"),
    ],
)
def test_what_is_wrong_with_a_task(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidTask, match=r"^UnrecogniedTaskError: Error loading task - ") as raised:
        read_task(document(container(**fields)))
    assert str(raised.value).endswith(problem)


def test_null_is_as_good_as_not_there() -> None:
    names = ("essential", "restartPolicy", "image", "portMappings", "startTimeout")
    absent: dict[str, Any] = dict.fromkeys(names)
    task = read_task(document(container(**absent), networkMode=None, family=None))
    assert (task.network_mode, task.family) == ("bridge", "")
    assert task.containers[0].essential
    assert task.containers[0].image == ""


def test_docker_settings_of_another_shape_fail_the_container() -> None:
    settings = {"config": '{"Labels": ["a"]}', "hostConfig": "{}"}
    task = read_task(document(container(dockerConfig=settings)))
    assert create_body(task, task.containers[0], PLACE, ()) == Failure(
        "CannotCreateContainerError",
        "unable to decode the container's docker settings: config.Labels is not an object",
    )


@pytest.mark.parametrize("seed", range(4))
def test_what_a_host_is_told_is_understood_or_is_not(seed: int) -> None:
    chance = random.Random(seed)
    instance = {
        "instanceId": "i-1",
        "arn": INSTANCE,
        "cluster": CLUSTER,
        "zone": "us-east-1a",
        "instanceType": "t3.medium",
        "cpu": 2048,
        "memory": 4096,
        "attributes": {"stack": "blue"},
    }
    told = {"owner": "0123456789ab", "dataDir": "/d", "generation": 3, "instances": [instance]}
    assert read_desired(told).instances[0].attributes == (("stack", "blue"),)
    for _ in range(250):
        try:
            hash(read_desired(spoiled(told, chance)))
        except ValueError as problem:
            assert str(problem).startswith("miniecs.HostInstances")


def test_what_was_judged_before_is_judged_by_identity() -> None:
    """Agents in the server's process get the same objects with every task; an equal one is not the same."""
    template = container(essential=True, environment={"A": "1"})
    first = read_task(document({**template, "containerArn": "one"}))
    second = read_task(document({**template, "containerArn": "two"}, name="t2"))
    assert second.arn != first.arn
    assert second.containers is first.containers
    assert "containerArn" not in second.document["containers"][0]
    with pytest.raises(InvalidTask, match=r"essential is not true or false"):
        read_task(document({**template, "essential": 1}))
    with pytest.raises(InvalidTask, match=r"task\.family is not a string"):
        read_task(document(template, family=7))
