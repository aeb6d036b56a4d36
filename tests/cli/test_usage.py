"""Wrong arguments, and commands where nothing runs: a clear sentence, the right exit code, no process."""

from __future__ import annotations

from pathlib import Path

import pytest

from miniecs import __version__
from miniecs.cli import app, hosts
from miniecs.cli.problem import Problem


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINIECS_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "70000"], "--port: 70000 is not a port. Give 1 to 65535, or 0 for a free one."),
        (["--instances", "-1"], "--instances: -1 is not between 0 and 5000, ECS's quota for one cluster."),
        (["--autoscale", "x"], "--autoscale: 'x' is not MIN:MAX. Give sizes like 1:10."),
        (["--autoscale", "1:2:3"], "--autoscale: '1:2:3' is not MIN:MAX. Give sizes like 1:10."),
        (["--autoscale", "3"], "--autoscale: '3' is not MIN:MAX. Give sizes like 1:10."),
        (["--autoscale", "3:1"], "--autoscale: 3 is not between 0 and 1; MIN must not be above MAX."),
        (["--autoscale", "-1:1"], "--autoscale: -1 is not between 0 and 1; MIN must not be above MAX."),
        (["--autoscale", "0:0"], "--autoscale: 0 is not between 1 and 5000; MAX is the size up to which "),
        (["--autoscale", "1:5001"], "--autoscale: 5001 is not between 1 and 5000; MAX is the size up to "),
        (["--autoscale", "1:2", "--instances", "3"], "--instances: with --autoscale 1:2 its "),
        (["--zones", "0"], "--zones: 0 is not between 1 and 26."),
        (["--time-scale", "0"], "--time-scale: 0 divides nothing. Give a number above 0."),
        (["--time-scale", "nan"], "--time-scale: nan divides nothing. Give a number above 0."),
        (["--launch-throttle", "10"], "--launch-throttle: '10' is not FIRST:MOST. Give seconds like 10:900."),
        (["--launch-throttle", "a:b"], "--launch-throttle: 'a:b' is not FIRST:MOST. Give seconds like "),
        (["--launch-throttle", "0:9"], "--launch-throttle: 0:9 does not begin above 0 and grow. "),
        (["--launch-throttle", "9:1"], "--launch-throttle: 9:1 does not begin above 0 and grow. "),
        (["--launch-throttle", "1:nan"], "--launch-throttle: 1:nan does not begin above 0 and grow. "),
        (["--account", "12"], "--account: '12' is not an AWS account id, which has twelve digits."),
        (["--region", "Mars"], "--region: 'Mars' is not a region's name. Give one like us-east-1."),
        (["--cluster", "my cluster"], "--cluster: 'my cluster' is not a cluster's name, "),
        (["--bind", "example.org"], "--bind: 'example.org' is not an address of this machine."),
        (["--instance-type", "t9.huge"], "--instance-type: 't9.huge' is not a known instance type. "),
    ],
)
def test_a_value_that_cannot_be_is_named(data_dir: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(Problem) as refused:
        app.run(["up", "--detach", *arguments])
    assert refused.value.exit_code == 2
    assert str(refused.value).startswith(message)
    assert not (data_dir / "settings.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--port", "many"], "Invalid value for '--port': "),
        (["up", "--runtime", "podman"], "'podman' is not one of 'docker', 'simulated'"),
        (["up", "--ports", "1"], "No such option: --ports"),
        (["explain"], "Missing argument 'NAME'"),
        (["nonesuch"], "No such command 'nonesuch'"),
        (["instance", "add", "--count", "0"], "Invalid value for '--count': "),
        (["down", "--keep", "--purge"], "--keep and --purge exclude each other"),
        (["ps", "--output", "yaml"], "'yaml' is not one of 'text', 'json'"),
    ],
)
def test_usage_errors_are_two_lines_and_exit_code_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: miniecs ")
    assert said in err


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["ps"], ["events"], ["explain", "web"], ["lb"], ["deployments", "web"], ["capacity"],
     ["instance", "add"], ["instance", "rm", "x"],
     ["instance", "drain", "x"], ["instance", "ls"], ["reset"]],
)
def test_where_nothing_runs_it_says_how_to_start(data_dir: Path, arguments: list[str]) -> None:
    with pytest.raises(Problem) as refused:
        app.run(arguments)
    assert refused.value.exit_code == 1
    assert str(refused.value) == (
        f"miniecs is not running on the data folder {data_dir}. `miniecs up --detach` starts it; --data-dir "
        "or MINIECS_DATA_DIR chooses another folder."
    )


def test_attributes_have_names() -> None:
    with pytest.raises(Problem, match="--attribute takes name=value"):
        app.run(["instance", "add", "--attribute", "=ssd"])


def test_env_before_the_first_start() -> None:
    with pytest.raises(Problem, match="Nothing was started yet on"):
        app.run(["env"])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["--version"]) == 0
    assert capsys.readouterr().out == f"miniecs {__version__}\n"


def test_every_command_takes_a_data_folder_and_json() -> None:
    commands = [
        command
        for group in (app.app, app.instance, hosts.agent, hosts.engine)
        for command in group.registered_commands
    ]
    assert len(commands) >= 17
    for command in commands:
        assert command.callback is not None
        hints = command.callback.__annotations__
        assert (hints["data_dir"], hints["output"]) == ("DataDir", "Format"), command.callback.__name__
