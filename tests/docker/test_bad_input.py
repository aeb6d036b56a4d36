"""What users get wrong: a task STOPPED, or a call refused, with the engine's words under ECS's names."""

from __future__ import annotations

import os
import pwd
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from .clusters import Clusters
from .commands import OBEDIENT
from .daemon import Engine, short_folder
from .engine_proxy import EngineProxy
from .miniecs import Miniecs
from .waiting import until


@pytest.fixture(scope="module")
def address(shared_miniecs: Miniecs) -> str:
    """Of an instance, where something else may listen."""
    definition = shared_miniecs.register(
        "address", {"name": "a", "command": OBEDIENT, "portMappings": [{"containerPort": 80}]}
    )
    (arn,) = shared_miniecs.run(definition)
    task = shared_miniecs.reaches(arn, "RUNNING")
    shared_miniecs.ecs.stop_task(task=arn)
    return str(task["containers"][0]["networkBindings"][0]["bindIP"])


def failed(miniecs: Miniecs, container: dict[str, Any], **more: Any) -> str:
    """The container's reason, when the task has been stopped within twenty seconds without having run."""
    (arn,) = miniecs.run(miniecs.register("wrong", {"name": "a", **container}, **more))
    stopped = miniecs.reaches(arn, "STOPPED", within=20)
    assert stopped["stopCode"] == "TaskFailedToStart"
    assert stopped["stoppedReason"] == "Task failed to start"
    assert "startedAt" not in stopped
    told = stopped["containers"][0]
    assert told["lastStatus"] == "STOPPED"
    return str(told["reason"])


def hint(miniecs: Miniecs) -> str:
    """What the agent's log says beside the engine's words."""
    return (miniecs.folder / "logs" / "agent.log").read_text()


def test_an_image_that_nobody_has(miniecs: Miniecs) -> None:
    # No registry listens there, as where there is no network.
    reason = failed(miniecs, {"image": "127.0.0.1:9/none:1"})
    assert reason.startswith("CannotPullContainerError: Error response from daemon: ")
    assert "127.0.0.1:9" in reason
    assert "make the image available locally" in hint(miniecs)


def test_a_command_that_does_not_exist(miniecs: Miniecs) -> None:
    reason = failed(miniecs, {"command": ["/no/such/program"]})
    assert re.match(r"Cannot(Start|Create)ContainerError: Error response from daemon: ", reason)
    assert 'exec: "/no/such/program"' in reason and "no such file or directory" in reason
    assert "the command or entryPoint does not exist in the image" in hint(miniecs)


def test_a_host_port_that_something_else_has(miniecs: Miniecs, address: str) -> None:
    with socket.create_server((address, 0)) as other:
        port = other.getsockname()[1]
        container = {"command": OBEDIENT, "portMappings": [{"containerPort": 80, "hostPort": port}]}
        (instance,) = [
            each["containerInstanceArn"] for each in miniecs.instances() if _has(miniecs, each, address)
        ]
        definition = miniecs.register("taken", {"name": "a", **container})
        started = miniecs.ecs.start_task(taskDefinition=definition, containerInstances=[instance])
        stopped = miniecs.reaches(started["tasks"][0]["taskArn"], "STOPPED", within=20)
    reason = stopped["containers"][0]["reason"]
    assert reason.startswith("CannotStartContainerError: Error response from daemon: ")
    assert f"{address}:{port}" in reason and "address already in use" in reason
    assert "something else on this machine listens there" in hint(miniecs)


def _has(miniecs: Miniecs, instance: dict[str, Any], address: str) -> bool:
    return any(
        binding["bindIP"] == address
        for task in miniecs.tasks()
        if task.get("containerInstanceArn") == instance["containerInstanceArn"]
        for container in task["containers"]
        for binding in container.get("networkBindings", ())
    )


