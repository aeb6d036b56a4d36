"""Stand-ins as files: a layer and its configuration, kept in a cache, sent to engines as `docker save` does.

Loaded, not imported: the configuration is ours to the last member (StopSignal too), and every engine, Podman
as well, reads the format. An image is on the engine whole or not at all, and so is an entry of the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from miniecs.images.recipes import LABEL, Recipe

_LAYER = "layer.tar"
_CONFIG = "image.json"
_BLOCK = 1 << 20


def entry(cache: Path, recipe: Recipe, architecture: str) -> Path:
    """Where a stand-in is, or will be, in the cache."""
    slug = recipe.tag.replace("/", "_").replace(":", "_")
    return cache / f"{slug}-{architecture}-{recipe.digest()}"


def others(folder: Path) -> list[Path]:
    """Entries of the same image and architecture, by recipes that were."""
    stem = folder.name.rpartition("-")[0]
    return [other for other in folder.parent.glob(f"{stem}-*") if other != folder]


def image_config(recipe: Recipe, architecture: str, layer: str, *, now: float) -> dict[str, Any]:
    """The image's configuration, after the OCI image specification. layer: sha256 of its tar, in hex."""
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    label = {LABEL: recipe.digest()}
    return {
        "architecture": architecture,
        "os": "linux",
        "created": moment,
        "config": {**recipe.config, "Labels": label},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        "history": [{"created": moment, "created_by": f"miniecs images {recipe.tag}"}],
    }


def digest_of(folder: Path) -> str:
    """The layer's sha256, in hex."""
    with layer_of(folder).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep(work: Path, final: Path, config: dict[str, Any]) -> None:
    """Make an entry of what is in ``work`` (the layer): it appears at once, with everything in it."""
    (work / _CONFIG).write_text(json.dumps(config))
    os.rename(work, final)


def layer_of(folder: Path) -> Path:
    return folder / _LAYER


def saved(folder: Path, tag: str) -> Iterator[bytes]:
    """The entry as `docker save` would write it, in blocks."""
    config = (folder / _CONFIG).read_bytes()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": [_LAYER]}]).encode()
    for path, content in ((name, config), ("manifest.json", manifest)):
        yield _header(path, len(content)) + content + _padding(len(content))
    layer = layer_of(folder)
    size = layer.stat().st_size
    yield _header(_LAYER, size)
    with layer.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
    yield _padding(size) + bytes(2 * tarfile.BLOCKSIZE)


def _header(path: str, size: int) -> bytes:
    info = tarfile.TarInfo(path)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def new_tar(path: Path) -> tarfile.TarFile:
    return tarfile.open(path, "w", format=tarfile.GNU_FORMAT)
