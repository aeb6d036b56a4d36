"""The parts that decide without starting anything."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from miniecs.cli import engine, output, processes, settings
from miniecs.cli.doctor import judge_aws
from miniecs.cli.folder import DataFolder
from miniecs.cli.supervisor import roles
from miniecs.cli.watch import restart_delay
from miniecs.config import ServerSettings

SAVED = ServerSettings("/d", port=5000, region="eu-west-1", allow_hosts=("a.example",), time_scale=2.5)


def test_settings_come_back_as_they_were_saved() -> None:
    document = json.loads(json.dumps(asdict(SAVED)))
    assert settings.from_document(document, Path("/d")) == SAVED


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"port": "5000"}, "port is '5000'"),
        ({"port": True}, "port is True"),
        ({"strict": 1}, "strict is 1"),
        ({"time_scale": None}, "time_scale is None"),
        ({"allow_hosts": [1]}, r"allow_hosts is \[1\]"),
        ({"warp": 9}, "unknown setting 'warp', perhaps of a newer miniecs"),
    ],
)
def test_damaged_settings_are_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        settings.from_document({**asdict(SAVED), "allow_hosts": [], **change}, Path("/d"))


def test_what_is_not_given_stays_as_it_was_and_begins_with_the_defaults() -> None:
    assert settings.completed(None, Path("/d"), {"port": 1}) == ServerSettings("/d", port=1)
    assert settings.completed(SAVED, Path("/d"), {"zones": 2}) == ServerSettings(
        "/d", port=5000, region="eu-west-1", allow_hosts=("a.example",), time_scale=2.5, zones=2
    )


def test_differences_are_of_what_was_given_alone() -> None:
    given = {"port": 0, "region": "eu-west-1", "strict": True, "allow_hosts": ("b", "c"), "time_scale": 1.0}
    assert settings.differences(SAVED, given) == [
        "--strict is off, not on",
        "--allow-host is a.example, not b, c",
        "--time-scale is 2.5, not 1",
    ]


@pytest.mark.parametrize(
    ("bind", "endpoint"),
    [("127.0.0.1", "http://127.0.0.1:5"), ("0.0.0.0", "http://127.0.0.1:5"), ("::1", "http://[::1]:5")],
)
def test_endpoint(bind: str, endpoint: str) -> None:
    assert ServerSettings("/d", bind=bind, port=5).endpoint == endpoint


def test_who_runs_for_a_cluster() -> None:
    assert roles(ServerSettings("/d", runtime="docker")) == ("server", "agent", "proxy")
    assert roles(ServerSettings("/d", runtime="simulated")) == ("server",)


def test_an_owner_and_join_credentials_are_made_once(tmp_path: Path) -> None:
    made = settings.with_credentials(ServerSettings("/d"))
    assert re.fullmatch("[0-9a-f]{12}", made.owner)
    assert re.fullmatch("[0-9A-Z]{20}", made.join_access_key)
    assert re.fullmatch("[0-9a-f]{40}", made.join_secret)
    assert settings.with_credentials(made) == made
    assert settings.with_credentials(ServerSettings("/d")).owner != made.owner
    folder = DataFolder(tmp_path)
    folder.save(made)
    folder.save(made)
    assert stat.S_IMODE(folder.settings_file.stat().st_mode) == 0o600
    assert folder.settings() == replace(made, data_dir=str(tmp_path))


def test_restarts_come_at_once_and_then_ever_later() -> None:
    assert [restart_delay(deaths) for deaths in range(8)] == [0, 0.25, 0.5, 1, 2, 4, 4, 4]
    assert restart_delay(10_000) == 4, "back within five seconds, however often it died before it was ready"


def test_a_process_is_ours_by_its_command_line_alone(tmp_path: Path) -> None:
    script = "import sys; print(flush=True); sys.stdin.read()"
    line = [sys.executable, "-c", script, "miniecs", "server", "--data-dir", str(tmp_path)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has its command line an instant after it has begun
        assert processes.is_ours(process.pid, "server", tmp_path)
        assert not processes.is_ours(process.pid, "supervise", tmp_path)
        assert not processes.is_ours(process.pid, "server", tmp_path / "other")
        assert not processes.is_ours(process.pid, "server", tmp_path.parent)
        assert processes._from_ps(process.pid) == processes.command_line(process.pid)
        process.kill()
        process.wait()
        assert processes.command_line(process.pid) is None
    assert processes.command_line(0) is None
    assert processes.command_line(-1) is None


def test_a_supervisor_lives_as_long_as_its_lock(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    assert folder.supervisor() is None
    with folder.supervising() as file:
        folder.note(file, 123, {"server": 456, "agent": None})
        assert folder.supervisor() == 123
    noted = {"pid": 123, "server": 456, "agent": None}
    assert json.loads(folder.supervisor_file.read_text()) == noted
    assert folder.supervisor() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}'])
def test_a_half_written_or_foreign_server_file_names_no_server(tmp_path: Path, content: str) -> None:
    (tmp_path / "server.json").write_text(content)
    assert DataFolder(tmp_path).server() is None


def test_a_folder_that_was_purged_while_somebody_waited_is_made_anew(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    with folder.changing():
        folder.purge()
        with folder.changing(patience=1):
            assert folder.lock_file.exists()


@pytest.mark.parametrize(
    ("host", "info", "root", "kind"),
    [
        ("unix:///var/run/docker.sock", {"KernelVersion": "6.1"}, True, "local root"),
        ("unix:///var/run/docker.sock", {"KernelVersion": "6.1"}, False, "local non-root"),
        ("unix:///run/user/1/docker.sock", {"SecurityOptions": ["name=rootless"]}, False, "rootless"),
        ("unix:///run/docker.sock", {"OperatingSystem": "Docker Desktop"}, True, "VM"),
        ("unix:///run/docker.sock", {"KernelVersion": "5.15-linuxkit"}, True, "VM"),
        ("tcp://10.0.0.5:2376", {"KernelVersion": "6.1"}, True, "remote"),
        ("tcp://127.0.0.1:2375", {"KernelVersion": "6.1"}, True, "local root"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every local engine is in a VM")
def test_the_class_of_an_engine(host: str, info: dict[str, object], root: bool, kind: str) -> None:
    assert engine.classify(host, info, root=root, kernel="6.1") == kind


@pytest.mark.parametrize(
    ("told", "result"),
    [
        ("aws-cli/1.46.2 Python/3.11.7 Linux/6.1 botocore/1.44.5", "ok"),
        ("aws-cli/2.13.0 Python/3.11.4 Linux/5.15 exe/x86_64", "ok"),
        ("aws-cli/2.9.19 Python/3.11.2 Linux/6.1 source/x86_64.debian.12", "warning"),
        ("aws-cli/1.22.34 Python/3.10.12 Linux/5.15 botocore/1.23.34", "warning"),
        ("command not found", "warning"),
    ],
)
def test_an_aws_cli_that_ignores_the_endpoint_is_found_out(told: str, result: str) -> None:
    assert judge_aws("/usr/bin/aws", told).result == result


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172_800, "2d")]
)
def test_age(seconds: float, text: str) -> None:
    assert output.age(seconds) == text


def test_a_table_is_neither_cut_nor_padded_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(("NAME", "WHAT"), [("a", "x" * 300), ("[bold]b", None)])
    assert capsys.readouterr().out == f"NAME     WHAT\na        {'x' * 300}\n[bold]b  -\n"


def test_simple_commands_import_nothing_heavy() -> None:
    heavy = ["fastapi", "botocore", "moto", "httpx", "uvicorn", "pydantic", "miniecs.serve", "miniecs_api"]
    code = (
        "import sys; from miniecs.cli import app, client, views, instances, environment, up, down; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"
