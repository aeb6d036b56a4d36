"""The data folder: whose it is, with what settings, and which processes work on it.

settings.json    what `up` decided, read by the processes that it starts; for its owner's eyes alone
server.json      written by the server while it listens: pid, endpoint, version
agent.json       written by the agent while it works: pid and what it says of its engine
proxy.json       written by the proxy while it works: pid and where each listener listens
supervisor.json  locked by the supervisor for as long as it lives: its pid and, by role, those it watches
up.lock          held while `up` or `down` change any of this
logs/            a log of each role, and supervisor.log
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from miniecs.cli import processes, settings
from miniecs.cli.problem import ASKED_WRONGLY, Problem
from miniecs.config import ServerSettings

# Every process that a data folder may have beside its supervisor, in the order of their start.
ROLES = ("server", "agent", "proxy")

_LOG_LIMIT = 10_000_000  # bytes; an older log is kept beside it as .1
_LOCK_STEP = 0.05


@dataclass(frozen=True, slots=True)
class Running:
    """A process of the folder that lives. told: what it wrote into its file, nothing until it is ready."""

    pid: int
    told: Mapping[str, Any]

    @property
    def ready(self) -> bool:
        return bool(self.told)

    @property
    def endpoint(self) -> str | None:
        """Where a server listens, None until it does."""
        return str(self.told["endpoint"]) if "endpoint" in self.told else None


class DataFolder:
    """One data folder. Reading it never fails because something else is writing or has died."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings_file = path / "settings.json"
        self.supervisor_file = path / "supervisor.json"
        self.lock_file = path / "up.lock"
        self.logs = path / "logs"

    def role_file(self, role: str) -> Path:
        """What a process tells of itself while it works, with at least its ``pid``."""
        return self.path / f"{role}.json"

    def check(self) -> None:
        """Raise Problem for a folder that is not ours: `down --purge` must never remove somebody's files."""
        try:
            foreign = self.path.is_dir() and any(self.path.iterdir()) and not self._is_ours()
        except OSError as error:
            raise self._unusable(error) from error
        if foreign:
            raise Problem(
                f"{self.path} holds files that are not of miniecs. Choose an empty or a new folder with "
                "--data-dir.",
                ASKED_WRONGLY,
            )

    def _unusable(self, error: OSError) -> Problem:
        return Problem(
            f"The data folder {self.path} cannot be used: {error.strerror}. Choose another with --data-dir.",
            ASKED_WRONGLY,
        )

    def _is_ours(self) -> bool:
        ours = (self.settings_file, self.supervisor_file, self.lock_file, self.logs)
        return any(file.exists() for file in (*ours, *map(self.role_file, ROLES)))

    @property
    def exists(self) -> bool:
        return self.path.is_dir() and self._is_ours()

    @property
    def has_state(self) -> bool:
        """Whether a server ever worked here: then the cluster of `up` has been made."""
        return (self.path / "state.db").exists()

    # Settings

    def settings(self) -> ServerSettings | None:
        """What `up` decided last, None before the first time. Raises Problem for a damaged file."""
        try:
            text = self.settings_file.read_text()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise self._damaged(str(error)) from error
        try:
            return settings.from_document(json.loads(text), self.path)
        except ValueError as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, why: str) -> Problem:
        return Problem(
            f"{self.settings_file} is damaged ({why}). Remove it and give `miniecs up` its options again; "
            "the state beside it is kept.",
            ASKED_WRONGLY,
        )

    def save(self, decided: ServerSettings) -> None:
        """Replace the settings, wholly or not at all. They hold credentials."""
        new = self.settings_file.with_suffix(".new")
        try:
            new.unlink(missing_ok=True)
            with open(new, "x", opener=_for_the_owner_alone) as file:
                file.write(json.dumps(asdict(decided), indent=2) + "\n")
            os.replace(new, self.settings_file)
        except OSError as error:
            raise Problem(f"{self.settings_file} cannot be written: {error.strerror}.") from error

    # Who works on it

    def running(self, role: str) -> Running | None:
        """The living process of this role, however it was started; None when there is none."""
        told = _read(self.role_file(role))
        for pid in (told.get("pid"), _read(self.supervisor_file).get(role)):
            if isinstance(pid, int) and processes.is_ours(pid, role, self.path):
                return Running(pid, told if told.get("pid") == pid else {})
        return None

    def became_ready(self, role: str, pid: int) -> bool:
        """Whether this process was the last to tell of itself; it may have been killed since."""
        return _read(self.role_file(role)).get("pid") == pid

    def server(self) -> Running | None:
        """The living server of this folder."""
        return self.running("server")

    def supervisor(self) -> int | None:
        """The pid of the living supervisor, whose lock is the proof; None when there is none."""
        try:
            file = self.supervisor_file.open("r+")
        except OSError:
            return None
        with file:
            # Shared: one who asks must not look like the supervisor to another who asks.
            if _try_lock(file, shared=True):
                return None
            for _ in range(20):  # it has the lock an instant before it has written its pid
                pid = _read(self.supervisor_file).get("pid")
                if isinstance(pid, int):
                    return pid
                processes.pause(_LOCK_STEP)
        return None

    @contextlib.contextmanager
    def supervising(self) -> Iterator[IO[str]]:
        """Be this folder's supervisor; ``note`` writes to the file. Raises Problem when there is one."""
        with self.supervisor_file.open("a+") as file:
            # Whoever asks who the supervisor is holds the lock for a moment.
            for _ in range(20):
                if _try_lock(file):
                    break
                processes.pause(_LOCK_STEP)
            else:
                raise Problem(f"Another miniecs supervises {self.path}.")
            before = _read(self.supervisor_file)
            self.note(file, os.getpid(), {role: before.get(role) for role in ROLES})
            yield file

    @staticmethod
    def note(file: IO[str], pid: int, watched: Mapping[str, int | None]) -> None:
        """Write into the supervisor's own, locked file who it is and whom it watches, by role."""
        with contextlib.suppress(OSError):  # a full disk is no reason to stop watching
            file.seek(0)
            file.truncate()
            file.write(json.dumps({"pid": pid, **watched}))
            file.flush()

    @contextlib.contextmanager
    def changing(self, patience: float = 90.0) -> Iterator[None]:
        """Keep other `up` and `down` from this folder, which is made; waits for one that is at work."""
        for _ in range(int(patience / _LOCK_STEP)):
            try:
                self.logs.mkdir(parents=True, exist_ok=True)
                file = self.lock_file.open("a+")
            except OSError as error:
                raise self._unusable(error) from error
            with file:
                # A file that was purged while we waited for it guards nothing.
                if _try_lock(file) and _is_at(file, self.lock_file):
                    yield
                    return
            processes.pause(_LOCK_STEP)
        raise Problem(f"Another `miniecs up` or `miniecs down` is busy with {self.path}. Try again.")

    # Logs and end

    def log(self, name: str) -> Path:
        """The path of a log to append to; a long one is put aside first."""
        path = self.logs / f"{name}.log"
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size > _LOG_LIMIT:
                os.replace(path, path.with_suffix(".log.1"))
        return path

    def forget_processes(self) -> None:
        """After their end: remove what a killed process left behind."""
        for file in (*map(self.role_file, ROLES), self.supervisor_file):
            file.unlink(missing_ok=True)

    def purge(self) -> None:
        """Remove the folder with all that is in it."""
        try:
            shutil.rmtree(self.path)
        except OSError as error:
            raise Problem(f"{self.path} could not be removed: {error}.") from error


def last_line(log: Path, after: int) -> str:
    """The last line that was written to a log beyond an offset; '' when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(after)
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def _for_the_owner_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _try_lock(file: IO[str], *, shared: bool = False) -> bool:
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _read(path: Path) -> dict[str, Any]:
    """A JSON object, {} when there is none (yet)."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
