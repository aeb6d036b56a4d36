"""Stand-ins as a fresh machine gets them: built from Debian packages where there is no registry, and used.

The engine is one of the tests' own, so that no image of the machine's is in the way.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from miniecs.docker_api import DockerApi
from miniecs.images.provide import SAMPLES, Provided, Provider

from .daemon import Daemon
from .waiting import until

ROOT = Path(__file__).parents[2]
SIMPLE_APP = json.loads((ROOT / "samples/simple-app/simple-app-task-def.json").read_text())
WITH_HTTPD = json.loads((ROOT / "samples/simple-app/httpd-task-def.json").read_text())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "miniecs" / "images"


@pytest.fixture(scope="module")
def provided(second_engine: Daemon, cache: Path) -> Iterator[dict[str, Provided]]:
    """All images of the samples, on an engine that had none of them."""
    for image in second_engine.client.images.list():
        second_engine.client.images.remove(image.id, force=True)
    with Provider(DockerApi(second_engine.url), cache, print, time.time) as provider:
        made = {name: provider.provide(name) for name in SAMPLES}
    yield made
    second_engine.remove_containers()


@pytest.fixture
def docker(second_engine: Daemon, provided: dict[str, Provided]) -> Iterator[Any]:
    """The engine's client; a test's containers go with it."""
    yield second_engine.client
    second_engine.remove_containers()


def run(docker: Any, definition: dict[str, Any], **more: Any) -> Any:
    """A container of a task definition, as far as its image, entry point and command go."""
    return docker.containers.run(
        definition["image"],
        definition.get("command"),
        entrypoint=definition.get("entryPoint"),
        detach=True,
        **more,
    )


def output(container: Any, *command: str) -> str:
    """What a command that must succeed prints in a container."""
    code, printed = container.exec_run(list(command))
    assert code == 0, printed.decode()
    return str(printed.decode())


def is_greeted(client: Any, *limit: str) -> bool:
    """Once in a thousand times wget succeeds and nothing is heard of what it printed."""
    return output(client, "wget", *limit, "-q", "-O", "-", "http://server/") == "hello\n"


def page(container: Any, path: str) -> str:
    code, printed = container.exec_run(["curl", "--silent", "--fail", f"http://localhost{path}"])
    return str(printed.decode()) if code == 0 else ""


def test_every_image_is_a_stand_in_of_a_reasonable_size(provided: dict[str, Provided]) -> None:
    assert {(name, image.how, image.stand_in) for name, image in provided.items()} == {
        (name, "built", True) for name in SAMPLES
    }
    assert max(image.size for image in provided.values()) < 200e6
    assert provided["busybox:latest"].size < 5e6


def test_a_second_run_builds_nothing(
    second_engine: Daemon, provided: dict[str, Provided], cache: Path
) -> None:
    second_engine.client.images.remove("busybox:latest")
    said: list[str] = []
    with Provider(DockerApi(second_engine.url), cache, said.append, time.time) as again:
        assert [again.provide(name).how for name in ("busybox", "httpd:2.4")] == ["built", "present"]
    assert not any("fetching" in line for line in said)


def test_busybox_has_its_commands_and_finds_other_containers_by_name(docker: Any) -> None:
    network = docker.networks.create("stand-ins")
    try:
        server = docker.containers.run(
            "busybox", ["sh", "-c", "echo hello > index.html; httpd -f -p 80"],
            name="server", network=network.id, working_dir="/tmp", detach=True,
        )  # fmt: skip
        client = docker.containers.run("busybox", ["sleep", "60"], network=network.id, detach=True)
        until("httpd", lambda: server.exec_run(["nc", "-z", "localhost", "80"]).exit_code == 0)
        assert client.exec_run(["nc", "-z", "-w", "1", "server", "81"]).exit_code == 1
        for limit in ([], ["-T", "5"], ["-T5"], ["-qT", "5"], ["--timeout=5"]):
            until("the page", partial(is_greeted, client, *limit), within=30.0)
        assert client.exec_run(["wget", "-T", "5", "-q", "--spider", "http://server/none"]).exit_code == 1
        late = client.exec_run(["wget", "-T", "1", "-q", "-O", "-", "http://192.0.2.77/"])
        assert (late.exit_code, late.output.splitlines()[-1]) == (1, b"wget: download timed out")
        assert output(client, "/usr/bin/env", "sh", "-c", "id -un; date +%Z") == "root\nUTC\n"
    finally:
        docker.containers.prune()
        for container in docker.containers.list():
            container.remove(force=True)
        network.remove()


def test_httpd_serves_htdocs_logs_to_its_output_and_ends_when_told(docker: Any) -> None:
    container = docker.containers.run(
        "httpd:2.4",
        detach=True,
        healthcheck={
            "test": ["CMD-SHELL", "curl -f http://localhost/ || exit 1"],
            "interval": 1_000_000_000,
            "timeout": 5_000_000_000,
        },
    )
    until("a healthy container", lambda: _health(container) == "healthy")
    output(container, "sh", "-c", "echo changed > /usr/local/apache2/htdocs/index.html")
    assert page(container, "/index.html") == "changed\n"
    assert '"GET /index.html HTTP/1.1" 200 8' in container.logs(stderr=False).decode()
    container.stop(timeout=20)
    assert container.wait()["StatusCode"] == 0


def _health(container: Any) -> str:
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])


@pytest.mark.parametrize("definition", [SIMPLE_APP, WITH_HTTPD], ids=lambda each: str(each["family"]))
def test_the_sidecar_of_the_simple_app_writes_its_page(docker: Any, definition: dict[str, Any]) -> None:
    web, sidecar = definition["containerDefinitions"]
    [mount] = web["mountPoints"]
    volume = docker.volumes.create()
    try:
        server = run(docker, web, volumes={volume.name: {"bind": mount["containerPath"], "mode": "rw"}})
        run(docker, sidecar, volumes_from=[server.id])
        first = until("a page with the time", lambda: _time(page(server, "/index.php")))
        until("another time", lambda: _time(page(server, "/")) not in ("", first), within=10)
    finally:
        for container in docker.containers.list(all=True):
            container.remove(force=True)
        volume.remove()


def _time(page: str) -> str:
    """The date that is on it; '' where there is none yet."""
    return next((line for line in page.splitlines() if " UTC 2" in line), "")


def test_python_has_its_library_and_pip(docker: Any) -> None:
    container = docker.containers.run("python:3-slim", ["sleep", "60"], detach=True)
    script = "import asyncio, ctypes, json, sqlite3, ssl, sys; print(sys.version_info[0], json.__cached__)"
    version, cached = output(container, "/usr/local/bin/python3", "-c", script).split()
    assert version == "3"
    assert cached.endswith(".pyc")
    project = "[project]\nname = 'mine'\nversion = '1'\n"
    write = f"mkdir /p; cd /p; echo 'x = 7' > mine.py; echo \"{project}\" > pyproject.toml"
    output(container, "sh", "-c", write)
    output(container, "pip", "install", "--no-index", "--no-build-isolation", "/p")
    assert output(container, "python", "-c", "import mine; print(mine.x)") == "7\n"


def test_messages_go_through_rabbitmq_with_the_samples_own_image(docker: Any, second_engine: Daemon) -> None:
    """`make samples` builds it, for the engine that DOCKER_HOST names."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    made = subprocess.run(
        ["make", "samples"],
        cwd=ROOT,
        env={**environment, **second_engine.environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    definition = json.loads((ROOT / "samples/rabbitmq/task-def.json").read_text())
    broker, producer, consumer = definition["containerDefinitions"]
    check = broker["healthCheck"]
    server = run(
        docker, broker, name="broker", environment=_environment(broker),
        healthcheck={"test": check["command"], "interval": 2_000_000_000, "timeout": 20_000_000_000},
    )  # fmt: skip
    until("a healthy broker", lambda: _health(server) == "healthy", within=90)
    # What an ECS course asks of it, and the user of who sets none, from another container.
    assert output(server, "rabbitmq-diagnostics", "-q", "ping") == "Ping succeeded\n"
    started = [
        run(docker, each, environment=_environment(each), links={"broker": each["links"][0].split(":")[-1]})
        for each in (producer, consumer)
    ]
    until("messages", lambda: "received: message 2 from" in started[1].logs().decode())
    for container in reversed(started):
        container.stop(timeout=10)
        assert container.wait()["StatusCode"] == 0


def _environment(definition: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in definition["environment"]}


def test_rabbitmqs_guest_may_come_from_elsewhere(docker: Any) -> None:
    server = docker.containers.run("rabbitmq:3-management", name="rabbit", detach=True)
    client = docker.containers.run(
        "python:3-slim", ["sleep", "120"], links={"rabbit": "rabbit"}, detach=True
    )
    ask = (
        "import base64, json, urllib.request as u; "
        "q = u.Request('http://rabbit:15672/api/whoami', "
        "headers={'Authorization': 'Basic ' + base64.b64encode(b'guest:guest').decode()}); "
        "print(json.load(u.urlopen(q))['name'])"
    )
    until(
        "an answer of the management's",
        lambda: client.exec_run(["python3", "-c", ask]).output == b"guest\n",
        within=90,
        every=1,
    )
    server.stop(timeout=30)
    assert server.wait()["StatusCode"] == 0
