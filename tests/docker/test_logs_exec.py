"""`miniecs logs` and `exec` with real containers, and with what stands between killed."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator

import pytest

from .clusters import Clusters
from .daemon import Engine
from .miniecs import Miniecs
from .waiting import until

TALK = "echo begun; echo aside >&2; exec sleep 3600"
COUNT = "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.02; done"
BURST = "yes 012345678901234567890123456789012345678901234567890123456789 | head -160000; sleep 3600"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Miniecs]:
    """One cluster for the tests that break nothing."""
    clusters = Clusters(lambda: tmp_path_factory.mktemp("streams"), engine)
    yield clusters.start("--instances", "1")
    clusters.end()


def started(miniecs: Miniecs, **scripts: str) -> str:
    """A RUNNING task with a container for each script; 8 digits of its id."""
    containers = [{"name": name, "command": ["sh", "-c", script]} for name, script in scripts.items()]
    (arn,) = miniecs.run(miniecs.register("streams", *containers))
    miniecs.reaches(arn, "RUNNING")
    return arn.rpartition("/")[2][:8]


def raw(miniecs: Miniecs, *words: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    line = miniecs.line("miniecs", words)
    ran = subprocess.run(line, env=miniecs.environment, input=stdin, capture_output=True, timeout=120)
    return ran.returncode, ran.stdout, ran.stderr


def test_logs_of_one_and_of_several(folder: Miniecs) -> None:
    task = started(folder, web=TALK, sidecar="echo up; exec sleep 3600")
    until("its lines", lambda: raw(folder, "logs", task, "-c", "web") == (0, b"begun\n", b"aside\n"))
    code, out, err = raw(folder, "logs", task)
    assert (code, sorted(out.splitlines()), err) == (
        0, [b"sidecar  | up", b"web      | begun"], b"web      | aside\n"
    )
    printed = folder.ok("logs", task, "-c", "web", "--output", "json")
    documents = [json.loads(line) for line in printed.splitlines()]
    assert {(d["container"], d["stream"], d["line"]) for d in documents} == {
        ("web", "stdout", "begun"), ("web", "stderr", "aside")
    }
    assert all(d["timestamp"].endswith("Z") and len(d["timestamp"]) == 30 for d in documents)


def test_long_lines_come_whole(folder: Miniecs) -> None:
    task = started(folder, main="head -c 100000 /dev/zero | tr '\\0' x; echo; echo second; exec sleep 3600")
    until("both lines", lambda: raw(folder, "logs", task)[1].endswith(b"second\n"))
    assert raw(folder, "logs", task)[1] == b"x" * 100_000 + b"\nsecond\n"
    stamped = raw(folder, "logs", task, "--timestamps")[1].splitlines()
    assert [line.partition(b" ")[2] for line in stamped] == [b"x" * 100_000, b"second"]


def test_a_burst_arrives_whole(folder: Miniecs) -> None:
    """Ten megabytes, followed while they are written."""
    task = started(folder, main=BURST)
    line = folder.line("miniecs", ["logs", "-f", task])
    with subprocess.Popen(line, env=folder.environment, stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        got = reader.stdout.read(160_000 * 61)
        reader.send_signal(signal.SIGINT)
    assert reader.returncode == 0
    assert got == b"012345678901234567890123456789012345678901234567890123456789\n" * 160_000


def test_logs_of_a_stopped_task_until_its_container_is_gone(folder: Miniecs, engine: Engine) -> None:
    task = started(folder, main="echo last words; exec sleep 3600")
    (arn,) = [each["taskArn"] for each in folder.tasks() if f"/{task}" in each["taskArn"]]
    folder.ecs.stop_task(task=arn)
    folder.reaches(arn, "STOPPED", within=60)
    assert raw(folder, "logs", task) == (0, b"last words\n", b"")
    assert raw(folder, "logs", "-f", task) == (0, b"last words\n", b"")
    refused = f"Container main of task {task} is STOPPED: commands run in running containers only."
    assert raw(folder, "exec", task, "--", "true") == (1, b"", f"miniecs: {refused}\n".encode())
    label = {"label": f"com.amazonaws.ecs.task-arn={arn}"}
    (container,) = engine.client.containers.list(all=True, filters=label)
    container.remove(force=True)

    def gone() -> bool:
        return b"the engine has no container main" in raw(folder, "logs", task)[2]

    until("a message that says so", gone)


def test_following_from_before_the_start_to_the_end(folder: Miniecs) -> None:
    script = "echo a; sleep 1; echo b"
    definition = folder.register("short", {"name": "main", "command": ["sh", "-c", script]})
    (arn,) = folder.run(definition)
    assert raw(folder, "logs", "-f", arn) == (0, b"a\nb\n", b"")


def test_commands(folder: Miniecs) -> None:
    task = started(folder, main=TALK)
    assert raw(folder, "exec", task, "--", "sh", "-c", "echo out; echo bad >&2; exit 42") == (
        42, b"out\n", b"bad\n"
    )
    data = bytes(range(256)) * 4000
    assert raw(folder, "exec", task, "--", "cat", stdin=data) == (0, data, b"")
    assert raw(folder, "exec", task, "--", "nosuch")[0] in (126, 127)  # as the engine says


def test_killed_agents_and_servers_lose_no_line_and_repeat_none(clusters: Clusters) -> None:
    miniecs = clusters.start("--instances", "1")
    task = started(miniecs, main=COUNT)
    with miniecs.begin("logs", "-f", task) as reader:
        lines = iter(reader.stdout or ())
        said: list[str] = []
        numbers: list[int] = []

        def read(count: int, broken: int) -> None:
            """As many lines more, and until so many broken connections were told of."""
            end = len(numbers) + count
            while len(numbers) < end or len({line.partition(".")[0] for line in said}) < broken:
                line = next(lines)
                if line.startswith("line "):
                    numbers.append(int(line[5:]))
                else:
                    said.append(line)

        read(20, broken=0)
        for broken, role in enumerate(("agent", "server"), 1):
            miniecs.kill(role)
            read(300, broken)
        reader.send_signal(signal.SIGINT)
        list(lines)
    assert reader.returncode == 0
    assert numbers == list(range(len(numbers)))
    assert {line.partition(".")[0] for line in said} >= {
        "miniecs: The connection to the agent ended", "miniecs: The connection to the server ended"
    }


@pytest.mark.parametrize("role", ["agent", "server"])
def test_a_command_whose_agent_or_server_is_killed_says_so(clusters: Clusters, role: str) -> None:
    miniecs = clusters.start("--instances", "1")
    task = started(miniecs, main=TALK)
    with miniecs.begin("exec", task, "--", "sh", "-c", "echo here; sleep 3600") as ran:
        assert ran.stdout is not None
        assert ran.stdout.readline() == "here\n"
        miniecs.kill(role)
        assert ran.stdout.read().startswith(f"miniecs: The connection to the {role} ended.")
    assert ran.returncode == 1
