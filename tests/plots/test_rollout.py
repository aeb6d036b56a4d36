"""Pictures of a service's deployments: what the page tells is drawn, and what it does not know is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from miniecs.plots import style
from miniecs.plots.rollout import rollout

STATES = ("healthy", "running", "settling", "unhealthy", "starting", "stopping")


def deployment(n: int, state: str | None = None, by: str = "age", **tasks: list[int]) -> dict[str, Any]:
    return {
        "id": f"ecs-svc/{n}", "definition": f"web:{n}", "rolloutState": state, "healthBy": by,
        "tasks": {each: tasks.get(each, [0, 0, 0]) for each in STATES},
    }  # fmt: skip


def happened(at: float, kind: str, n: int | None = None, reason: str = "") -> dict[str, Any]:
    definition, id = (f"web:{n}", f"ecs-svc/{n}") if n else (None, None)
    return {"at": at, "kind": kind, "definition": definition, "deployment": id, "reason": reason}


def page(*deployments: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "service": "web", "desired": 3, "floor": 2, "ceiling": 6, "knownSince": 0.0, "begin": 60.0,
        "healthyAfterSeconds": 40.0, "timeScale": 1.0, "times": [0.0, 60.0, 120.0],
        "deployments": list(deployments), "happened": [], **more,
    }  # fmt: skip


OLD = deployment(1, healthy=[3, 3, 0], stopping=[0, 0, 1])
NEW = deployment(2, "COMPLETED", starting=[3, 0, 0], settling=[0, 2, 0], healthy=[0, 1, 3])


def drawn(page: dict[str, Any]) -> Any:
    with style.drawing():
        return rollout(page)


def texts(page: dict[str, Any]) -> str:
    return "\n".join(text.get_text() for text in drawn(page).texts)


def titles(page: dict[str, Any]) -> list[str]:
    return [axes.get_title(loc="left") for axes in drawn(page).axes]


def legend(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_a_row_for_all_and_one_for_each_deployment() -> None:
    whole, old, new = drawn(page(OLD, NEW)).axes
    assert legend(whole) == [
        "healthy", "not yet healthy", "starting", "stopping", "desired: 3", "floor: 2 healthy", "ceiling: 6",
    ]  # fmt: skip
    assert (legend(old), legend(new)) == (["healthy", "stopping"], ["healthy", "not yet healthy", "starting"])
    assert {tuple(line.get_ydata())[0] for line in whole.lines} >= {3, 2, 6}
    same = drawn(page(OLD, NEW, floor=3)).axes[0]
    assert legend(same)[-2:] == ["desired, floor: 3", "ceiling: 6"]
    assert old.get_ylim()[1] >= 3 and whole.get_ylim()[1] > 6


def test_how_a_deployment_stands_or_ended_is_in_its_title() -> None:
    failed = [happened(1, "began", 1), happened(2, "failed", 1, "no."), happened(3, "rollback", 1)]
    assert titles(page(OLD, NEW, happened=failed)) == [
        "the whole service", "web:1: FAILED, gone by now", "web:2: COMPLETED",
    ]  # fmt: skip
    assert titles(page(OLD))[1] == "web:1: gone by now"
    again = NEW | {"id": "ecs-svc/3"}
    assert titles(page(NEW, again))[1:] == [
        "web:2  (ecs-svc/2): COMPLETED", "web:2  (ecs-svc/3): COMPLETED",
    ]  # fmt: skip


def test_what_happened_is_numbered_and_told() -> None:
    story = [
        happened(0, "began", 2),
        happened(60, "failed", 2, "ECS deployment circuit breaker: tasks failed to start."),
        happened(
            60, "rollback", 1, "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1."
        ),
        happened(120, "completed", 1),
        happened(120, "steady"),
        happened(180, "failed", 1, "ECS deployment ecs-svc/1 stopped by the user."),
    ]
    told = texts(page(OLD, NEW, happened=story)).splitlines()
    for line in (
        "1  0:00  web:2 began",
        "2  1:00  web:2 failed: circuit breaker: tasks failed to start.",
        "3  1:00  rolling back to web:1: circuit breaker",
        "4  2:00  web:1 completed",
        "5  2:00  steady state",
        "6  3:00  web:1 failed: stopped by the user.",
    ):
        assert line in told


def test_what_it_does_not_know_is_on_the_picture() -> None:
    told = texts(page(OLD, NEW))
    assert "0 is 1970-01-01 00:01:00 UTC. Events are known since 1970-01-01 00:00:00 UTC." in told
    assert "Desired count, floor and ceiling are those of now." in told
    assert "Healthy without checks: RUNNING for 40 s." in told
    assert "target groups" not in told and "times shorter" not in told
    lost = deployment(1, by="targets", running=[1, 1, 0])
    told = texts(page(lost, deployment(2, by="containers"), timeScale=10.0))
    assert "Healthy behind target groups: as their health checks found them." in told
    assert "Of running tasks the events are dropped that told whether they were healthy." in told
    assert "as the agents reported them" in told and "10 times shorter" in told
    assert "Healthy without checks" not in told


def test_a_service_of_which_nothing_is_known_and_one_with_many_deployments() -> None:
    none = page(times=[0.0])
    assert titles(none) == ["the whole service"]
    many = page(*(deployment(n, healthy=[1, 1, 1]) for n in range(1, 10)))
    assert titles(many)[1:] == [f"web:{n}: gone by now" for n in range(4, 10)]
    assert "Without rows of their own: 3 older deployments." in texts(many)


def test_bursts_leave_no_count_standing_that_soon_was_another() -> None:
    """A thousand changes in the first second, then a minute without any."""
    most = 1003
    times = [*(n / most for n in range(most + 1)), 60.0]
    tasks = {"starting": [*range(most, -1, -1), 0], "healthy": [*range(most + 1), most]}
    none = [0] * len(times)
    row = deployment(1, "COMPLETED") | {"tasks": {each: tasks.get(each, none) for each in STATES}}
    axes = drawn(page(row, times=times)).axes[1]
    starting = next(each for each in axes.collections if each.get_hatch())
    heights: dict[float, list[float]] = {}
    for x, y in starting.get_paths()[0].vertices:
        heights.setdefault(round(float(x), 3), []).append(float(y))
    late = [max(ys) - min(ys) for x, ys in heights.items() if x > 1.0]
    assert late and max(late) == 0


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_same_page_is_the_same_file(tmp_path: Path, ending: str) -> None:
    made = []
    for name in ("one", "other"):
        path = tmp_path / f"{name}.{ending}"
        with style.drawing():
            style.save(rollout(page(OLD, NEW, happened=[happened(0, "began", 2)])), path)
        made.append(path.read_bytes())
    assert made[0] == made[1]
