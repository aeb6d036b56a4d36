"""Present, pulled or built: which of them happens, and what an engine is sent; the engine is played."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from miniecs.docker_api import DockerApi
from miniecs.images import debian, provide
from miniecs.images.recipes import LABEL, RECIPES, Recipe, recipe

from .fake_engine import FakeEngine, fake_engine

NOW = 1_700_000_000.0
UNREACHABLE = {"error": 'Get "https://registry-1.docker.io/v2/": dial tcp: lookup …: no such host'}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    with fake_engine(tmp_path) as made:
        yield made


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def provider(engine: FakeEngine, tmp_path: Path, said: list[str]) -> Iterator[provide.Provider]:
    with provide.Provider(DockerApi(engine.host), tmp_path / "cache", said.append, lambda: NOW) as made:
        yield made


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Debian, played: each package is one that holds a busybox with one command; what was fetched."""
    fetched: list[str] = []

    def download(self: debian.Apt, packages: tuple[str, ...], without: tuple[str, ...]) -> list[Path]:
        fetched.extend(packages)
        return [Path(name) for name in packages]

    @contextlib.contextmanager
    def opened(package: Path) -> Iterator[tarfile.TarFile]:
        stream = io.BytesIO()
        content = b"#!/bin/sh\necho busybox sh\n"
        with tarfile.open(fileobj=stream, mode="w") as tar:
            info = tarfile.TarInfo("./bin/busybox")
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
        stream.seek(0)
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            yield tar

    monkeypatch.setattr(debian.Apt, "download", download)
    monkeypatch.setattr(debian, "opened", opened)
    monkeypatch.setattr(debian, "missing_tools", lambda: None)
    monkeypatch.setattr(debian, "architecture", lambda: "amd64")
    return fetched


def test_what_is_there_is_left_alone(engine: FakeEngine, provider: provide.Provider, said: list[str]) -> None:
    engine.has("busybox:latest")
    engine.has("httpd:2.4", labels={LABEL: "x"})
    assert provider.provide("docker.io/library/busybox") == provide.Provided(
        "busybox:latest", f"sha256:{0:064x}", 5, "present", stand_in=False
    )
    assert provider.provide("httpd:2.4").stand_in
    assert engine.asked == ["GET /images/busybox:latest/json", "GET /images/httpd:2.4/json"]
    assert said == []


def test_what_is_not_there_is_pulled(engine: FakeEngine, provider: provide.Provider, said: list[str]) -> None:
    half, whole = (
        {"status": "Downloading", "id": "a", "progressDetail": {"current": current, "total": 10_000_000}}
        for current in (5_000_000, 9_900_000)
    )
    engine.pulls["registry:5000/me/app:latest"] = [{"status": "Pulling"}, half, half, whole]
    assert provider.provide("registry:5000/me/app").how == "pulled"
    assert said == [
        "registry:5000/me/app:latest: pulling …",
        "registry:5000/me/app:latest: 5 of 10 MB",
        "registry:5000/me/app:latest: 10 of 10 MB",
        "registry:5000/me/app:latest: pulled, 0 MB",
    ]


