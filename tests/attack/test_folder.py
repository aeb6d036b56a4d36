"""The data folder and the machine turn against the server: each start or write has its clear error.

Nothing is half-written, nothing hangs, and what was there before is there afterwards.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .server import RealServer

pytestmark = pytest.mark.slow

Serve = Callable[..., RealServer]


def one_line(said: str) -> str:
    """What a server that would not start said: one line, no traceback."""
    [line] = said.splitlines()
    assert line.startswith("miniecs: ")
    return line.removeprefix("miniecs: ")


@pytest.fixture
def filled(serve: Serve) -> RealServer:
    """A server that ended well and left a cluster in its folder."""
    server = serve().start()
    server.client("ecs").create_cluster(clusterName="kept")
    assert server.stop() == 0
    server.log.unlink()
    return server


def database(server: RealServer) -> Path:
    return server.folder / "state.db"


def test_a_port_in_use(filled: RealServer) -> None:
    with socket.create_server(("127.0.0.1", filled.port)):
        said = one_line(filled.refused())
    assert said == (
        f"cannot listen on 127.0.0.1:{filled.port}: Address already in use. "
        "Choose another with --port, or end what uses it."
    )
    assert filled.start().client("ecs").list_clusters()["clusterArns"] != []


@pytest.mark.parametrize(
    ("bind", "why"), [("192.0.2.1", "Cannot assign requested address"), ("not a name", "")]
)
def test_an_address_that_is_not_ours(serve: Serve, bind: str, why: str) -> None:
    server = serve(bind=bind)
    said = one_line(server.refused())
    assert said.startswith(f"cannot listen on {bind}:{server.port}: ") and why in said


def test_two_servers_on_one_folder(filled: RealServer, serve: Serve) -> None:
    filled.start()
    second = serve()
    assert second.folder == filled.folder and second.port != filled.port
    second.log = second.log.with_suffix(".second")
    said = one_line(second.refused())
    assert said == (
        f"{database(filled)} is in use by another miniecs server: stop that one, or choose another data"
        " folder"
    )
    assert [arn.split("/")[-1] for arn in filled.client("ecs").list_clusters()["clusterArns"]] == ["kept"]
    # The one that was refused took nothing down with it.
    assert (filled.folder / "server.json").exists()


def test_a_corrupt_file(filled: RealServer) -> None:
    whole = database(filled).read_bytes()
    for damaged in (
        b"this is no database at all" * 400,
        whole[:5000],
        whole[:100] + os.urandom(len(whole) - 100),
    ):
        database(filled).write_bytes(damaged)
        said = one_line(filled.refused())
        assert f"{database(filled)} is damaged" in said and "Put back a copy of the data folder" in said
        assert database(filled).read_bytes() == damaged, "the evidence was changed"
        filled.log.unlink()
    database(filled).write_bytes(whole)
    assert len(filled.start().client("ecs").list_clusters()["clusterArns"]) == 1


def test_a_newer_versions_file(filled: RealServer) -> None:
    with sqlite3.connect(database(filled)) as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()
    said = one_line(filled.refused())
    assert "newer" in said and str(database(filled)) in said


def test_somebody_elses_file(serve: Serve) -> None:
    server = serve()
    server.folder.mkdir()
    with sqlite3.connect(database(server)) as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
    connection.close()
    before = database(server).read_bytes()
    said = one_line(server.refused())
    assert str(database(server)) in said
    assert database(server).read_bytes() == before


def test_a_folder_where_the_file_should_be(serve: Serve) -> None:
    server = serve()
    database(server).mkdir(parents=True)
    assert str(database(server)) in one_line(server.refused())


def test_a_damaged_journal_of_the_rest_of_aws(serve: Serve) -> None:
    """The emulator of the other services is told again what it was told, but for damaged lines."""
    server = serve().start()
    vpc = server.client("ec2").create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    assert server.stop() == 0
    journal = server.folder / "rest.jsonl"
    junk = b'{"number": 1, "method"\xff\xfe\n[]\n{"number": "x", "body": 7}\n'
    journal.write_bytes(junk + journal.read_bytes() + b'{"number": 9, "met')
    server.start()
    vpcs = server.client("ec2").describe_vpcs(VpcIds=[vpc])["Vpcs"]
    assert [found["CidrBlock"] for found in vpcs] == ["10.9.0.0/16"]
    for line in (1, 2, 3):
        assert f"line {line} of {journal} is damaged" in server.said()
    assert server.trouble() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder to somebody else")
def test_a_folder_that_may_not_be_written(filled: RealServer) -> None:
    read_only = subprocess.run(["mount", "--bind", str(filled.folder), str(filled.folder)], check=False)
    if read_only.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        (filled.folder / "settings.json").touch()
        subprocess.run(["mount", "-o", "remount,ro,bind", str(filled.folder)], check=True)
        process = filled.launch(write=False)
        assert process.wait(30) == 2
        assert str(filled.folder) in one_line(filled.said())
    finally:
        subprocess.run(["umount", str(filled.folder)], check=True)


# A full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes, with what takes it all up beside the data folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "miniecs-attack", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take up all that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return ballast


def test_a_disk_that_fills_up(small_disk: Path, serve: Serve) -> None:
    server = serve("disk/data", instances=3).start()
    client = server.client("ecs")
    client.register_task_definition(
        family="web", containerDefinitions=[{"name": "a", "image": "busybox:latest", "memory": 16}]
    )
    client.create_service(serviceName="web", taskDefinition="web", desiredCount=2, launchType="EC2")
    acknowledged: list[str] = []
    refusals: list[Any] = []
    ballast, full_at = small_disk, 0.0
    for number in range(3000):
        if number == 20:
            ballast, full_at = fill(small_disk), time.monotonic()
        try:
            client.create_cluster(clusterName=f"c{number}", tags=[{"key": "k", "value": "v" * 200}])
            acknowledged.append(f"c{number}")
        except ClientError as error:
            refusals.append(error.response)
            # So long that agents, too, have something to tell that cannot be written.
            if time.monotonic() > full_at + 3:
                break
            time.sleep(0.05)
    assert len(refusals) > 20, "the disk never filled up"
    for refusal in refusals:
        assert refusal["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert refusal["Error"]["Code"] == "ServerException"
        assert "the disk is full. Nothing was changed; make room and try again" in refusal["Error"]["Message"]
    # It reads, it says that it is well, and its control loops go on when there is room.
    assert set(names(client)) == {"default", *acknowledged}
    ballast.unlink()
    client.create_cluster(clusterName="afterwards")
    client.update_service(service="web", desiredCount=3)
    client.get_waiter("services_stable").wait(services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    before = names(client)
    assert server.trouble() == []
    assert server.stop() == 0
    assert names(server.start().client("ecs")) == before


def names(client: Any) -> list[str]:
    pages = client.get_paginator("list_clusters").paginate()
    return sorted(arn.rsplit("/", 1)[-1] for page in pages for arn in page["clusterArns"])


def test_a_disk_that_is_full_at_the_start(small_disk: Path, serve: Serve) -> None:
    server = serve("disk/data", instances=3)
    server.folder.mkdir()
    (server.folder / "settings.json").write_text(server.described())
    ballast = fill(small_disk)
    process = server.launch(write=False)
    assert process.wait(30) == 2, server.said()
    assert "the disk is full" in one_line(server.said())
    ballast.unlink()
    assert names(server.start().client("ecs")) == ["default"]
