"""What an engine says, put into our words."""

from __future__ import annotations

from typing import Any

import pytest

from miniecs.model.hints import hint
from miniecs_agent.core.state import Action
from miniecs_agent.docker.errors import (
    Failure,
    Refused,
    TimedOut,
    duration,
    failure,
    failure_of,
    image_missing,
    network_missing,
    port_taken,
)
from miniecs_agent.docker.events import (
    Event,
    Seen,
    health,
    read_event,
    read_inspection,
    read_usage,
    timestamp,
)
from miniecs_agent.docker.images import Image, Meter, read_image
from miniecs_agent.docker.names import INSTANCE
from miniecs_agent.host_engine import Usage


def raw(action: str, **attributes: str) -> dict[str, Any]:
    actor = {"ID": "c1", "Attributes": {INSTANCE: "i-1", **attributes}}
    return {"Type": "container", "Action": action, "Actor": actor, "timeNano": 1_500_000_000}


@pytest.mark.parametrize(
    ("event", "read"),
    [
        (raw("start"), Event("start", 1.5, "c1", "i-1")),
        (raw("die", exitCode="137"), Event("die", 1.5, "c1", "i-1", 137)),
        (raw("oom"), Event("oom", 1.5, "c1", "i-1")),
        (raw("destroy"), Event("destroy", 1.5, "c1", "i-1")),
        (raw("health_status: healthy"), Event("healthy", 1.5, "c1", "i-1")),
        (raw("health_status: unhealthy"), Event("unhealthy", 1.5, "c1", "i-1")),
        (raw("exec_start: sh"), None),
        ({"Type": "image", "Action": "untag", "timeNano": 2_000_000_000}, Event("image", 2.0)),
    ],
)
def test_events(event: dict[str, Any], read: Event | None) -> None:
    assert read_event(event, INSTANCE) == read


def test_health_of_events() -> None:
    assert [health(action) for action in ("healthy", "unhealthy", "start")] == ["HEALTHY", "UNHEALTHY", None]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T00:00:10.25Z", 10.25),
        ("1970-01-01T00:00:10.123456789Z", 10.123456789),
        ("1970-01-01T02:00:10.5+02:00", 10.5),
        ("0001-01-01T00:00:00Z", 0.0),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_times(text: str | None, seconds: float) -> None:
    assert timestamp(text) == seconds


def inspected(**state: Any) -> dict[str, Any]:
    return {
        "Id": "c1",
        "Image": "sha256:1",
        "State": {"Running": False, "ExitCode": 0, "StartedAt": "0001-01-01T00:00:00Z", **state},
        "Config": {"Labels": {"a": "b"}, "Tty": True, "StopSignal": "SIGINT"},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "1.2.3.4", "HostPort": "8080"}]}},
    }


def test_inspections() -> None:
    created = Seen(
        runtime_id="c1",
        state="created",
        exit_code=None,
        out_of_memory=False,
        started_at=0.0,
        finished_at=0.0,
        health="UNKNOWN",
        image_id="sha256:1",
        tty=True,
        stop_signal="SIGINT",
        labels={"a": "b"},
        port_bindings={"80/tcp": [{"HostIp": "1.2.3.4", "HostPort": "8080"}]},
    )
    began = {"StartedAt": "1970-01-01T00:00:01Z"}
    ended = {**began, "FinishedAt": "1970-01-01T00:00:02Z"}
    assert read_inspection(inspected(ExitCode=127)) == created  # a start that failed
    assert read_inspection(
        inspected(Running=True, Paused=True, Health={"Status": "healthy"}, **began)
    ) == created._replace(state="running", started_at=1.0, health="HEALTHY")
    assert read_inspection(inspected(ExitCode=137, OOMKilled=True, **ended)) == created._replace(
        state="exited", exit_code=137, out_of_memory=True, started_at=1.0, finished_at=2.0
    )


@pytest.mark.parametrize("cache", [{"total_inactive_file": 30}, {"inactive_file": 30}])
def test_usage_on_either_cgroup_version(cache: dict[str, int]) -> None:
    stats = {
        "cpu_stats": {"cpu_usage": {"total_usage": 7}},
        "memory_stats": {"usage": 100, "stats": cache},
        "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}},
        "blkio_stats": {
            "io_service_bytes_recursive": [{"op": "Read", "value": 3}, {"op": "write", "value": 4}]
        },
    }
    assert read_usage(stats) == Usage(7, 70, 11, 22, 3, 4)


def test_usage_of_what_has_just_ended() -> None:
    assert read_usage({"blkio_stats": {"io_service_bytes_recursive": None}}) == Usage(0, 0, 0, 0, 0, 0)


