"""`miniecs up`: processes under a supervisor, in the foreground or left behind, until all is ready."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from miniecs.cli import output, ports, processes, readiness, settings
from miniecs.cli.folder import DataFolder, last_line, size
from miniecs.cli.problem import ASKED_WRONGLY, Problem
from miniecs.cli.readiness import State
from miniecs.cli.report import Plan, Report, Telling
from miniecs.cli.supervisor import Signals, Supervisor, roles
from miniecs.cli.watch import last_words
from miniecs.clock import SystemClock
from miniecs.config import group_sizes
from miniecs.model.frozen import replace

_READY_WITHIN = 60.0
_LOOK_EVERY = 0.05
_WATCH_EVERY = 0.5


def up(folder: DataFolder, given: Mapping[str, Any], telling: Telling, *, detach: bool) -> None:
    """Start, take over or find the server of this folder; returns when it is ready, or ended by Ctrl-C."""
    folder.check()
    if detach:
        _detached(folder, given, telling)
    else:
        _in_foreground(folder, given, telling)


def _plan(folder: DataFolder, given: Mapping[str, Any], say: Callable[[str], None]) -> Plan:
    """Decide, with the folder locked, and save the settings of a start. Raises Problem for other ones."""
    saved = folder.settings()
    decided = settings.completed(saved, folder.path, given)
    supervised, server = folder.supervisor() is not None, folder.server()
    if supervised or server is not None:
        differing = settings.differences(saved or decided, given)
        if differing:
            raise Problem(
                f"miniecs runs already on {folder.path} with other settings: {'; '.join(differing)}. End it "
                "with `miniecs down` first, or choose another --data-dir and --port for a second one.",
                ASKED_WRONGLY,
            )
        return Plan("running" if supervised else "adopted", saved or decided, "instances" in given)
    if saved is not None and saved.runtime != decided.runtime and folder.has_state:
        raise Problem(
            f"The container instances in {folder.path} are of the {saved.runtime} runtime. Start them "
            f"with --runtime {saved.runtime}, remove them with `miniecs down --purge`, or choose another "
            "--data-dir.",
            ASKED_WRONGLY,
        )
    if decided.port == 0:
        # Chosen here and kept: a server that is started again must come back where its clients look for it.
        decided = replace(decided, port=ports.lasting(decided.bind))
    if decided.runtime == "docker":
        from miniecs.cli import engine, leftovers

        decided = replace(decided, engine=engine.fit().host)
        leftovers.sweep_the_dead(decided.engine, say)
    fresh = not folder.has_state
    folder.save(settings.with_credentials(decided))
    expected = group_sizes(decided.autoscale)[0] if decided.autoscale else decided.instances
    return Plan("started", decided, "instances" in given, expected if fresh else 0)


def _detached(folder: DataFolder, given: Mapping[str, Any], telling: Telling) -> None:
    clock = SystemClock()
    since = clock.now()
    with folder.changing():
        plan = _plan(folder, given, _say)
        log = folder.log("supervisor")
        log_from = size(log)
        child = None if plan.how == "running" else _spawn_supervisor(folder, log)
        while child is not None and folder.supervisor() != child.pid and child.poll() is None:
            processes.pause(_LOOK_EVERY)
    report = Report(folder, plan, telling, since)
    while not report.seen(state := readiness.look(folder, plan.settings, plan.expected), clock.now()):
        if child is not None and child.poll() is not None:
            said = last_line(log, log_from).removeprefix("miniecs: ")
            raise Problem(said or f"The supervisor ended at once; see {log}.", child.returncode or 1)
        if clock.now() - since > _READY_WITHIN:
            raise Problem(_unready(folder, plan, state))
        processes.pause(_LOOK_EVERY)
    if plan.how != "running":
        report.next_steps()


def _spawn_supervisor(folder: DataFolder, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(
            processes.command("supervise", folder.path),
            cwd=folder.path,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def _unready(folder: DataFolder, plan: Plan, state: State) -> str:
    within = f"within {_READY_WITHIN:g} s"
    if not state.listens:
        return f"The server did not get ready {within}; see {folder.logs / 'server.log'}."
    if state.agent is not None and state.proxy is None:
        return f"The proxy did not get ready {within}; see {folder.logs / 'proxy.log'}."
    culprit = "server" if plan.settings.runtime == "simulated" else "agent"
    log = folder.logs / f"{culprit}.log"
    wanted = output.counted(max(len(state.awaited), plan.expected), "container instance")
    missing = f"Only {sum(state.awaited)} of {wanted} connected {within}"
    if culprit == "agent" and state.agent is None:
        missing = f"The agent did not get ready {within}"
    said = last_words(log) if culprit == "agent" else ""
    return f"{missing}{f': {said}' if said else ''}; see {log}."


def _in_foreground(folder: DataFolder, given: Mapping[str, Any], telling: Telling) -> None:
    clock = SystemClock()
    since = clock.now()
    with ExitStack() as held:
        with folder.changing():
            plan = _plan(folder, given, _say)
            if plan.how != "running":
                own_file = held.enter_context(folder.supervising())
        report = Report(folder, plan, telling, since)
        if plan.how == "running":
            _await(folder, plan, report, clock)
            return
        signals = held.enter_context(Signals().caught())
        supervisor = Supervisor(folder, roles(plan.settings), clock, own_file, _say)
        held.callback(supervisor.stop)
        supervisor.start()
        ready = False
        while not signals.asked_to_end:
            supervisor.step()
            if not ready and report.seen(readiness.look(folder, plan.settings, plan.expected), clock.now()):
                ready = True
                report.next_steps()
                report.say_ending()
            signals.wait(_WATCH_EVERY if ready else _LOOK_EVERY)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _await(folder: DataFolder, plan: Plan, report: Report, clock: SystemClock) -> None:
    since = clock.now()
    while not report.seen(state := readiness.look(folder, plan.settings, plan.expected), clock.now()):
        if clock.now() - since > _READY_WITHIN:
            raise Problem(_unready(folder, plan, state))
        processes.pause(_LOOK_EVERY)
