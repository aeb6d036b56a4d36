"""What `up` says while it starts: a line for each thing that is ready, or one JSON document at the end."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miniecs.cli import output, readiness
from miniecs.cli.folder import DataFolder
from miniecs.cli.internal import DEFAULT_DATA_DIR
from miniecs.cli.readiness import State
from miniecs.config import ServerSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to do. how: started (nothing runs), adopted (a server without supervisor), running.

    counted: whether this `up` was given --instances. expected: so many must come, which nobody knows of yet.
    """

    how: str
    settings: ServerSettings
    counted: bool
    expected: int = 0


@dataclass(frozen=True, slots=True)
class Telling:
    """How `up` speaks: as one JSON document, or for people, and to them of what they could try next."""

    as_json: bool = False
    quiet: bool = False


class Report:
    """Tells of one start; ``since`` is when it began."""

    def __init__(self, folder: DataFolder, plan: Plan, telling: Telling, since: float) -> None:
        self._folder = folder
        self._plan = plan
        self._json = telling.as_json
        self._quiet = telling.quiet
        self._since = since
        self._listens = False

    def seen(self, state: State, now: float) -> bool:
        """Say what is new in the state; True when it is ready."""
        if state.listens and not self._listens:
            self._listens = True
            self._say(self._server(state, now))
        if not state.ready:
            return False
        if self._json:
            output.print_json(self._document(state, now))
            sys.stdout.flush()
        else:
            self._say(readiness.describe(state, self._plan.settings) + self._older(state))
            self._say(f"endpoint {state.endpoint}{self._scale()}")
        return True

    def next_steps(self) -> None:
        """The commands to try next, and before them what makes them commands here."""
        if self._quiet:
            return
        folder = "" if _is_chosen_without_option(self._folder.path) else f" --data-dir {self._folder.path}"
        self._say("\nTry next:")
        activation = _activation()
        if activation is not None:
            self._say(f"  . {shlex.quote(activation)}")
        self._say(f'  eval "$(miniecs env{folder})"')
        self._say(f"  aws ecs list-container-instances --cluster {self._plan.settings.cluster}")
        self._say(f"  miniecs status{folder}")

    def say_ending(self) -> None:
        self._say("\nCtrl-C ends it.")

    def _say(self, text: str) -> None:
        if not self._json:
            print(text, flush=True)

    def _server(self, state: State, now: float) -> str:
        what = f"{self._plan.settings.runtime} runtime, pid {state.pid}"
        match self._plan.how:
            case "running":
                return f"miniecs runs already on {self._folder.path} ({what})"
            case "adopted":
                return f"took over the server that was running on {self._folder.path} ({what})"
        return f"server ready in {now - self._since:.1f} s ({what})"

    def _older(self, state: State) -> str:
        """A data folder with a cluster keeps its instances, whatever `up` would make in a new one."""
        if not self._plan.counted or len(state.instances) == self._plan.settings.instances:
            return ""
        return " (as before: --instances is for a new data folder; `miniecs instance` changes this one)"

    def _scale(self) -> str:
        scale = self._plan.settings.time_scale
        return "" if scale == 1.0 else f", ECS's waits {scale:g} times shorter"

    def _document(self, state: State, now: float) -> dict[str, Any]:
        decided = self._plan.settings
        return {
            "status": self._plan.how,
            "endpoint": state.endpoint,
            "pid": state.pid,
            "supervisorPid": self._folder.supervisor(),
            "dataDir": str(self._folder.path),
            "agentPid": state.agent.pid if state.agent else None,
            "proxyPid": state.proxy.pid if state.proxy else None,
            "runtime": decided.runtime,
            "engine": readiness.engine_of(state.agent) or None,
            "account": decided.account,
            "region": decided.region,
            "timeScale": decided.time_scale,
            "cluster": decided.cluster,
            "instances": {"registered": len(state.instances), "connected": state.connected},
            "seconds": round(now - self._since, 3),
        }


def _activation() -> str | None:
    """The script that puts `miniecs` on the path, where it is not: `make run` runs it from where it is."""
    script = Path(sys.executable).parent / "activate"
    if shutil.which("miniecs") is not None or not script.exists():
        return None
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)


def _is_chosen_without_option(path: Path) -> bool:
    """Whether the next command finds the folder by itself."""
    chosen = os.environ.get("MINIECS_DATA_DIR") or DEFAULT_DATA_DIR
    return Path(chosen).expanduser().resolve() == path
