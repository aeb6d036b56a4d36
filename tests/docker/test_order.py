"""Containers of one task: who waits for whom at the start and at the end, who is started again, who ends all.

The order is the engine's own word: when it started each container, and when that ended.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from miniecs_agent.docker.events import timestamp

from .commands import OBEDIENT, ON_CUE, cue
from .daemon import Engine
from .history import History
from .miniecs import Miniecs

_PERIOD = 6.1  # seconds that a container has run for the least restartAttemptPeriod, at this scale
_HEALTHY = {"command": ["CMD", "true"], "interval": 5, "timeout": 2}
_SICK = {"command": ["CMD", "false"], "interval": 5, "timeout": 2, "retries": 10}


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def after(name: str, condition: str) -> dict[str, Any]:
    return {"dependsOn": [{"containerName": name, "condition": condition}]}


def times(engine: Engine, task: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """When each container that there is was started and has ended; 0 for never."""
    found = {}
    for container in task["containers"]:
        if "runtimeId" in container:
            state = engine.client.api.inspect_container(container["runtimeId"])["State"]
            found[container["name"]] = timestamp(state["StartedAt"]), timestamp(state["FinishedAt"])
    return found


def codes(task: dict[str, Any]) -> dict[str, int | None]:
    return {container["name"]: container.get("exitCode") for container in task["containers"]}


# At the start


@pytest.mark.parametrize(
    ("condition", "first"),
    [
        ("START", {"command": OBEDIENT}),
        ("COMPLETE", {"command": shell("sleep 1; exit 9")}),
        ("SUCCESS", {"command": shell("sleep 1")}),
        ("HEALTHY", {"command": OBEDIENT, "healthCheck": _HEALTHY}),
    ],
)
def test_a_container_waits_for_another(
    miniecs: Miniecs, engine: Engine, condition: str, first: dict[str, Any]
) -> None:
    definition = miniecs.register(
        "waits",
        {"name": "app", "command": shell("exit 4"), **after("first", condition)},
        {"name": "first", "essential": False, **first},
    )
    (arn,) = miniecs.run(definition)
    task = miniecs.reaches(arn, "STOPPED")
    assert (task["stopCode"], codes(task)["app"]) == ("EssentialContainerExited", 4)
    (app, _), (started, ended) = times(engine, task)["app"], times(engine, task)["first"]
    assert app > (ended if condition in ("COMPLETE", "SUCCESS") else started)
    if condition == "HEALTHY":
        assert app > started + 0.5  # the first look, at this scale


def test_what_has_run_was_started(miniecs: Miniecs) -> None:
    definition = miniecs.register(
        "started",
        {"name": "app", "command": OBEDIENT, **after("first", "START")},
        {"name": "first", "essential": False, "command": ["true"]},
    )
    (arn,) = miniecs.run(definition)
    assert codes(miniecs.reaches(arn, "RUNNING")) == {"app": None, "first": 0}


@pytest.mark.parametrize(
    ("condition", "first", "words"),
    [
        ("SUCCESS", {"command": shell("exit 9")}, "as dependency did not exit successfully."),
        ("HEALTHY", {"command": ["true"], "healthCheck": _SICK}, "the container has stopped."),
        ("START", {"image": "127.0.0.1:9/none:1"}, "the container has stopped."),
    ],
)
def test_a_dependency_that_cannot_be_met_any_more(
    miniecs: Miniecs, condition: str, first: dict[str, Any], words: str
) -> None:
    definition = miniecs.register(
        "never",
        {"name": "app", "command": OBEDIENT, **after("first", condition)},
        {"name": "first", "essential": False, **first},
    )
    (arn,) = miniecs.run(definition)
    task = miniecs.reaches(arn, "STOPPED")
    assert (task["stopCode"], codes(task)["app"]) == ("TaskFailedToStart", 143)
    reason = task["containers"][0]["reason"]
    assert reason.startswith("CannotStartContainerError: dependency graph: failed to resolve container ")
    assert reason.endswith(words)
    assert "runtimeId" not in task["containers"][0]


@pytest.mark.parametrize("condition", ["COMPLETE", "SUCCESS", "HEALTHY"])
def test_a_start_timeout_ends_the_wait(miniecs: Miniecs, engine: Engine, condition: str) -> None:
    first = {"name": "first", "essential": False, "command": OBEDIENT, "startTimeout": 15}
    definition = miniecs.register(
        "late",
        {"name": "app", "command": OBEDIENT, **after("first", condition)},
        {**first, **({"healthCheck": _SICK} if condition == "HEALTHY" else {})},
    )
    (arn,) = miniecs.run(definition)
    task = miniecs.reaches(arn, "STOPPED")
    assert (task["stopCode"], codes(task)) == ("TaskFailedToStart", {"app": 143, "first": 7})
    target = "[app(busybox:latest) (MANIFEST_PULLED->RUNNING)]"
    assert task["containers"][0]["reason"].endswith(f"for target {target} has timed out.")
    started, ended = times(engine, task)["first"]
    assert ended - started >= 1.5  # fifteen seconds at this scale


def test_no_start_timeout_counts_for_a_start(miniecs: Miniecs) -> None:
    definition = miniecs.register(
        "no-limit",
        {"name": "app", "command": shell("sleep 1; exit 4"), **after("first", "START")},
        {"name": "first", "essential": False, "command": OBEDIENT, "startTimeout": 2},
    )
    (arn,) = miniecs.run(definition)
    assert codes(miniecs.reaches(arn, "STOPPED")) == {"app": 4, "first": 7}


# At the end


def test_containers_stop_in_the_reverse_order(miniecs: Miniecs, engine: Engine) -> None:
    slow = shell("trap 'sleep 0.3; exit 0' TERM; while :; do sleep 0.05; done")
    definition = miniecs.register(
        "chain",
        {"name": "a", "command": slow},
        {"name": "b", "command": slow, **after("a", "START")},
        {"name": "c", "command": slow, "links": ["b"]},
        {"name": "d", "command": slow, "volumesFrom": [{"sourceContainer": "c"}]},
    )
    (arn,) = miniecs.run(definition)
    miniecs.reaches(arn, "RUNNING")
    miniecs.ecs.stop_task(task=arn)
    task = miniecs.reaches(arn, "STOPPED")
    assert codes(task) == {"a": 0, "b": 0, "c": 0, "d": 0}
    when = times(engine, task)
    assert sorted(when, key=lambda name: when[name][1]) == ["d", "c", "b", "a"]
    # volumesFrom needs a container that was made; the others one that was started.
    assert when["a"][0] < when["b"][0] < when["c"][0]


def test_the_end_of_an_essential_container_is_that_of_all(miniecs: Miniecs) -> None:
    definition = miniecs.register(
        "essential",
        {"name": "app", "command": shell("sleep 1; exit 3")},
        {"name": "side", "command": OBEDIENT},
        {"name": "helper", "command": shell("exit 5"), "essential": False},
    )
    (arn,) = miniecs.run(definition)
    running = miniecs.reaches(arn, "RUNNING")
    assert running["desiredStatus"] == "RUNNING"
    task = miniecs.reaches(arn, "STOPPED")
    assert codes(task) == {"app": 3, "side": 7, "helper": 5}
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )


# Again


def test_a_container_is_started_again_when_it_has_run_for_its_period(
    miniecs: Miniecs, engine: Engine, history: History
) -> None:
    policy = {"enabled": True, "restartAttemptPeriod": 60}
    twice = f"echo run >> /runs; test $(wc -l < /runs) = 1 || exit 5; {ON_CUE[2]}"
    definition = miniecs.register(
        "again", {"name": "app", "command": shell(twice), "restartPolicy": policy},
        {"name": "side", "command": OBEDIENT},
    )  # fmt: skip
    (arn,) = miniecs.run(definition)
    first = miniecs.reaches(arn, "RUNNING")
    time.sleep(_PERIOD)
    cue(engine, first["containers"][0]["runtimeId"])
    task = miniecs.reaches(arn, "STOPPED")
    assert (task["stopCode"], codes(task)) == ("EssentialContainerExited", {"app": 5, "side": 7})
    counted = history.of(arn)
    assert [counted["app"][each] for each in ("create", "start", "die")] == [1, 2, 2]
    assert [counted["side"][each] for each in ("create", "start", "die")] == [1, 1, 1]
    assert task["containers"][0]["runtimeId"] == first["containers"][0]["runtimeId"]
    assert task["startedAt"] == first["startedAt"]


def test_an_ignored_exit_code_is_an_end(miniecs: Miniecs, engine: Engine, history: History) -> None:
    policy = {"enabled": True, "restartAttemptPeriod": 60, "ignoredExitCodes": [5]}
    definition = miniecs.register("ignored", {"name": "app", "command": ON_CUE, "restartPolicy": policy})
    (arn,) = miniecs.run(definition)
    first = miniecs.reaches(arn, "RUNNING")
    time.sleep(_PERIOD)
    cue(engine, first["containers"][0]["runtimeId"])
    assert codes(miniecs.reaches(arn, "STOPPED")) == {"app": 5}
    history.once(arn, "create", "start", "die")
