"""What each stand-in is made of: Debian packages, files of ours over them, and the image's configuration.

Nothing is run while one is built: no package's script, no shell. So no root is needed, and what such a script
would have made (accounts, links, configuration) is written here instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

LABEL = "miniecs.stand-in"
_FORMAT = "2"  # of how an image is put together; another one builds every stand-in anew

# What debian:bookworm-slim has and a container is likely to touch.
_SLIM = (
    "base-files", "base-passwd", "bash", "ca-certificates", "coreutils", "dash", "diffutils", "findutils",
    "grep", "gzip", "hostname", "libc-bin", "mawk", "netbase", "sed", "tar", "tzdata", "util-linux",
)
# Needed to install, configure or rotate; a container does none of it.
_NEVER = (
    "adduser", "cron", "cron-daemon-common", "debconf", "debianutils", "dpkg", "init-system-helpers",
    "libpam-modules", "libpam-runtime", "login", "logrotate", "lsb-base", "passwd", "perl", "perl-base",
    "psmisc", "sensible-utils", "systemd", "sysvinit-utils", "ucf", "usr-is-merged", "usrmerge",
)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WWW_DATA = (33, 33)
_RABBITMQ = (999, 999)


@dataclass(frozen=True, slots=True)
class Folder:
    """An empty folder, or one whose owner matters. mode: permission bits; owner: uid and gid."""

    path: str
    mode: int = 0o755
    owner: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One stand-in. Paths have no leading slash.

    packages: Debian's, with all that they depend on but for ``without``. overlays: folders in ``files/`` that
    are laid over them. only: where given, the one path that is taken from the packages. accounts: lines of
    /etc/passwd, whose groups have the same names and numbers. config: as in an OCI image's configuration.
    """

    tag: str
    packages: tuple[str, ...]
    config: Mapping[str, Any]
    without: tuple[str, ...] = ()
    overlays: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[Folder, ...] = ()
    accounts: tuple[str, ...] = ()
    only: str | None = None
    merged_usr: bool = True

    def overlay(self) -> Iterator[tuple[str, bytes]]:
        """Paths and contents of the files of ours, in a fixed order."""
        for name in self.overlays:
            yield from _walk(files("miniecs.images") / "files" / name, "")

    def digest(self) -> str:
        """Another one for each change that would change the image, but for newer Debian packages."""
        known = hashlib.sha256(f"{_FORMAT} {sorted(asdict(self).items())}".encode())
        for path, content in self.overlay():
            known.update(f"{path} {len(content)}\n".encode() + content)
        return known.hexdigest()[:12]


def recipe(tag: str) -> Recipe | None:
    return _BY_TAG.get(tag)


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        path = prefix + item.name
        if item.is_dir():
            yield from _walk(item, path + "/")
        else:
            yield path, item.read_bytes()


def _config(
    command: list[str],
    *,
    entry_point: list[str] | None = None,
    environment: Mapping[str, str] | None = None,
    path: str = _PATH,
    ports: tuple[int, ...] = (),
    **more: Any,
) -> dict[str, Any]:
    return {
        "Cmd": command,
        **({"Entrypoint": entry_point} if entry_point else {}),
        "Env": [f"{name}={value}" for name, value in {"PATH": path, **(environment or {})}.items()],
        **({"ExposedPorts": {f"{port}/tcp": {} for port in ports}} if ports else {}),
        **more,
    }


_BUSYBOX = Recipe(
    "busybox:latest",
    ("busybox-static",),
    _config(["sh"]),
    overlays=("busybox",),
    folders=(
        Folder("tmp", 0o1777), Folder("root", 0o700), Folder("home"), Folder("etc"), Folder("var"),
        Folder("usr"), Folder("usr/bin"), Folder("usr/sbin"), Folder("sbin"), Folder("dev"), Folder("proc"),
        Folder("sys"), Folder("var/spool"), Folder("var/spool/mail", 0o755, (8, 8)), Folder("var/www"),
    ),
    links={"usr/bin/env": "/bin/env"},
    only="bin/busybox",
    merged_usr=False,
)

