"""`miniecs up` and `down` with real containers: who dies, who takes over, and what is left in the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time

from .clusters import Clusters
from .daemon import Engine
from .miniecs import Miniecs
from .waiting import until


def running(miniecs: Miniecs, engine: Engine, kind: str = "containers") -> list[str]:
    """Ids of what this data folder has on the engine."""
    label = {"label": f"miniecs.data-dir={miniecs.folder}"}
    return sorted(each.id for each in getattr(engine.client, kind).list(filters=label))


def with_tasks(clusters: Clusters, count: int = 2) -> Miniecs:
    """A cluster with tasks that are RUNNING."""
    miniecs = clusters.start("--instances", "2")
    definition = miniecs.register("sleeper", {"name": "main", "command": ["sleep", "3600"]})
    for arn in miniecs.run(definition, count):
        miniecs.reaches(arn, "RUNNING")
    return miniecs


def is_back(miniecs: Miniecs, role: str, killed: int) -> float:
    """Seconds until another process of this role was started; returns when that one works."""
    since = time.monotonic()
    until(f"another process for {role}", lambda: set(miniecs.processes(role)) - {killed})
    seconds = time.monotonic() - since

    def works() -> bool:
        try:
            told = json.loads((miniecs.folder / f"{role}.json").read_text())
        except (OSError, ValueError):
            return False
        return bool(told["pid"] != killed and told["pid"] in miniecs.processes(role))

    until(f"another {role}", works)
    return seconds


def are_connected(miniecs: Miniecs) -> bool:
    return all(instance["agentConnected"] for instance in miniecs.instances())


def test_what_is_killed_is_back_within_five_seconds_and_no_container_is_touched(
    clusters: Clusters, engine: Engine
) -> None:
    miniecs = with_tasks(clusters)
    before = running(miniecs, engine)
    assert len(before) == 2
    for role in ("agent", "server"):
        assert is_back(miniecs, role, miniecs.kill(role)) < 5
        until("all agents to be connected", lambda: are_connected(miniecs))
    assert running(miniecs, engine) == before
    assert {task["lastStatus"] for task in miniecs.tasks()} == {"RUNNING"}


def test_the_next_up_takes_over_what_a_killed_supervisor_left(clusters: Clusters, engine: Engine) -> None:
    miniecs = with_tasks(clusters)
    before = running(miniecs, engine)
    server, agent = miniecs.pid("server"), miniecs.pid("agent")
    miniecs.kill("supervise")
    until("the supervisor to be gone", lambda: not miniecs.processes("supervise"))
    told = miniecs.json("up", "--detach")
    assert (told["status"], told["pid"], told["agentPid"]) == ("adopted", server, agent)
    assert is_back(miniecs, "agent", miniecs.kill("agent")) < 5
    assert running(miniecs, engine) == before


def test_the_next_up_finds_the_containers_after_all_were_killed(
    clusters: Clusters, engine: Engine
) -> None:
    miniecs = with_tasks(clusters)
    before = running(miniecs, engine)
    for role in ("supervise", "proxy", "agent", "server"):
        miniecs.kill(role)
    until("all to be gone", lambda: not miniecs.processes())
    assert running(miniecs, engine) == before
    told = miniecs.json("up", "--detach")
    assert (told["status"], told["instances"]) == ("started", {"registered": 2, "connected": 2})
    assert told["engine"].startswith("Docker ")
    assert running(miniecs, engine) == before
    assert {task["lastStatus"] for task in miniecs.tasks()} == {"RUNNING"}


def test_down_keeps_what_it_is_told_to_and_else_leaves_nothing(clusters: Clusters, engine: Engine) -> None:
    miniecs = with_tasks(clusters)
    before = running(miniecs, engine)
    told = miniecs.json("down", "--keep")
    assert (told["removed"], told["engineTrouble"]) == (None, None)
    assert None not in (told["supervisorPid"], told["serverPid"], told["agentPid"])
    until("all to be gone", lambda: not miniecs.processes())
    assert running(miniecs, engine) == before
    miniecs.up()
    assert running(miniecs, engine) == before
    told = miniecs.json("down")
    assert told["removed"] == {"containers": 2, "volumes": 0, "networks": 2}
    assert running(miniecs, engine) + running(miniecs, engine, "networks") == []
    assert miniecs.ok("down") == f"Nothing runs on {miniecs.folder}.\n"


def test_tasks_whose_containers_down_removed_are_stopped_and_not_started_again(
    clusters: Clusters, engine: Engine
) -> None:
    miniecs = with_tasks(clusters)
    miniecs.down()
    miniecs.up()
    until("them to be STOPPED", lambda: {task["lastStatus"] for task in miniecs.tasks()} == {"STOPPED"})
    assert running(miniecs, engine) == []


def test_what_a_cluster_left_whose_folder_is_gone_is_removed_by_the_next_up(
    clusters: Clusters, engine: Engine
) -> None:
    gone, lives = with_tasks(clusters), with_tasks(clusters)
    gone.down("--keep")
    before = running(lives, engine)
    shutil.rmtree(gone.folder)
    assert len(running(gone, engine)) == 2
    clusters.start("--instances", "0")
    assert running(gone, engine) + running(gone, engine, "networks") == []
    assert running(lives, engine) == before


def test_a_supervisor_told_to_end_ends_processes_and_no_container(clusters: Clusters, engine: Engine) -> None:
    miniecs = with_tasks(clusters)
    before = running(miniecs, engine)
    for pid in miniecs.processes("supervise"):
        os.kill(pid, signal.SIGTERM)
    until("all to be gone", lambda: not miniecs.processes())
    assert running(miniecs, engine) == before
    miniecs.up()
    assert running(miniecs, engine) == before
