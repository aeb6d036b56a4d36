"""A root file system put together from package streams, without any package and without root."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from miniecs.images import rootfs
from miniecs.images.recipes import Folder, Recipe

NOW = 1_700_000_000.0


def folder(path: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(path)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info, b""


def file(path: str, content: bytes = b"", mode: int = 0o644, uid: int = 0) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(path)
    info.size, info.mode, info.uid = len(content), mode, uid
    return info, content


def link(path: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(path)
    info.type, info.linkname = kind, target
    return info, b""


def built(
    recipe: Recipe, *packages: list[tuple[tarfile.TarInfo, bytes]]
) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """What the layer holds, by path; that no path is there twice is checked."""
    streams: dict[Path, bytes] = {}
    for number, members in enumerate(packages):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for info, content in members:
                tar.addfile(info, io.BytesIO(content))
        streams[Path(str(number))] = stream.getvalue()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as out:
        rootfs.write(recipe, list(streams), opener(streams), out, now=NOW)
    layer.seek(0)
    with tarfile.open(fileobj=layer) as tar:
        contents = [(member, content_of(tar, member)) for member in tar]
    found = {member.name: (member, content) for member, content in contents}
    assert len(found) == len(contents)
    return found


def content_of(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member) if member.isreg() else None
    return file.read() if file else b""


def opener(streams: dict[Path, bytes]) -> Callable[[Path], AbstractContextManager[tarfile.TarFile]]:
    @contextmanager
    def opened(package: Path) -> Iterator[tarfile.TarFile]:
        with tarfile.open(fileobj=io.BytesIO(streams[package]), mode="r|") as tar:
            yield tar

    return opened


def recipe(**more: object) -> Recipe:
    return Recipe("image:tag", ("package",), {}, **more)  # type: ignore[arg-type]


def test_folders_outside_usr_are_merged_into_it_with_what_links_to_them() -> None:
    layer = built(
        recipe(),
        [
            folder("./"),
            folder("./bin/"),
            file("./bin/sh", b"shell", 0o755),
            link("./bin/dash", "./bin/sh", tarfile.LNKTYPE),
            folder("./lib/x/"),
            link("./lib/x/libc.so", "libc.so.6"),
            link("./lib/up", "../usr/share/up"),
            link("./usr/bin/far", "../lib/far"),
        ],
    )
    assert {path: member.linkname for path, (member, _) in layer.items()} == {
        "usr": "",
        "usr/bin": "",
        "usr/bin/sh": "",
        "usr/bin/dash": "usr/bin/sh",
        "usr/lib": "",
        "usr/lib/x": "",
        "usr/lib/x/libc.so": "libc.so.6",
        "usr/lib/up": "/usr/share/up",
        "usr/bin/far": "../lib/far",
        "bin": "usr/bin",
        "lib": "usr/lib",
    }


def test_owners_modes_and_times_stay_as_in_the_package() -> None:
    member, content = built(recipe(), [file("./usr/bin/su", b"su", 0o4755, uid=7)])["usr/bin/su"]
    assert (content, member.mode, member.uid, member.mtime) == (b"su", 0o4755, 7, 0)


def test_manuals_and_service_files_are_left_out_licences_stay() -> None:
    layer = built(
        recipe(),
        [
            folder("./usr/share/doc/"),
            file("./usr/share/doc/bash/README"),
            file("./usr/share/doc/bash/copyright"),
            file("./usr/share/man/man1/bash.1.gz"),
            file("./usr/share/locale/de/LC_MESSAGES/bash.mo"),
            file("./lib/systemd/system/cron.service"),
            file("./usr/lib/python3.11/EXTERNALLY-MANAGED"),
            file("./usr/share/manual"),
        ],
    )
    files = {path for path, (member, _) in layer.items() if member.isreg()}
    assert files == {"usr/share/doc/bash/copyright", "usr/share/manual"}


def test_the_first_of_two_packages_wins_and_the_recipe_before_both() -> None:
    layer = built(
        recipe(links={"etc/x": "ours"}, folders=(Folder("run/y", 0o700, (5, 6)),)),
        [file("./etc/x", b"first"), file("./etc/z", b"first"), folder("./run/y")],
        [file("./etc/z", b"second")],
    )
    assert layer["etc/x"][0].linkname == "ours"
    assert layer["etc/z"][1] == b"first"
    made = layer["run/y"][0]
    assert (made.mode, made.uid, made.gid, made.mtime) == (0o700, 5, 6, int(NOW))


def test_accounts_and_certificates_are_made_as_the_packages_scripts_would() -> None:
    layer = built(
        recipe(accounts=("rabbitmq:x:999:998::/var/lib/rabbitmq:/usr/sbin/nologin",)),
        [
            file("./usr/share/base-passwd/passwd.master", b"root::0:0:root:/root:/bin/bash\n"),
            file("./usr/share/base-passwd/group.master", b"root::0:\n"),
            file("./usr/share/ca-certificates/mozilla/B.crt", b"B\n"),
            file("./usr/share/ca-certificates/mozilla/A.crt", b"A\n"),
        ],
    )
    assert layer["etc/passwd"][1] == (
        b"root::0:0:root:/root:/bin/bash\nrabbitmq:x:999:998::/var/lib/rabbitmq:/usr/sbin/nologin\n"
    )
    assert layer["etc/group"][1] == b"root::0:\nrabbitmq:x:998:\n"
    assert layer["etc/ssl/certs/ca-certificates.crt"][1] == b"A\nB\n"


def test_busybox_alone_becomes_every_command_that_it_knows() -> None:
    binary = b"#!/bin/sh\n[ $1 = --list ] && printf 'busybox\\nls\\nsh\\n'\n"
    layer = built(
        recipe(only="bin/busybox", merged_usr=False),
        [file("./bin/busybox", binary, 0o755), file("./usr/share/other")],
    )
    assert {path: (member.type, member.linkname) for path, (member, _) in layer.items()} == {
        "bin": (tarfile.DIRTYPE, ""),
        "bin/busybox": (tarfile.REGTYPE, ""),
        "bin/ls": (tarfile.LNKTYPE, "bin/busybox"),
        "bin/sh": (tarfile.LNKTYPE, "bin/busybox"),
    }
