"""Starting, watching, taking over and ending a server, with real processes that are really killed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from .conftest import BIN, MINIECS, Cli, until

pytestmark = pytest.mark.slow
SIMULATED = ("--runtime", "simulated")
NOTHING_RAN = {
    "supervisorPid": None,
    "serverPid": None,
    "agentPid": None,
    "proxyPid": None,
    "removed": None,
    "engineTrouble": None,
    "purged": False,
}


def up(cli: Cli, *more: str) -> Any:
    return cli.json("up", "--detach", *SIMULATED, "--port", "0", "--time-scale", "100", *more)


def answers(cli: Cli) -> bool:
    return cli("status").returncode == 0


def listens(endpoint: str) -> bool:
    address = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
    with socket.socket() as probe:
        return probe.connect_ex(address) == 0


def test_autoscale_makes_a_group_once_and_keeps_it(cli: Cli) -> None:
    def instances() -> list[str]:
        return sorted(each["ec2InstanceId"] for each in cli.json("instance", "ls")["instances"])

    started = up(cli, "--autoscale", "2:4")
    assert (started["status"], len(instances())) == ("started", 2)
    first = instances()
    assert cli.json("up", "--detach", "--autoscale", "2:4")["status"] == "running"
    code, said = cli.refused("up", "--detach", "--autoscale", "1:4")
    assert (code, "--autoscale is 2:4, not 1:4" in said) == (2, True)
    (provider,) = cli.json("capacity")["capacityProviders"]
    assert (provider["name"], provider["cluster"], provider["reservation"]) == ("autoscale", "default", 0)
    group = provider["group"]
    assert {each["ec2InstanceId"]: each["state"] for each in group["instances"]} == dict.fromkeys(
        first, "InService"
    )
    cli.ok("down")
    up(cli, "--autoscale", "1:3")
    assert instances() == first
    (again,) = cli.json("capacity")["capacityProviders"]
    assert (again["group"]["arn"], again["group"]["min"], again["group"]["max"]) == (group["arn"], 1, 3)
    cli.ok("down", "--purge")


def test_detached_returns_when_every_instance_is_connected(cli: Cli) -> None:
    started = up(cli, "--instances", "4", "--zones", "2", "--instance-type", "m5.large")
    assert started | {"endpoint": "", "pid": 0, "supervisorPid": 0, "seconds": 0} == {
        "status": "started",
        "endpoint": "",
        "pid": 0,
        "supervisorPid": 0,
        "dataDir": str(cli.data_dir),
        "agentPid": None,
        "proxyPid": None,
        "runtime": "simulated",
        "engine": None,
        "account": "000000000000",
        "region": "us-east-1",
        "timeScale": 100.0,
        "cluster": "default",
        "instances": {"registered": 4, "connected": 4},
        "seconds": 0,
    }
    instances = cli.json("instance", "ls")["instances"]
    assert [(i["type"], i["zone"], i["cpu"]["registered"]) for i in instances] == [
        ("m5.large", f"us-east-1{zone}", 2048) for zone in "abab"
    ]
    lines = cli.processes()
    assert lines.keys() == {started["pid"], started["supervisorPid"]}
    assert f"miniecs server --data-dir {cli.data_dir}" in lines[started["pid"]]


def test_twice_is_once(cli: Cli) -> None:
    first = up(cli)
    second = up(cli)
    plain = cli("up", "--detach")
    in_foreground = cli("up")
    assert second == first | {"status": "running", "seconds": second["seconds"]}
    for again in (plain, in_foreground):
        assert again.returncode == 0
        assert again.stdout.startswith(f"miniecs runs already on {cli.data_dir} ")
        assert f"endpoint {first['endpoint']}, ECS's waits 100 times shorter\n" in again.stdout


def test_two_at_the_same_moment_start_one_server(cli: Cli) -> None:
    command = ["up", "--detach", *SIMULATED, "--port", "0", "--output", "json"]
    racers = [
        subprocess.Popen([MINIECS, *command], env=cli.environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [json.loads(racer.communicate(timeout=90)[0]) for racer in racers]
    assert sorted(each["status"] for each in told) == ["running", "started"]
    assert len({(each["pid"], each["endpoint"]) for each in told}) == 1


def test_other_settings_are_refused_by_name(cli: Cli) -> None:
    port = up(cli)["endpoint"].rpartition(":")[2]
    code, message = cli.refused("up", "--detach", "--region", "eu-west-1", "--port", "1")
    assert code == 2
    assert message == (
        f"miniecs: miniecs runs already on {cli.data_dir} with other settings: --port is {port}, not 1; "
        "--region is us-east-1, not eu-west-1. End it with `miniecs down` first, or choose another "
        "--data-dir and --port for a second one.\n"
    )


def test_a_killed_server_is_back_within_five_seconds_with_its_state(cli: Cli) -> None:
    started = up(cli)
    cli.make_service("web")
    before = [task["id"] for task in cli.tasks("web")]
    for _ in range(2):
        pid = cli.json("status")["pid"]
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        until(lambda: listens(started["endpoint"]), "the server listens again", within=10)
        assert time.monotonic() - killed < 5
        status = cli.json("status")
        assert (status["pid"] != pid, status["endpoint"]) == (True, started["endpoint"])
        assert [task["id"] for task in cli.tasks("web")] == before
    until(lambda: {i["agentConnected"] for i in cli.client.get("instances")["instances"]} == {True}, "agents")
    assert "ended by signal 9" in (cli.data_dir / "logs/supervisor.log").read_text()


def test_a_killed_supervisor_is_replaced_and_the_server_taken_over(cli: Cli) -> None:
    started = up(cli)
    os.kill(started["supervisorPid"], signal.SIGKILL)
    until(lambda: cli.json("status")["supervisorPid"] is None, "the supervisor is gone")
    assert "Nothing restarts the server if it dies" in cli.ok("status")
    adopted = up(cli)
    assert adopted["status"] == "adopted"
    assert adopted["pid"] == started["pid"]
    assert adopted["supervisorPid"] not in (None, started["supervisorPid"])
    os.kill(adopted["pid"], signal.SIGKILL)
    until(lambda: cli.json("status")["pid"] != started["pid"], "the new supervisor restarted it", within=10)


def test_down_ends_everything_and_works_twice_and_where_nothing_is(cli: Cli) -> None:
    assert cli.json("down") == NOTHING_RAN
    assert not cli.data_dir.exists()
    started = up(cli)
    assert cli.json("down", "--keep") == NOTHING_RAN | {
        "supervisorPid": started["supervisorPid"], "serverPid": started["pid"]
    }
    assert cli.processes() == {}
    assert cli.ok("down") == f"Nothing runs on {cli.data_dir}.\n"
    assert (cli.data_dir / "state.db").exists()
    assert cli.ok("down", "--purge") == f"Nothing runs on {cli.data_dir}, and its data is removed.\n"
    assert not cli.data_dir.exists()


def test_down_ends_a_server_whose_supervisor_was_killed(cli: Cli) -> None:
    started = up(cli)
    os.kill(started["supervisorPid"], signal.SIGKILL)
    until(lambda: started["supervisorPid"] not in cli.processes(), "the supervisor is gone")
    assert cli.json("down")["serverPid"] == started["pid"]
    assert cli.processes() == {}


def test_state_and_options_outlive_down(cli: Cli) -> None:
    first = up(cli, "--account", "111122223333", "--region", "eu-west-1")
    cli.make_service("web")
    tasks = cli.tasks("web")
    cli.ok("down")
    second = cli.json("up", "--detach")
    assert {name: second[name] for name in ("endpoint", "account", "region", "timeScale")} == {
        name: first[name] for name in ("endpoint", "account", "region", "timeScale")
    }
    assert [task["id"] for task in cli.tasks("web")] == [task["id"] for task in tasks]


def test_amazons_own_agents_are_not_waited_for(cli: Cli) -> None:
    """Nobody here starts them. They tell their version when they connect, not when they register."""
    up(cli, "--instances", "1")
    resources = [
        {"name": name, "type": "INTEGER", "integerValue": amount}
        for name, amount in (("CPU", 1024), ("MEMORY", 900))
    ]
    version = {"agentVersion": "1.48.1", "agentHash": "19c447f1"}
    cli.ecs("RegisterContainerInstance", totalResources=resources)
    cli.ecs("RegisterContainerInstance", totalResources=resources, versionInfo=version)
    cli.ok("down")
    again = up(cli)
    assert (again["status"], again["instances"]) == ("started", {"registered": 3, "connected": 1})


def test_the_runtime_of_a_folder_stays(cli: Cli) -> None:
    up(cli)
    cli("down")
    refused = cli("up", "--detach", "--runtime", "docker", "--port", "0")
    assert refused.returncode == 2
    assert f"The container instances in {cli.data_dir} are of the simulated runtime." in refused.stderr
    assert up(cli)["status"] == "started"


def test_in_the_foreground_until_it_is_told_to_end(cli: Cli) -> None:
    cli.environment["PATH"] = "/usr/bin:/bin"  # without `miniecs`, as after `make run` in a new shell
    process = cli.start_in_foreground("--port", "0")
    until(lambda: answers(cli), "it answers")
    assert cli.json("status")["supervisorPid"] == process.pid
    os.kill(cli.json("status")["pid"], signal.SIGKILL)
    until(lambda: answers(cli), "the server was restarted")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert cli.processes() == {}
    assert out.splitlines()[0].startswith("server ready in ")
    assert "cluster default: 3 container instances in 3 zones, t3.medium with 2048 CPU units and" in out
    script = os.path.relpath(BIN / "activate")
    assert f'Try next:\n  . {script}\n  eval "$(miniecs env)"\n' in out
    assert err.count("\n") == 1
    # Killed so soon that the supervisor may not have seen it listen yet: then it waits a moment.
    assert re.search(r"ended by signal 9; starting it again (now|in 0\.25 s)\n", err), err


def test_a_killed_foreground_leaves_a_server_that_the_next_one_takes_over(cli: Cli) -> None:
    process = cli.start_in_foreground("--port", "0")
    until(lambda: answers(cli), "it answers")
    server = cli.json("status")["pid"]
    process.kill()
    process.communicate(timeout=30)
    assert cli.json("up", "--detach")["pid"] == server


def test_a_port_in_use_says_which_and_what_to_do(cli: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments in (["up", "--detach", *SIMULATED], ["up", *SIMULATED]):
            code, message = cli.refused(*arguments, "--port", str(port))
            assert code == 2
            assert message == (
                f"miniecs: cannot listen on 127.0.0.1:{port}: Address already in use. Choose another with "
                "--port, or end what uses it.\n"
            )
    assert cli.processes() == {}


def test_an_address_that_is_not_this_machines_says_so(cli: Cli) -> None:
    code, said = cli.refused("up", "--detach", *SIMULATED, "--port", "0", "--bind", "203.0.113.9")
    assert (code, "203.0.113.9" in said, "--bind" in said) == (2, True, True)


def test_a_chosen_port_is_none_that_the_system_gives_away(cli: Cli) -> None:
    port = int(up(cli)["endpoint"].rpartition(":")[2])
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert 10_000 <= port < first


def test_a_folder_of_a_newer_miniecs_is_left_alone(cli: Cli) -> None:
    up(cli)
    cli.ok("down")
    with closing(sqlite3.connect(cli.data_dir / "state.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.commit()
    before = (cli.data_dir / "state.db").read_bytes()
    code, message = cli.refused("up", "--detach")
    assert code == 2
    assert "was written by a newer miniecs" in message
    assert (cli.data_dir / "state.db").read_bytes() == before


def test_a_damaged_database_is_a_clear_error(cli: Cli) -> None:
    up(cli)
    cli.ok("down")
    (cli.data_dir / "state.db").write_bytes(b"not a database at all" * 1000)
    code, message = cli.refused("up", "--detach")
    assert code == 2
    assert "state.db" in message


def test_pids_that_other_programs_have_now_are_not_ours(cli: Cli) -> None:
    """A machine was switched off: the files name pids that live again, as something else."""
    up(cli)
    cli.ok("down")
    with subprocess.Popen(["sleep", "60"]) as stranger:
        told = {"pid": stranger.pid, "endpoint": "http://127.0.0.1:1", "version": "0.1.0"}
        noted = {"pid": stranger.pid, "server": stranger.pid}
        (cli.data_dir / "server.json").write_text(json.dumps(told))
        (cli.data_dir / "supervisor.json").write_text(json.dumps(noted))
        assert cli.json("down") == NOTHING_RAN
        (cli.data_dir / "server.json").write_text(json.dumps(told))
        (cli.data_dir / "supervisor.json").write_text(json.dumps(noted))
        assert up(cli)["status"] == "started"
        assert stranger.poll() is None
        stranger.kill()


def test_somebody_elses_folder_is_neither_used_nor_purged(cli: Cli) -> None:
    cli.data_dir.mkdir()
    (cli.data_dir / "thesis.tex").write_text("42")
    for arguments in (["up", "--detach"], ["down", "--purge"]):
        assert cli.refused(*arguments) == (
            2,
            f"miniecs: {cli.data_dir} holds files that are not of miniecs. Choose an empty or a new folder "
            "with --data-dir.\n",
        )
    assert [path.name for path in cli.data_dir.iterdir()] == ["thesis.tex"]


def test_damaged_settings_say_what_to_do(cli: Cli) -> None:
    up(cli)
    cli.ok("down")
    (cli.data_dir / "settings.json").write_text('{"port": "many"}')
    code, message = cli.refused("up", "--detach")
    assert code == 2
    assert message == (
        f"miniecs: {cli.data_dir}/settings.json is damaged (port is 'many'). Remove it and give `miniecs up` "
        "its options again; the state beside it is kept.\n"
    )


def test_on_an_address_of_ip_version_6(cli: Cli) -> None:
    started = up(cli, "--bind", "::1")
    assert started["endpoint"].startswith("http://[::1]:")
    assert cli.json("env")["AWS_ENDPOINT_URL"] == started["endpoint"]
    (arn,) = cli.aws("ecs", "list-clusters")["clusterArns"]
    assert arn == "arn:aws:ecs:us-east-1:000000000000:cluster/default"


@pytest.mark.parametrize("path", ["a-file", "a-file/data"])
def test_a_data_folder_that_cannot_be(cli: Cli, tmp_path: Path, path: str) -> None:
    (tmp_path / "a-file").write_text("")
    code, message = cli.refused("up", "--detach", *SIMULATED, "--data-dir", str(tmp_path / path))
    assert (code, message) == (
        2,
        f"miniecs: The data folder {tmp_path / path} cannot be used: Not a directory. Choose another with "
        "--data-dir.\n",
    )
    doctor = cli("doctor", "--data-dir", str(tmp_path / path))
    assert doctor.returncode == 1
    assert f"failed   data folder: {tmp_path / path} cannot be written\n" in doctor.stdout


def test_no_instances_is_no_cluster(cli: Cli) -> None:
    assert up(cli, "--instances", "0")["instances"] == {"registered": 0, "connected": 0}
    assert cli.json("status")["clusters"] == []
    assert cli.ok("status").endswith("\nThere is no cluster.\n")


def test_two_clusters_on_one_machine_do_not_touch_each_other(cli: Cli, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    first = up(cli)
    try:
        second = cli.json("up", "--detach", *SIMULATED, "--port", "0", "--data-dir", other)
        assert second["endpoint"] != first["endpoint"]
        cli.ok("down", "--data-dir", other)
        assert cli.json("status")["pid"] == first["pid"]
    finally:
        cli.ok("down", "--purge", "--data-dir", other)
