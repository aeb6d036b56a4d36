"""Imagined containers: what takes time takes time, ports are published once, behaviours are what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any

import pytest

from miniecs.config import Timing
from miniecs.ids import Ids
from miniecs.model.task import NetworkBinding
from miniecs_agent.core.spec import TaskSpec, read_task
from miniecs_agent.core.state import Action
from miniecs_agent.engine import (
    Created,
    EngineCall,
    EngineEvent,
    Exited,
    Failed,
    HealthChanged,
    Pulled,
    Removed,
    Started,
)
from miniecs_agent.sim.behaviours import Behaviour, UnknownBehaviour, behaviour_of
from miniecs_agent.sim.engine import Latencies, ProbeAnswer, SimEngine, digest_of

from .cases import arn, container, document


class Heap:
    """Timers that a test winds on."""

    def __init__(self) -> None:
        self.time = 0.0
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._count = count()

    def now(self) -> float:
        return self.time

    def call_at(self, when: float, fn: Callable[[], None]) -> None:
        heappush(self._entries, (when, next(self._count), fn))

    def run(self, until: float) -> None:
        while self._entries and self._entries[0][0] <= until:
            self.time, _, fn = heappop(self._entries)
            fn()
        self.time = until

    @property
    def pending(self) -> int:
        return len(self._entries)


class Host:
    """One simulated engine and what it said, with the times."""

    def __init__(self, latencies: Latencies | None = None, timing: Timing | None = None) -> None:
        self.heap = Heap()
        self.said: list[tuple[float, EngineEvent]] = []
        self.engine = SimEngine(
            self.heap,
            Ids(seed=7),
            "172.31.0.16",
            lambda event: self.said.append((self.heap.time, event)),
            timing or Timing(),
            latencies or Latencies(pull=(1.0, 1.0), create=(0.0, 0.0), start=(0.5, 0.5), stop=(0.25, 0.25)),
        )

    def do(self, action: Action, task: TaskSpec, name: str = "main", timeout: float = 30.0) -> None:
        spec = next(c for c in task.containers if c.name == name)
        self.engine.perform(self.heap.time, EngineCall(action, task, spec, None, timeout))

    def start(self, task: TaskSpec, name: str = "main") -> None:
        for action in (Action.PULL, Action.CREATE, Action.START):
            self.do(action, task, name)
            self.heap.run(self.heap.time + 1.0)

    def probe(self, port: int) -> ProbeAnswer:
        return self.engine.answer(self.engine.publisher(port))

    def take(self) -> list[tuple[float, EngineEvent]]:
        said, self.said = self.said, []
        return said


def task(image: str = "httpd:2.4", name: str = "t1", mode: str = "bridge", **fields: Any) -> TaskSpec:
    return read_task(document(container(image=image, **fields), name=name, networkMode=mode))


def checked(**health_check: int) -> dict[str, Any]:
    config = json.dumps({"Healthcheck": {"Test": ["CMD", "true"], **health_check}})
    return {"healthCheckType": "docker", "dockerConfig": {"config": config}}


SECOND = 1_000_000_000


def test_an_ordinary_container_starts_and_runs_without_a_timer_until_it_is_stopped() -> None:
    host, spec = Host(), task()
    host.do(Action.PULL, spec)
    host.heap.run(10.0)
    host.do(Action.CREATE, spec)
    [(pulled_at, pulled), (created_at, created)] = host.take()
    assert (pulled_at, pulled) == (1.0, Pulled(arn(), "main", digest_of("httpd:2.4")))
    assert isinstance(created, Created)
    assert (created_at, len(created.runtime_id)) == (10.0, 64)
    host.do(Action.START, spec)
    host.heap.run(20.0)
    assert host.take() == [(10.5, Started(arn(), "main"))]
    assert host.heap.pending == 0
    host.do(Action.STOP, spec)
    host.heap.run(30.0)
    assert host.take() == [(20.25, Exited(arn(), "main", 0))]
    host.do(Action.REMOVE, spec)
    assert host.take() == [(30.0, Removed(arn(), "main"))]
    assert host.engine.containers() == []


def test_an_image_is_pulled_once_a_host() -> None:
    host = Host()
    host.start(task())
    host.take()
    host.do(Action.PULL, task(name="t2"))
    assert host.take() == [(3.0, Pulled(arn("t2"), "main", digest_of("httpd:2.4")))]


def test_dynamic_ports_are_handed_out_in_turn_and_freed_at_the_end() -> None:
    host = Host()
    ports = [{"containerPort": 80, "hostPort": 0}, {"containerPort": 53, "protocol": "udp"}]
    for name in ("a", "b"):
        host.start(task(name=name, portMappings=ports))
    started = [event for _, event in host.take() if isinstance(event, Started)]
    assert [[(b.protocol, b.container_port, b.host_port) for b in e.bindings] for e in started] == [
        [("tcp", 80, 32768), ("udp", 53, 32769)],
        [("tcp", 80, 32770), ("udp", 53, 32771)],
    ]
    assert started[0].bindings[0].bind_ip == "172.31.0.16"
    assert host.probe(32768) == ProbeAnswer(200)
    assert host.probe(32769) == ProbeAnswer(None, "refused")
    host.do(Action.STOP, task(name="a", portMappings=ports))
    host.heap.run(100.0)
    assert host.probe(32768) == ProbeAnswer(None, "refused")


def test_a_port_range_is_published_as_a_range() -> None:
    host = Host()
    host.start(task(portMappings=[{"containerPortRange": "9100-9102", "protocol": "tcp"}]))
    [started] = [event for _, event in host.take() if isinstance(event, Started)]
    assert started.bindings == (
        NetworkBinding("172.31.0.16", "tcp", None, None, "9100-9102", "32768-32770"),
    )
    assert host.probe(32770) == ProbeAnswer(200)


def test_a_static_port_is_held_by_one_container_at_a_time() -> None:
    host = Host()
    fixed = [{"containerPort": 80, "hostPort": 8080}]
    host.start(task(name="a", portMappings=fixed))
    host.take()
    host.start(task(name="b", portMappings=[{"containerPort": 81, "hostPort": 0}, *fixed]))
    assert host.take()[-1] == (
        5.5,
        Failed(
            arn("b"),
            "main",
            Action.START,
            "CannotStartContainerError",
            "Error response from daemon: Bind for 172.31.0.16:8080 failed: port is already allocated",
        ),
    )
    assert host.probe(32768) == ProbeAnswer(None, "refused")  # none of its ports was taken
    host.do(Action.STOP, task(name="a", portMappings=fixed))
    host.heap.run(10.0)
    host.start(task(name="c", portMappings=fixed))
    assert isinstance(host.take()[-1][1], Started)


@pytest.mark.parametrize(("mode", "ports"), [("host", [(80, 80)]), ("awsvpc", []), ("none", [])])
def test_network_modes(mode: str, ports: list[tuple[int, int]]) -> None:
    host = Host()
    host.start(task(mode=mode, portMappings=[{"containerPort": 80, "hostPort": 0}]))
    [started] = [event for _, event in host.take() if isinstance(event, Started)]
    assert [(b.container_port, b.host_port) for b in started.bindings] == ports
    assert host.engine.answer(host.engine.of_task(arn(), 80)) == ProbeAnswer(200)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("sim/exit-3", (2.5, Exited(arn(), "main", 3))),
        ("sim/exit-1-after-5", (7.5, Exited(arn(), "main", 1))),
        ("sim/crash-on-start", (2.5, Exited(arn(), "main", 1))),
        (
            "sim/oom",
            (3.5, Exited(arn(), "main", 137, "OutOfMemoryError: Container killed due to memory usage")),
        ),
        (
            "sim/oom-after-2.5:latest",
            (5.0, Exited(arn(), "main", 137, "OutOfMemoryError: Container killed due to memory usage")),
        ),
    ],
)
def test_containers_that_end_by_themselves(image: str, expected: tuple[float, EngineEvent]) -> None:
    host = Host()
    host.start(task(image))
    host.heap.run(60.0)
    assert host.take()[-2:] == [(2.5, Started(arn(), "main")), expected]


@pytest.mark.parametrize(
    ("image", "timeout", "seconds", "code"),
    [
        ("httpd", 30.0, 0.25, 0),
        ("httpd", 0.0, 0.0, 137),
        ("sim/ignores-sigterm", 7.0, 7.0, 137),
        ("sim/stops-in-5", 30.0, 5.0, 0),
        ("sim/stops-in-5", 2.0, 2.0, 137),
    ],
)
def test_how_containers_take_a_stop(image: str, timeout: float, seconds: float, code: int) -> None:
    host = Host()
    host.start(task(image))
    host.heap.run(100.0)
    host.take()
    host.do(Action.STOP, task(image), timeout=timeout)
    host.heap.run(200.0)
    assert host.take() == [(100.0 + seconds, Exited(arn(), "main", code))]


@pytest.mark.parametrize(
    ("image", "changes"),
    [
        ("httpd", [(5.0, "HEALTHY")]),
        ("sim/healthy-after-8", [(8.0, "HEALTHY")]),
        ("sim/healthy-after-40", [(20.0, "UNHEALTHY"), (40.0, "HEALTHY")]),
        ("sim/never-healthy", [(20.0, "UNHEALTHY")]),
        ("sim/unhealthy-after-30", [(5.0, "HEALTHY"), (40.0, "UNHEALTHY")]),
    ],
)
def test_health_checks(image: str, changes: list[tuple[float, str]]) -> None:
    """Interval 5 s, 2 retries, 10 s of grace: three verdicts at most, not one a check."""
    host = Host()
    health_check = checked(Interval=5 * SECOND, Retries=2, StartPeriod=10 * SECOND)
    host.start(task(image, **health_check))
    host.heap.run(100.0)
    told = [(at - 2.5, e.status) for at, e in host.take() if isinstance(e, HealthChanged)]
    assert told == changes


def test_health_checks_follow_the_time_scale() -> None:
    host = Host(timing=Timing().scaled(10))
    host.start(task(**checked(Interval=30 * SECOND)))
    host.heap.run(100.0)
    assert [at for at, e in host.take() if isinstance(e, HealthChanged)] == [2.5 + 3.0]


def test_an_image_that_does_not_exist_fails_every_time() -> None:
    host = Host()
    spec = task("sim/pull-fails")
    for _ in range(7):
        host.do(Action.PULL, spec)
        host.heap.run(host.heap.time + 2)
    failures = [event for _, event in host.take()]
    assert failures == [
        Failed(
            arn(),
            "main",
            Action.PULL,
            "CannotPullContainerError",
            "Error response from daemon: pull access denied for sim/pull-fails, repository does not exist or "
            "may require 'docker login': denied: requested access to the resource is denied",
            temporary=True,
        )
    ] * 7


def test_a_flaky_pull_succeeds_at_the_third_try_and_a_slow_one_later() -> None:
    host = Host()
    for _ in range(3):
        host.do(Action.PULL, task("sim/pull-flaky"))
        host.heap.run(host.heap.time + 2)
    assert [type(event) for _, event in host.take()] == [Failed, Failed, Pulled]
    host.do(Action.PULL, task("sim/pull-takes-9"))
    host.heap.run(100)
    assert [at for at, _ in host.take()] == [15.0]


@pytest.mark.parametrize(
    ("image", "action", "name"),
    [
        ("sim/create-fails", Action.CREATE, "CannotCreateContainerError"),
        ("sim/start-fails", Action.START, "CannotStartContainerError"),
        ("sim/fly-to-the-moon", Action.CREATE, "CannotCreateContainerError"),
    ],
)
def test_containers_that_cannot_be_made_or_started(image: str, action: Action, name: str) -> None:
    host = Host()
    host.start(task(image))
    failed = [event for _, event in host.take() if isinstance(event, Failed)][0]
    assert (failed.action, failed.name, failed.temporary) == (action, name, False)


def test_an_engine_bears_being_asked_twice() -> None:
    host, spec = Host(), task()
    host.start(spec)
    host.take()
    host.do(Action.CREATE, spec)
    host.do(Action.START, spec)
    assert [type(event) for _, event in host.take()] == [Created, Started]
    host.do(Action.STOP, spec)
    host.heap.run(50.0)
    host.take()
    host.do(Action.STOP, spec)
    assert host.take() == [(50.0, Exited(arn(), "main", 0))]
    host.do(Action.REMOVE, spec)
    host.do(Action.REMOVE, spec)
    assert [event for _, event in host.take()] == [Removed(arn(), "main")] * 2
    host.do(Action.START, spec)
    assert isinstance(host.take()[0][1], Failed)


def test_a_restarted_container_keeps_its_ports_and_forgets_its_old_timers() -> None:
    host = Host()
    spec = task(
        "sim/exit-1-after-10",
        portMappings=[{"containerPort": 80, "hostPort": 0}],
        restartPolicy={"enabled": True, "restartAttemptPeriod": 0},
    )
    host.start(spec)
    host.take()
    host.heap.run(12.5)
    assert [type(event) for _, event in host.take()] == [Exited]
    host.do(Action.START, spec)
    host.heap.run(22.9)
    [(_, started)] = host.take()
    assert isinstance(started, Started)
    assert started.bindings[0].host_port == 32768
    host.heap.run(23.0)
    assert host.take() == [(23.0, Exited(arn(), "main", 1))]


@pytest.mark.parametrize(
    ("image", "answers"),
    [
        ("sim/answers-503", [ProbeAnswer(503), ProbeAnswer(503)]),
        ("sim/answers-503-after-60", [ProbeAnswer(200), ProbeAnswer(503)]),
        ("sim/no-answer", [ProbeAnswer(None, "timeout")] * 2),
        ("sim/no-answer-after-60", [ProbeAnswer(200), ProbeAnswer(None, "timeout")]),
    ],
)
def test_answers_to_probes(image: str, answers: list[ProbeAnswer]) -> None:
    host = Host()
    host.start(task(image, portMappings=[{"containerPort": 80, "hostPort": 0}]))
    seen = [host.probe(32768)]
    host.heap.run(100.0)
    assert [*seen, host.probe(32768)] == answers


def test_faults_from_outside() -> None:
    host, spec = Host(), task(**checked(Interval=5 * SECOND))
    assert not host.engine.crash(arn(), "main", 1)
    host.start(spec)
    host.heap.run(60.0)
    host.take()
    assert host.engine.set_health(arn(), "main", "UNHEALTHY")
    assert host.engine.crash(arn(), "main", 139)
    assert not host.engine.crash(arn(), "main", 139)
    assert not host.engine.set_health(arn(), "main", "HEALTHY")
    assert [event for _, event in host.take()] == [
        HealthChanged(arn(), "main", "UNHEALTHY"),
        Exited(arn(), "main", 139),
    ]


def test_behaviours_come_from_image_label_and_environment() -> None:
    labels = json.dumps({"Labels": {"miniecs.simulate": "exit-2-after-3"}})
    assert behaviour_of({"image": "x", "dockerConfig": {"config": labels}}).exit_after == 3.0
    assert behaviour_of({"image": "x", "environment": {"MINIECS_SIMULATE": "no-answer"}}).answers is None
    both = behaviour_of({"image": "sim/ignores-sigterm/exit-1-after-5@sha256:0"})
    assert both == Behaviour(ignores_sigterm=True, exit_code=1, exit_after=5.0)
    assert behaviour_of({"image": "registry/sim/exit-1"}) == Behaviour()
    with pytest.raises(UnknownBehaviour):
        behaviour_of({"image": "sim/exit-one"})
