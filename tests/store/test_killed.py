"""kill -9 in the middle of writing: all that was acknowledged is there, and no transaction by half."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from miniecs.model.event import EventKind
from miniecs.model.service import Service
from miniecs.model.task import Task
from miniecs.store import SqliteStore

from .samples import ACCOUNT, WEB, task

ROOT = Path(__file__).parents[2]


def write_and_kill(path: Path, after: int) -> int:
    """The last write that was acknowledged by a process killed after so many."""
    writer = subprocess.Popen(
        [sys.executable, "-m", "tests.store.writer", str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    with writer, writer.stdout:
        for line in writer.stdout:
            if int(line) >= after:
                break
        os.kill(writer.pid, signal.SIGKILL)
        # What it acknowledged between our last line and its end is still in the pipe.
        rest = writer.stdout.read().split("\n")
        acknowledged = [int(line), *map(int, rest[:-1])]
    assert writer.returncode == -signal.SIGKILL
    return acknowledged[-1]


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 60, 1000, 2500])
def test_all_acknowledged_writes_survive_kill_9(tmp_path: Path, after: int) -> None:
    path = tmp_path / "miniecs.db"
    acknowledged = write_and_kill(path, after)
    assert acknowledged >= after
    store = SqliteStore(path)
    service = store.get(Service, WEB)
    assert service is not None
    last = service.desired_count
    assert last in (acknowledged, acknowledged + 1)
    assert store.seq == last
    lefts = range(max(1, last - 49), last + 1)
    assert sorted(thing.arn for thing in store.all(Task)) == sorted(
        [task(f"left-{n}").arn for n in lefts] + [task(f"right-{n}").arn for n in range(1, last + 1)]
    )
    for number in range(1, last + 1):
        assert store.version(Task, task(f"right-{number}").arn) == number
    assert [event.message for event in store.events(WEB, [EventKind.SERVICE_MESSAGE])] == [
        str(number) for number in range(max(1, last - 99), last + 1)
    ]
    assert store.count(Task, "service", (WEB, "PENDING")) == len(lefts) + last
    with store.transaction() as tx:
        tx.put(task("next"))
    assert store.version(Task, f"{ACCOUNT}:task/default/next") == last + 1
    store.close()


@pytest.mark.slow
def test_a_store_survives_being_killed_again_and_again(tmp_path: Path) -> None:
    """Each process starts its numbers anew over the rows of the last one; the log is never cleanly closed."""
    path = tmp_path / "miniecs.db"
    seq = 0
    for _ in range(4):
        acknowledged = write_and_kill(path, 120)
        store = SqliteStore(path)
        assert store.seq - seq in (acknowledged, acknowledged + 1)
        seq = store.seq
        store.close()