_HTTPD = Recipe(
    "httpd:2.4",
    (*_SLIM, "apache2-bin", "curl", "media-types"),
    _config(
        ["httpd-foreground"],
        path=f"/usr/local/apache2/bin:{_PATH}",
        environment={"HTTPD_PREFIX": "/usr/local/apache2"},
        ports=(80,),
        WorkingDir="/usr/local/apache2",
        StopSignal="SIGWINCH",
    ),
    without=_NEVER,
    overlays=("httpd",),
    links={
        "usr/local/apache2/modules": "/usr/lib/apache2/modules",
        "usr/local/apache2/conf/mime.types": "/etc/mime.types",
    },
    folders=(
        Folder("usr/local/apache2/logs"),
        Folder("usr/local/apache2/cgi-bin"),
    ),
)

_ECS_SAMPLE = Recipe(
    "amazon/amazon-ecs-sample:latest",
    (*_SLIM, "apache2", "curl", "libapache2-mod-php"),
    _config(
        ["/usr/sbin/apache2", "-D", "FOREGROUND"],
        environment={
            "APACHE_RUN_USER": "www-data",
            "APACHE_RUN_GROUP": "www-data",
            "APACHE_LOG_DIR": "/var/log/apache2",
        },
        ports=(80,),
    ),
    without=(*_NEVER, "procps"),
    overlays=("ecs-sample",),
    folders=(
        Folder("var/www", 0o755, _WWW_DATA), Folder("var/log/apache2"), Folder("run/apache2"),
        Folder("run/lock"), Folder("var/lib/php/sessions", 0o1733),
    ),
    links={"var/run": "/run", "var/lock": "/run/lock"},
)

_PYTHON = Recipe(
    "python:3-slim",
    (*_SLIM, "python3", "python3-pip"),
    _config(
        ["python3"],
        path=f"/usr/local/bin:{_PATH}",
        environment={"LANG": "C.UTF-8", "PIP_ROOT_USER_ACTION": "ignore"},
    ),
    without=_NEVER,
    links={
        "usr/local/bin/python3": "/usr/bin/python3",
        "usr/local/bin/python": "/usr/bin/python3",
        "usr/local/bin/pip3": "/usr/bin/pip3",
        "usr/local/bin/pip": "/usr/bin/pip3",
    },
)

_RABBIT = Recipe(
    "rabbitmq:3-management",
    (*_SLIM, "rabbitmq-server"),
    _config(
        ["rabbitmq-server"],
        entry_point=["docker-entrypoint.sh"],
        # Past Debian's wrappers in /usr/sbin, which hide the server's output in files.
        path=f"/usr/lib/rabbitmq/bin:{_PATH}",
        environment={
            "HOME": "/var/lib/rabbitmq", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "RABBITMQ_LOGS": "-",
            "RABBITMQ_DATA_DIR": "/var/lib/rabbitmq",
        },
        ports=(4369, 5671, 5672, 15671, 15672, 15692, 25672),
        Volumes={"/var/lib/rabbitmq": {}},
    ),
    without=(*_NEVER, "procps", "python3", "socat"),
    overlays=("rabbitmq",),
    folders=(
        Folder("var/lib/rabbitmq", 0o777, _RABBITMQ), Folder("var/log/rabbitmq", 0o777, _RABBITMQ),
        Folder("etc/rabbitmq", 0o777, _RABBITMQ), Folder("etc/rabbitmq/conf.d", 0o777, _RABBITMQ),
    ),
    accounts=("rabbitmq:x:999:999::/var/lib/rabbitmq:/usr/sbin/nologin",),
)

RECIPES = (_BUSYBOX, _HTTPD, _ECS_SAMPLE, _PYTHON, _RABBIT)
_BY_TAG = {recipe.tag: recipe for recipe in RECIPES}