def test_a_stand_in_is_loaded_where_the_registry_cannot_be_reached(
    engine: FakeEngine, provider: provide.Provider, packages: list[str]
) -> None:
    engine.pulls["busybox:latest"] = [UNREACHABLE]
    assert provider.provide("busybox") == provide.Provided(
        "busybox:latest", f"sha256:{0:064x}", 5, "built", stand_in=True
    )
    assert packages == ["busybox-static"]
    [files] = engine.loaded
    layer = hashlib.sha256(files["layer.tar"]).hexdigest()
    [name] = [name for name in files if name not in ("manifest.json", "layer.tar")]
    assert name == f"{hashlib.sha256(files[name]).hexdigest()}.json"
    assert json.loads(files["manifest.json"]) == [
        {"Config": name, "RepoTags": ["busybox:latest"], "Layers": ["layer.tar"]}
    ]
    known = recipe("busybox:latest")
    assert known is not None
    assert json.loads(files[name]) == {
        "architecture": "amd64",
        "os": "linux",
        "created": "2023-11-14T22:13:20Z",
        "config": {
            "Cmd": ["sh"],
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Labels": {LABEL: known.digest()},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        "history": [{"created": "2023-11-14T22:13:20Z", "created_by": "miniecs images busybox:latest"}],
    }


def test_a_registry_that_is_out_of_reach_is_asked_once_and_one_that_refuses_each_time(
    engine: FakeEngine, provider: provide.Provider, packages: list[str]
) -> None:
    for name in ("httpd:2.4", "busybox:latest", "python:3-slim"):
        if name == "busybox:latest":
            engine.pulls[name] = [UNREACHABLE]
        provider.provide(name)
    pulls = [asked for asked in engine.asked if asked.startswith("pull")]
    assert pulls == ["pull httpd:2.4", "pull busybox:latest"]


def test_a_registry_that_says_nothing_is_given_up(
    engine: FakeEngine, provider: provide.Provider, packages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provide, "_SILENCE", 0.1)
    engine.silent.add("busybox:latest")
    assert provider.provide("busybox").how == "built"


def test_a_stand_in_is_built_once_for_every_engine_and_leaves_nothing_over(
    engine: FakeEngine, tmp_path: Path, packages: list[str]
) -> None:
    cache = tmp_path / "cache"
    killed = cache / "tmp-of-a-run-that-was-killed"
    killed.mkdir(parents=True)
    known = recipe("busybox:latest")
    assert known is not None
    outdated = cache / "busybox_latest-amd64-000000000000"
    outdated.mkdir()
    for _ in range(2):
        engine.images.clear()
        with provide.Provider(DockerApi(engine.host), cache, lambda text: None, lambda: NOW) as provider:
            provider.provide("busybox")
    assert packages == ["busybox-static"]
    assert len(engine.loaded) == 2
    assert sorted(path.name for path in cache.iterdir()) == [
        f"busybox_latest-amd64-{known.digest()}",
        "lock",
    ]


def test_what_can_neither_be_pulled_nor_built_is_said_with_both_reasons(
    engine: FakeEngine, provider: provide.Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.pulls["nginx:latest"] = [{"error": "manifest unknown"}]
    with pytest.raises(provide.CannotProvide) as raised:
        provider.provide("nginx")
    told = "nginx:latest cannot be pulled: manifest unknown. There is no stand-in for it."
    assert str(raised.value) == told
    monkeypatch.setattr(debian, "_TOOLS", ("apt-nonesuch",))
    with pytest.raises(provide.CannotProvide) as raised:
        provider.provide("httpd:2.4")
    assert str(raised.value) == (
        "httpd:2.4 cannot be pulled: pull access denied for httpd:2.4. Nor can a stand-in be built: "
        "apt-nonesuch missing (Debian and Ubuntu have them)."
    )


def test_a_stand_in_is_not_built_for_an_engine_of_another_architecture(
    provider: provide.Provider, packages: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "architecture", lambda: "arm64")
    with pytest.raises(provide.CannotProvide, match="the engine's machine is amd64, this one arm64"):
        provider.provide("httpd:2.4")


def test_there_is_a_stand_in_for_every_image_of_the_samples() -> None:
    samples = Path(__file__).parents[2] / "samples"
    named = {
        container["image"]
        for path in samples.glob("*/*.json")
        for container in json.loads(path.read_text())["containerDefinitions"]
    }
    assert {provide.tagged(name) for name in named} - {each.tag for each in RECIPES} == {
        "miniecs-samples/rabbitmq:latest"  # `make samples` builds it
    }
    assert {each.tag for each in RECIPES} == set(provide.SAMPLES)


def test_a_recipe_that_changes_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    known = recipe("httpd:2.4")
    assert known is not None
    before = known.digest()
    assert replace(known, packages=("apache2",)).digest() != before
    assert known.digest() == before
    monkeypatch.setattr(Recipe, "overlay", lambda self: iter([("usr/local/bin/httpd-foreground", b"other")]))
    assert known.digest() != before
