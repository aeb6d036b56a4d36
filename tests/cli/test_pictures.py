"""What `miniecs lb` and `miniecs deployments` draw, and how it is made to fit into a window."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from rich.text import Text

from miniecs.cli import deployments, load_balancers
from miniecs.cli.drawing import latency, rate
from miniecs.cli.live import fitted
from miniecs.cli.problem import Problem

WIDE = 10_000
ARN = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/0123456789abcdef"


def text(lines: list[Text]) -> str:
    return "\n".join(line.plain for line in lines)


def traffic(requests: float = 0.0, errors: int = 0, median: float | None = None) -> dict[str, Any]:
    return {
        "requestsPerSecond": requests,
        "errors": errors,
        "connectionErrors": 0,
        "medianSeconds": median,
        "p99Seconds": None if median is None else median * 5,
    }


def target(n: int, state: str = "healthy", why: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "id": f"i-{n:017x}",
        "port": 32768,
        "zone": "us-east-1a",
        "task": f"{n:08x}" * 4,
        "definition": "web:2",
        "state": state,
        "why": why,
        "traffic": traffic(12.34, median=0.0012) if state == "healthy" else traffic(),
        **fields,
    }


def group(*targets: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "name": "web",
        "arn": ARN,
        "healthCheck": {"text": "GET /healthz", "intervalSeconds": 30},
        "failsOpen": False,
        "traffic": traffic(37.0, median=0.0012),
        "targets": list(targets),
        **fields,
    }


def rule(priority: str, when: str = "", then: str = "forward to web") -> dict[str, Any]:
    return {"priority": priority, "when": when, "then": then}


def listener(*rules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "port": 80,
        "protocol": "HTTP",
        "urls": ["http://127.0.2.1/", "http://web-1.us-east-1.elb.localhost/"],
        "containerUrls": [],
        "problem": "",
        "rules": [*rules, rule("default")],
        "traffic": traffic(37.0, errors=1, median=0.0012),
        **fields,
    }


def balancer(
    *groups: dict[str, Any], listeners: tuple[dict[str, Any], ...] | None = None, **fields: Any
) -> dict[str, Any]:
    return {
        "name": "web",
        "type": "application",
        "region": "us-east-1",
        "dnsName": "web-1.us-east-1.elb.localhost",
        "listeners": list(listeners if listeners is not None else (listener(),)),
        "targetGroups": list(groups),
        **fields,
    }


def page(*balancers: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"runtime": "docker", "proxy": True, "timeScale": 10.0, "loadBalancers": list(balancers), **fields}


SICK = "503 from /healthz, 2 checks in a row failed"
TARGETS = (
    target(1),
    target(2, "unhealthy", SICK),
    target(3, "unhealthy", SICK),
    target(4, "draining", "drains for 12 s more", definition="web:1"),
)
RULES = (
    rule("10", "path is /api/* or /v2/*, method is GET", "forward to web (75 %) and api (25 %)"),
    rule("20", "host is old.example.com", "redirect (301) to https://#{host}:443/#{path}"),
)


def test_a_load_balancer_in_eighty_columns() -> None:
    drawn = load_balancers.draw(page(balancer(group(*TARGETS), listeners=(listener(*RULES),))), 80)
    assert text(drawn) == """\
