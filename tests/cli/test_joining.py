"""Joining from another machine: what is printed to run there, and what the agent is then told."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from miniecs.cli import app, engine, joining
from miniecs.cli.engine import Engine
from miniecs.cli.folder import DataFolder
from miniecs.cli.problem import Problem
from miniecs.config import ServerSettings
from miniecs_agent.shell import main as agent_main
from miniecs_agent.shell.main import AgentOptions

TOKEN = "AKIA0123456789ABCDEF:" + "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path)


def started(folder: DataFolder, bind: str) -> None:
    access_key, _, secret = TOKEN.partition(":")
    folder.save(
        ServerSettings(
            str(folder.path), bind=bind, port=4600, join_access_key=access_key, join_secret=secret
        )
    )


@pytest.mark.parametrize(
    ("bind", "endpoint"),
    [
        ("10.1.2.3", "http://10.1.2.3:4600"),
        ("2001:db8::5", "http://[2001:db8::5]:4600"),
        ("0.0.0.0", "http://192.168.7.7:4600"),
    ],
)
def test_the_command_for_another_machine(
    folder: DataFolder,
    bind: str,
    endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(joining, "_outward", lambda version: "192.168.7.7")
    started(folder, bind)
    joining.join_command(folder, as_json=False)
    command = capsys.readouterr().out.rstrip("\n")
    assert shlex.split(command) == ["miniecs", "agent", "--endpoint", endpoint, "--join-token", TOKEN]
    joining.join_command(folder, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "endpoint": endpoint, "joinToken": TOKEN, "command": command
    }


@pytest.mark.parametrize("bind", ["127.0.0.1", "localhost", "::1"])
def test_a_server_that_no_other_machine_reaches(folder: DataFolder, bind: str) -> None:
    started(folder, bind)
    with pytest.raises(Problem) as refused:
        joining.join_command(folder, as_json=False)
    assert str(refused.value) == (
        f"The server listens on {bind} alone, which no other machine reaches. `miniecs down --keep "
        f"--data-dir {folder.path}` and then `miniecs up --detach --bind 0.0.0.0 --data-dir {folder.path}` "
        "let it listen on every address: whoever reaches one of them can then use it."
    )


def test_nothing_was_started_yet(folder: DataFolder) -> None:
    with pytest.raises(Problem, match="Nothing was started yet on"):
        joining.join_command(folder, as_json=False)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[AgentOptions]:
    """What the agent's process is started with, where an engine is beside it."""
    options: list[AgentOptions] = []

    def main(given: AgentOptions) -> int:
        options.append(given)
        return 5

    def find(host: str | None = None) -> Engine:
        return Engine(host or "unix:///usual.sock", "local root", "Docker 28", api="1.50")

    monkeypatch.setattr(agent_main, "main", main)
    monkeypatch.setattr(engine, "find", find)
    monkeypatch.setattr("socket.gethostname", lambda: "bigbox")
    return options


JOIN = ["agent", "--endpoint", "http://10.1.2.3:4600/", "--join-token", TOKEN]
PLAIN: dict[str, Any] = {
    "endpoint": "http://10.1.2.3:4600",
    "access_key": TOKEN.partition(":")[0],
    "secret_key": TOKEN.partition(":")[2],
}


def test_what_is_not_given_is_the_servers_to_decide(told: list[AgentOptions]) -> None:
    assert app.run(JOIN) == 5
    assert told == [AgentOptions(**PLAIN, engine="unix:///usual.sock", name="bigbox")]


def test_what_is_given(told: list[AgentOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIECS_JOIN_TOKEN", TOKEN)
    options = "--engine unix:///mine.sock --instances 2 --type m5.large --zone b --cluster c --name n"
    assert app.run([*JOIN[:3], *options.split(), "--attribute", "disk=ssd", "--attribute", "gpu"]) == 5
    assert told == [
        AgentOptions(
            **PLAIN,
            engine="unix:///mine.sock",
            name="n",
            instances=2,
            instance_type="m5.large",
            zone="b",
            cluster="c",
            attributes=(("disk", "ssd"), ("gpu", "")),
        )
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--join-token", "AKIA"], "--join-token: it is <access key>:<secret>, as "),
        (["--endpoint", "10.1.2.3:4600"], "--endpoint: '10.1.2.3:4600' is not a server's address. Give one "),
        (["--endpoint", "https://h"], "--endpoint: 'https://h' is not a server's address. Give one "),
        (["--endpoint", "http://h:x"], "--endpoint: 'http://h:x' is not a server's address. Give one "),
        (["--endpoint", "http://h/x"], "--endpoint: 'http://h/x' is not a server's address. Give one "),
        (["--type", "t9.huge"], "--type: 't9.huge' is not a known instance type. "),
        (["--attribute", "=x"], "--attribute takes name=value, such as --attribute disk=ssd."),
    ],
)
def test_what_cannot_be_is_named(told: list[AgentOptions], change: list[str], said: str) -> None:
    with pytest.raises(Problem) as refused:
        app.run([*JOIN, *change])
    assert (refused.value.exit_code, str(refused.value)[: len(said)]) == (2, said)
    assert told == []


@pytest.mark.parametrize("missing", ["--endpoint", "--join-token"])
def test_what_is_missing_is_named(
    told: list[AgentOptions], missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    at = JOIN.index(missing)
    assert app.run([*JOIN[:at], *JOIN[at + 2 :]]) == 2
    said = f"{missing} is missing. `miniecs agent join-command` prints what to give."
    assert said in capsys.readouterr().err