def test_a_dynamic_port_that_something_else_has_is_another_one(miniecs: Miniecs, address: str) -> None:
    """Whoever asks for any port gets one that is free."""
    held = []
    try:
        for port in range(32768, 32868):
            listener = socket.socket()
            held.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((address, port))
                listener.listen()
            except OSError:
                continue
            if len(held) == 3:
                break
        definition = miniecs.register(
            "dynamic", {"name": "a", "command": OBEDIENT, "portMappings": [{"containerPort": 80}]}
        )
        for arn in miniecs.run(definition, 3):
            miniecs.reaches(arn, "RUNNING")
    finally:
        for listener in held:
            listener.close()


def test_a_host_path_that_cannot_be(miniecs: Miniecs) -> None:
    mounts = {"command": OBEDIENT, "mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}
    reason = failed(miniecs, mounts, volumes=[{"name": "v", "host": {"sourcePath": "/proc/no/such"}}])
    assert re.match(r"Cannot(Start|Create)ContainerError: Error response from daemon: ", reason)
    assert "/proc/no/such" in reason


def test_a_host_path_that_is_not_there_is_made(miniecs: Miniecs, tmp_path: Path) -> None:
    """As the ECS agent's engine does with a bind."""
    place = tmp_path / "made"
    container = {
        "name": "a",
        "command": ["sh", "-c", "echo here > /v/file"],
        "mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}],
    }
    volume = {"name": "v", "host": {"sourcePath": str(place)}}
    definition = miniecs.register("binds", container, volumes=[volume])
    (arn,) = miniecs.run(definition)
    assert miniecs.reaches(arn, "STOPPED")["containers"][0]["exitCode"] == 0
    assert (place / "file").read_text() == "here\n"


def test_less_memory_than_the_engine_gives(miniecs: Miniecs) -> None:
    with pytest.raises(botocore.exceptions.ClientError, match="memory") as refused:
        miniecs.register("small", {"name": "a", "memory": 4})
    assert refused.value.response["Error"]["Code"] == "ClientException"


def test_a_log_driver_that_the_engine_lacks(miniecs: Miniecs) -> None:
    with pytest.raises(botocore.exceptions.ClientError, match="nonsense"):
        miniecs.register("logs", {"name": "a", "logConfiguration": {"logDriver": "nonsense"}})
    # ECS knows this one; the engine does not have what it needs.
    driver = {"logDriver": "gelf", "options": {"gelf-address": "no-scheme"}}
    reason = failed(miniecs, {"command": OBEDIENT, "logConfiguration": driver})
    assert re.match(r"Cannot(Start|Create)ContainerError: Error response from daemon: ", reason)
    assert "gelf" in reason


def test_a_log_driver_that_reaches_nobody(miniecs: Miniecs) -> None:
    """The engine's words are about an address, and what to do is not about a registry."""
    driver = {"logDriver": "fluentd", "options": {"fluentd-address": "127.0.0.1:9"}}
    reason = failed(miniecs, {"command": OBEDIENT, "logConfiguration": driver})
    assert "failed to initialize logging driver" in reason and "127.0.0.1:9" in reason
    assert "nothing answers where the log driver sends its lines" in hint(miniecs)


def test_what_to_do_is_explained(miniecs: Miniecs) -> None:
    (arn,) = miniecs.run(miniecs.register("explained", {"name": "a", "user": "nobody-at-all"}))
    miniecs.reaches(arn, "STOPPED", within=20)
    said = miniecs.ok("explain", arn)
    assert "CannotStartContainerError: Error response from daemon: unable to find user nobody-at-all" in said
    assert "What to do: the image has no such user" in said


def test_a_privileged_container_is_refused_unless_it_is_allowed(miniecs: Miniecs, clusters: Clusters) -> None:
    privileged = {"name": "a", "command": OBEDIENT, "privileged": True}
    answer = miniecs.ecs.run_task(taskDefinition=miniecs.register("privileged", privileged))
    assert answer["tasks"] == []
    lacks = "com.amazonaws.ecs.capability.privileged-container"
    assert {(f["reason"], f["detail"]) for f in answer["failures"]} == {("ATTRIBUTE", f"lacks {lacks}")}
    assert "--allow-privileged" in answer["ResponseMetadata"]["HTTPHeaders"]["x-miniecs-hint"]
    allowed = clusters.start("--instances", "1", "--time-scale", "10", "--allow-privileged")
    (arn,) = allowed.run(allowed.register("privileged", {**privileged, "command": ["ls", "/dev/mem"]}))
    told = allowed.reaches(arn, "STOPPED")["containers"][0]
    # Whether a machine lets its containers be privileged is its own matter; what was asked for is ours.
    assert "allow-privileged" not in told.get("reason", "")


# Engines that cannot be used


@pytest.fixture
def folder() -> Iterator[Path]:
    place = short_folder()
    yield place
    subprocess.run(["rm", "-rf", str(place)], check=True)


def refused_up(miniecs: Miniecs) -> str:
    """What `up` says, in seconds, when it cannot: no traceback, and nothing stays behind."""
    done = miniecs.command("up", "--detach", "--port", "0")
    try:
        assert done.returncode != 0, done.stdout
        assert "Traceback" not in done.stdout + done.stderr
        assert not miniecs.processes(), miniecs.logs()
        return done.stderr
    finally:
        miniecs.end()


def test_an_engine_that_is_too_old(engine_proxy: EngineProxy, tmp_path: Path) -> None:
    old = b'{"Version": "17.06.2-ce", "ApiVersion": "1.30", "MinAPIVersion": "1.12", "Os": "linux"}'
    with engine_proxy.lies(r"GET /version", 200, old):
        said = refused_up(Miniecs(tmp_path / "data", engine_proxy.environment))
    assert "(Docker 17.06.2-ce) cannot be used: it speaks the API up to 1.30, miniecs needs 1.32." in said
    assert "--runtime simulated" in said


def test_an_engine_that_is_not_there(tmp_path: Path, folder: Path) -> None:
    said = refused_up(Miniecs(tmp_path / "data", {"DOCKER_HOST": f"unix://{folder}/none.sock"}))
    assert f"{folder}/none.sock" in said
    assert "--runtime simulated" in said


def test_a_socket_that_is_not_ours_to_use(engine: Engine, engine_proxy: EngineProxy, folder: Path) -> None:
    """As for a user who is not in the group `docker`."""
    nobody = pwd.getpwnam("nobody")
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir()
    os.chown(data, nobody.pw_uid, nobody.pw_gid)
    engine_proxy.socket.chmod(0o600)
    engine_proxy.socket.parent.chmod(0o755)
    miniecs = Miniecs(data, engine_proxy.environment)
    done = subprocess.run(
        ["setpriv", "--reuid", "nobody", "--regid", str(nobody.pw_gid), "--clear-groups",
         *miniecs.line("miniecs", ["up", "--detach", "--port", "0"])],
        env={**miniecs.environment, "HOME": str(data)}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "its socket is not yours to use" in done.stderr
    assert "`sudo usermod -aG docker $USER`" in done.stderr
    assert "Traceback" not in done.stderr
    assert not miniecs.processes()


# Agents that are not who they say


def test_a_second_agent_with_the_identity_of_a_living_one_touches_nothing(miniecs: Miniecs) -> None:
    first = miniecs.pid("agent")
    second = miniecs.begin("agent", "--data-dir", str(miniecs.folder))
    try:
        log = miniecs.folder / "logs" / "server.log"
        until("it to be turned away", lambda: "is turned away: another agent serves" in log.read_text())
        assert all(each["agentConnected"] for each in miniecs.instances())
        assert set(miniecs.processes("agent")) == {first, second.pid}
    finally:
        second.terminate()
        said, _ = second.communicate(timeout=30)
    assert "another agent serves this engine" in said