def test_a_pulls_layers_add_up() -> None:
    meter = Meter()
    for message in (
        {"status": "Pulling from library/busybox", "id": "latest"},
        {"status": "Pulling fs layer", "id": "a"},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 10, "total": 100}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 5, "total": 50}},
        {"status": "Download complete", "id": "a", "progressDetail": {}},
        {"status": "Extracting", "id": "a", "progressDetail": {"current": 1, "total": 100}},
    ):
        meter.add(message)
    assert (meter.status, meter.current, meter.total) == ("Extracting", 105, 150)


def test_an_image_with_digests_of_several_repositories() -> None:
    found = {
        "Id": "sha256:1",
        "RepoDigests": ["mirror/busybox@sha256:a", "busybox@sha256:b"],
        "Config": {"StopSignal": "SIGQUIT"},
    }
    assert read_image(found, "busybox:latest") == Image("sha256:1", "sha256:b", "SIGQUIT")
    assert read_image(found, "mirror/busybox") == Image("sha256:1", "sha256:a", "SIGQUIT")
    local = {"Id": "sha256:1", "RepoDigests": [], "Config": {}}
    assert read_image(local) == Image("sha256:1", "sha256:1", "")
    assert read_image(found, "busybox:1@sha256:c").digest == "sha256:c", "what was asked for"


# Errors

DENIED = (
    "pull access denied for nosuch/image, repository does not exist or may require 'docker login': "
    "denied: requested access to the resource is denied"
)
NO_HOST = 'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host'
TAKEN = (
    "driver failed programming external connectivity on endpoint ecs-web (1): "
    "Bind for 172.31.0.1:80 failed: port is already allocated"
)
NO_COMMAND = (
    'failed to create shim task: OCI runtime create failed: runc create failed: exec: "nosuch": '
    "executable file not found in $PATH: unknown"
)


@pytest.mark.parametrize(
    ("action", "status", "words", "name", "temporary"),
    [
        (Action.PULL, 404, DENIED, "CannotPullContainerError", True),
        (Action.PULL, 500, NO_HOST, "CannotPullContainerError", True),
        (Action.PULL, 400, "invalid reference format", "CannotPullContainerError", False),
        (Action.CREATE, 400, "Minimum memory limit allowed is 6MB", "CannotCreateContainerError", False),
        (Action.START, 500, TAKEN, "CannotStartContainerError", False),
        (Action.START, 400, NO_COMMAND, "CannotStartContainerError", False),
        (Action.START, 500, "context deadline exceeded", "CannotStartContainerError", True),
        (Action.STOP, 500, "permission denied", "CannotStopContainerError", False),
    ],
)
def test_an_engines_words_keep_their_form(
    action: Action, status: int, words: str, name: str, temporary: bool
) -> None:
    expected = Failure(name, f"Error response from daemon: {words}", temporary)
    assert failure(action, Refused(status, words)) == expected


def test_words_from_the_middle_of_an_answer_stand_alone() -> None:
    expected = Failure("CannotPullContainerError", "unexpected EOF", temporary=True)
    assert failure(Action.PULL, Refused(0, "unexpected EOF")) == expected


def test_an_engine_that_does_not_answer() -> None:
    assert failure_of(Action.CREATE, TimedOut("x")) == Failure(
        "DockerTimeoutError", "Could not transition to created; timed out after waiting 4m0s"
    )
    assert failure_of(Action.STOP, TimedOut("x")).temporary
    assert [duration(each) for each in (18.0, 60.0, 200.4)] == ["18s", "1m0s", "3m20s"]


def test_what_a_refusal_is_about() -> None:
    assert port_taken(TAKEN) and port_taken("listen tcp4 1.2.3.4:80: bind: address already in use")
    assert not port_taken(NO_COMMAND)
    assert image_missing(Refused(404, "No such image: busybox:latest"))
    assert not image_missing(Refused(404, "No such container: x"))
    assert network_missing(Refused(404, "network miniecs-1-i-1 not found"))
    assert not network_missing(Refused(500, "network x not found"))


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (DENIED, "docker login"),
        (f"CannotPullContainerError: {NO_HOST}", "registry cannot be reached"),
        (
            "failed to initialize logging driver: dial tcp 127.0.0.1:24224: connect: connection refused",
            "log driver sends its lines",
        ),
        (TAKEN, "hostPort 0"),
        (NO_COMMAND, "does not exist in the image"),
        ("Minimum memory limit allowed is 6MB", "6 MiB"),
        ("Minimum memory reservation allowed is 6MB", "6 MiB"),
        ("unable to find user x: no matching entries in passwd file", "no such user"),
        ("write /var/lib/docker/x: no space left on device", "docker system df"),
        ("logger: no log driver named 'nosuch' is registered", "docker info"),
        ("OutOfMemoryError: Container killed due to memory usage", "memory"),
    ],
)
def test_hints(words: str, part: str) -> None:
    assert part in hint(words)


def test_no_hint_where_there_is_none_to_give() -> None:
    assert hint("something new") == ""
    assert hint(f"CannotCreateVolumeError: {NO_HOST}") == ""  # a volume's driver, and no registry