application load balancer web  web-1.us-east-1.elb.localhost
  HTTP:80  37.0 requests/s, 1 error, median 1.2ms, p99 6.0ms
    http://127.0.2.1/
    http://web-1.us-east-1.elb.localhost/
    10      path is /api/* or /v2/*, method is GET → forward to web (75 %) and
            api (25 %)
    20      host is old.example.com → redirect (301) to
            https://#{host}:443/#{path}
    default → forward to web
  target group web: GET /healthz every 3 s, 1 of 3 healthy, 1 draining
    TARGET                    ZONE TASK     REV STATE     REQ/S ERR MEDIAN   P99
    i-00000000000000001:32768 a    00000001 2   healthy    12.3   0  1.2ms 6.0ms
    i-00000000000000002:32768 a    00000002 2   unhealthy     0   0      -     -
    i-00000000000000003:32768 a    00000003 2   unhealthy     0   0      -     -
        503 from /healthz, 2 checks in a row failed
    i-00000000000000004:32768 a    00000004 1   draining      0   0      -     -
        drains for 12 s more
    total                                                  37.0   0  1.2ms 6.0ms"""
    styles = {str(span.style): line.plain[span.start : span.end] for line in drawn for span in line.spans}
    assert {word: styles[style].strip() for word, style in (("ok", "green"), ("bad", "red"))} == {
        "ok": "healthy",
        "bad": "unhealthy",
    }
    assert styles["link http://127.0.2.1/"] == "http://127.0.2.1/"


def test_where_nothing_sets_a_width_a_target_is_one_line() -> None:
    lines = text(load_balancers.draw(page(balancer(group(*TARGETS))), WIDE)).splitlines()
    assert lines[7:9] == [
        "    i-00000000000000001:32768  a     00000001  2    healthy     12.3    0   1.2ms  6.0ms",
        "    i-00000000000000002:32768  a     00000002  2    unhealthy      0    0       -      -"
        "  503 from /healthz, 2 checks in a row failed",
    ]


def test_a_window_shows_what_matters_of_thirty_targets() -> None:
    targets = [target(n) for n in range(1, 29)] + [target(n, "unhealthy", SICK) for n in (29, 30)]
    shown = page(balancer(group(*targets), listeners=(listener(*RULES),)))
    drawn = fitted(load_balancers.draw, shown, 80, 24)
    lines = text(drawn).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert lines[11:15] == [
        "    i-0000000000000001d:32768 a    0000001d 2   unhealthy     0   0      -     -",
        "    i-0000000000000001e:32768 a    0000001e 2   unhealthy     0   0      -     -",
        "        503 from /healthz, 2 checks in a row failed",
        "    i-00000000000000001:32768 a    00000001 2   healthy    12.3   0  1.2ms 6.0ms",
    ]
    assert lines[-2:] == [
        "    total                                                  37.0   0  1.2ms 6.0ms",
        "    … and 20 more that are healthy: --once shows all",
    ]


def test_a_window_too_small_for_anything_says_so() -> None:
    lines = text(fitted(load_balancers.draw, page(balancer(group(*TARGETS))), 30, 4)).splitlines()
    assert lines == [
        "application load balancer web",
        "  web-1.us-east-1.elb.localho…",
        "  HTTP:80  37.0 requests/s, 1…",
        "… this window is too small; -…",
    ]


def test_what_is_wrong_with_listeners_groups_and_the_proxy_is_said() -> None:
    elsewhere = listener(
        urls=["http://127.0.2.1:8080/"],
        containerUrls=["http://172.31.100.1/"],
        problem="port 80: it may not be bound without root",
    )
    nowhere = listener(port=81, urls=[], problem="127.0.2.1:81: this machine has no such address")
    silent = listener(port=82, urls=[])
    mixed = group(target(1, definition="web:1"), target(2, definition="api:7"), failsOpen=True)
    shown = page(
        balancer(mixed, group(name="empty"), listeners=(elsewhere, nowhere, silent)), proxy=False
    )
    assert text(load_balancers.draw(shown, WIDE)) == """\
The proxy is not connected: no target is checked, and what stands here of listeners and traffic is old. The \
supervisor starts a dead one again; `logs/proxy.log` in the data folder says what became of it.

application load balancer web  web-1.us-east-1.elb.localhost
  HTTP:80  37.0 requests/s, 1 error, median 1.2ms, p99 6.0ms
    http://127.0.2.1:8080/
    http://172.31.100.1/  from containers
    It listens elsewhere: port 80: it may not be bound without root.
    default → forward to web
  HTTP:81  37.0 requests/s, 1 error, median 1.2ms, p99 6.0ms
    It does not listen: 127.0.2.1:81: this machine has no such address.
    default → forward to web
  HTTP:82  37.0 requests/s, 1 error, median 1.2ms, p99 6.0ms
    not listening yet
    default → forward to web
  target group web: GET /healthz every 3 s, 2 of 2 healthy
    Too few targets are healthy, so requests go to all that are registered (it fails open).
    TARGET                     ZONE  TASK      DEFINITION  STATE    REQ/S  ERR  MEDIAN    P99
    i-00000000000000001:32768  a     00000001  web:1       healthy   12.3    0   1.2ms  6.0ms
    i-00000000000000002:32768  a     00000002  api:7       healthy   12.3    0   1.2ms  6.0ms
    total                                                            37.0    0   1.2ms  6.0ms
  target group empty: GET /healthz every 3 s, 0 of 0 healthy
    no targets: clients get 503"""


def test_several_load_balancers_have_totals_and_none_is_said() -> None:
    bare = balancer(listeners=(), name="bare")
    lines = text(load_balancers.draw(page(balancer(group(*TARGETS)), bare), WIDE)).splitlines()
    assert lines[-3:] == [
        "  It has no listener, so it takes no requests.",
        "",
        "2 load balancers: 1 of 3 targets healthy, 37.0 requests/s, 1 error",
    ]
    assert text(load_balancers.draw(page(), WIDE)) == (
        "There is no load balancer. `aws elbv2 create-load-balancer` makes one."
    )
    simulated = page(balancer(listeners=(listener(urls=[]),)), runtime="simulated", proxy=False)
    assert text(load_balancers.draw(simulated, WIDE)).splitlines()[2] == "    simulated: nothing listens"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(None, "-"), (0.00012, "0.1ms"), (0.0099, "9.9ms"), (0.00999, "10ms"), (0.25, "250ms"), (1.26, "1.3s")],
)
def test_latencies(seconds: float | None, told: str) -> None:
    assert latency(seconds) == told


@pytest.mark.parametrize(("per_second", "told"), [(0, "0"), (0.1, "0.1"), (99.9, "99.9"), (4321.6, "4322")])
def test_rates(per_second: float, told: str) -> None:
    assert rate(per_second) == told


STATES = ("starting", "settling", "healthy", "unhealthy", "leaving", "draining", "stopping")


def deployment(
    n: int, state: str = "COMPLETED", waits: tuple[str, ...] = (), desired: int = 0, **tasks: int
) -> dict[str, Any]:
    reason = f"ECS deployment ecs-svc/{n} {'completed' if state == 'COMPLETED' else 'in progress'}."
    return {
        "id": f"ecs-svc/{n}",
        "status": "ACTIVE" if state == "COMPLETED" else "PRIMARY",
        "definition": f"web:{n}",
        "rolloutState": state,
        "rolloutStateReason": reason,
        "createdAt": 1000.0 + n,
        "ageSeconds": 65.2,
        "desired": desired,
        "failedTasks": 0,
        "tasks": dict.fromkeys(STATES, 0) | tasks,
        "images": [],
        "waits": list(waits),
    }


def rollout(*of: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "service": "web",
        "status": "ACTIVE",
        "controller": "ECS",
        "outcome": "IN_PROGRESS",
        "desired": 4,
        "headline": "Service web is ACTIVE: 4 tasks wanted.",
        "release": None,
        "loadBalancing": ["Load balancer web sends requests to 3 of 4 targets in target group web."],
        "deployments": list(of),
        "taskSets": [],
        "others": {"stopping": 0, "waits": []},
        "events": [],
        "timeScale": 1.0,
        **fields,
    }


def release(status: str, reason: str | None = None) -> dict[str, Any]:
    arn = "arn:aws:ecs:us-east-1:000000000000:service-deployment/default/web/abc"
    return {"arn": arn, "status": status, "statusReason": reason, "createdAt": 1000.0, "finishedAt": None}


DRAINS = "Task 4567cdef drains for 12 s more."
UPDATE = rollout(
    deployment(
        2,
        "IN_PROGRESS",
        ("Task 0123abcd: target i-1:32768 waits for its first health check (GET / every 30 s).",),
        desired=4,
        healthy=1,
        settling=1,
        starting=1,
    ),
    deployment(1, "COMPLETED", (DRAINS,), desired=2, healthy=2, draining=1, stopping=1),
    events=[
        {
            "at": datetime(2026, 1, 2, 10, 20, 30).timestamp(),
            "seq": 7,
            "text": f"(service web) registered 1 targets in (target-group {ARN})",
        },
        {
            "at": datetime(2026, 1, 2, 10, 20, 31).timestamp(),
            "seq": 8,
            "text": f"(service web) has stopped 1 running tasks: (task {'0123abcd' * 4}).",
        },
    ],
)


def test_a_rolling_update() -> None:
    drawn = deployments.draw(UPDATE, 80)
    assert text(drawn) == """\
Service web is ACTIVE: 4 tasks wanted.
Load balancer web sends requests to 3 of 4 targets in target group web.

PRIMARY web:2  IN_PROGRESS  made 1 min 5 s ago
  ECS deployment ecs-svc/2 in progress.
  ████▓▓▓▓░░░░____
  █ 1 healthy  ▓ 1 running, not yet healthy  ░ 1 starting  4 wanted
  Task 0123abcd: target i-1:32768 waits for its first health check (GET / every
    30 s).

ACTIVE web:1  COMPLETED  made 1 min 5 s ago
  ECS deployment ecs-svc/1 completed.
  ████████----····
  █ 2 healthy  - 1 draining  · 1 stopping  2 wanted
  Task 4567cdef drains for 12 s more.

10:20:30  registered 1 targets in (target-group web)
10:20:31  has stopped 1 running tasks: (task 0123abcd)."""


def test_task_sets_are_drawn_as_deployments_are() -> None:
    blue = deployment(1, "STEADY_STATE", desired=4, healthy=4) | {"rolloutStateReason": "100 % of 4."}
    drawn = text(deployments.draw(rollout(taskSets=[blue], loadBalancing=[]), 80))
    assert drawn == """\
Service web is ACTIVE: 4 tasks wanted.

PRIMARY web:1  STEADY_STATE  made 1 min 5 s ago
  ecs-svc/1: 100 % of 4.
  ████████████████
  █ 4 healthy  4 wanted"""


def test_how_the_newest_service_deployment_ended_is_told_where_there_is_a_reason() -> None:
    quiet = rollout(deployment(1, desired=4), release=release("SUCCESSFUL"))
    assert "Service deployment" not in text(deployments.draw(quiet, WIDE))
    told = rollout(deployment(1, desired=4), release=release("ROLLBACK_SUCCESSFUL", "Because of X."))
    drawn = text(deployments.draw(told, WIDE))
    assert "Service deployment abc is ROLLBACK_SUCCESSFUL: Because of X." in drawn


def test_a_small_window_keeps_the_newest_events() -> None:
    lines = text(fitted(deployments.draw, UPDATE, 80, 17)).splitlines()
    assert lines[-2:] == ["", "10:20:31  has stopped 1 running tasks: (task 0123abcd)."]
    assert text(fitted(deployments.draw, UPDATE, 80, 15)).splitlines()[-1] == f"  {DRAINS}"


def test_a_deployment_that_failed_and_tasks_of_one_that_is_gone() -> None:
    failed = deployment(3, "FAILED", desired=4, unhealthy=1, leaving=1) | {
        "rolloutStateReason": "ECS deployment circuit breaker: tasks failed to start.",
        "failedTasks": 3,
        "ageSeconds": 7260.0,
    }
    others = {"stopping": 1, "waits": ["Task 4567cdef drains for 2 s more."]}
    shown = rollout(failed, others=others, loadBalancing=[], timeScale=10.0)
    assert text(deployments.draw(shown, WIDE)) == """\
Service web is ACTIVE: 4 tasks wanted.

PRIMARY web:3  FAILED  made 2 h 1 min ago
  ecs-svc/3: ECS deployment circuit breaker: tasks failed to start.
  !!!!▒▒▒▒________
  ! 1 unhealthy  ▒ 1 on a DRAINING instance  4 wanted  3 failed

of deployments that are gone: 1 stopping
  Task 4567cdef drains for 2 s more.
ECS's waits are 10 times shorter here."""


@pytest.mark.parametrize(
    ("tasks", "desired", "bar"),
    [
        ({}, 0, ""),
        ({}, 2, "________"),
        ({"healthy": 100}, 100, "█" * 40),
        ({"healthy": 50, "starting": 50}, 100, "█" * 20 + "░" * 20),
        ({"healthy": 199, "unhealthy": 1}, 200, "█" * 40 + "!"),
        ({"healthy": 3}, 1000, "█" + "_" * 39),
    ],
)
def test_bars(tasks: dict[str, int], desired: int, bar: str) -> None:
    drawn = deployments.draw(rollout(deployment(1, "COMPLETED", (), desired, **tasks)), WIDE)
    lines = text(drawn).splitlines()
    assert (lines[5].strip() if bar else "") == bar
    if not bar:
        assert lines[5] == "  no tasks"


def test_steady_is_said() -> None:
    steady = rollout(deployment(1, desired=4, healthy=4), outcome="STEADY")
    assert text(deployments.draw(steady, WIDE)).splitlines()[-1] == "It is steady: nothing is left to do."


def endings(*pages: dict[str, Any]) -> list[bool | None]:
    ending = deployments.Ending()
    seen = []
    for each in pages:
        ending(each)
        seen.append(ending.steady)
    return seen


def test_when_waiting_ends_and_how() -> None:
    going, old = deployment(2, "IN_PROGRESS"), deployment(1)
    assert endings(rollout(going, old), rollout(going, outcome="STEADY")) == [None, True]
    assert endings(rollout(going, old), rollout(going, old, outcome="FAILED")) == [None, False]
    # The circuit breaker has brought the last one back, and the failed one is gone between two looks.
    assert endings(rollout(going, old), rollout(old, outcome="STEADY")) == [None, False]
    # Or before the first look.
    for status in ("ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"):
        assert endings(rollout(old, outcome="STEADY", release=release(status, "It failed."))) == [False]
    assert endings(rollout(old, outcome="STEADY", release=release("SUCCESSFUL", ""))) == [True]
    newer = deployment(3, "IN_PROGRESS")
    assert endings(rollout(going, old), rollout(newer, going), rollout(newer, outcome="STEADY")) == [
        None,
        None,
        True,
    ]


def test_waiting_for_what_cannot_come_is_a_problem() -> None:
    with pytest.raises(Problem, match="^Service web is INACTIVE: it was deleted.$"):
        deployments.Ending()(rollout(status="INACTIVE"))
    with pytest.raises(Problem, match="no deployments of its own: its controller is EXTERNAL.$"):
        deployments.Ending()(rollout(controller="EXTERNAL"))


def test_verdicts() -> None:
    back = rollout(deployment(1, desired=4), desired=1)
    assert deployments.verdict(back, steady=True) == "Service web is steady: 1 task of web:1."
    assert deployments.verdict(back, steady=False) == (
        "The deployment of service web failed and was rolled back to web:1."
    )
    told = rollout(deployment(1, desired=4), release=release("ROLLBACK_SUCCESSFUL", "Because of X."))
    assert deployments.verdict(told, steady=False) == (
        "The deployment of service web failed and was rolled back to web:1. Because of X."
    )
    failed = deployment(2, "FAILED") | {"rolloutStateReason": "ECS deployment circuit breaker: no."}
    assert deployments.verdict(rollout(failed, deployment(1)), steady=False) == (
        "The deployment of web:2 failed: ECS deployment circuit breaker: no."
    )


def test_what_a_tag_is_pinned_to_is_told() -> None:
    pinned = "Its tasks run web:1 (app) as sha256:0a, whatever the tag stands for by now."
    shown = rollout(deployment(1, desired=1, healthy=1) | {"images": [pinned]})
    assert f"  {pinned}" in text(deployments.draw(shown, 100))
