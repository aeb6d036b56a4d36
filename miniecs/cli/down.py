"""`miniecs down`: ends what `up` started, each by a number that was proven to be ours, and clears the engine.

In this order: an agent that still ran would tell of containers that end as of a fault.
"""

from __future__ import annotations

from typing import Any

from miniecs.cli import processes
from miniecs.cli.folder import ROLES, DataFolder
from miniecs.cli.problem import Problem
from miniecs.cli.watch import GRACE

_SUPERVISOR_GRACE = GRACE * len(ROLES) + 5.0  # it gives each of its processes GRACE seconds first


def down(folder: DataFolder, *, keep: bool, purge: bool) -> dict[str, Any]:
    """End all processes and remove what they made, with ``purge`` the data too; what was done."""
    folder.check()
    ended: dict[str, Any] = {"supervisorPid": None, **{f"{role}Pid": None for role in ROLES}}
    ended |= {"removed": None, "engineTrouble": None, "purged": False}
    if not folder.exists:
        return ended
    with folder.changing():
        ended |= _end_processes(folder)
        if not keep:
            ended |= _swept(folder, purge)
        folder.forget_processes()
        if purge:
            folder.purge()
            ended["purged"] = True
    return ended


def _end_processes(folder: DataFolder) -> dict[str, Any]:
    """The pids of all that lived, None for what did not."""
    lived = {role: folder.running(role) for role in ROLES}
    supervisor = folder.supervisor()
    if supervisor is not None:
        processes.end(supervisor, lambda: folder.supervisor() == supervisor, grace=_SUPERVISOR_GRACE)
    pids = {}
    for role in reversed(ROLES):
        left = folder.running(role)
        if left is not None:
            _end(folder, role, left.pid)
        known = lived[role] or left
        pids[f"{role}Pid"] = known.pid if known is not None else None
    return {"supervisorPid": supervisor, **pids}


def _end(folder: DataFolder, role: str, pid: int) -> None:
    processes.end(pid, lambda: processes.is_ours(pid, role, folder.path), grace=GRACE)


def _swept(folder: DataFolder, purge: bool) -> dict[str, Any]:
    """What was removed from the engine of this folder's cluster, or why that could not be.

    Volumes that were to outlive their tasks are data: they go with the data folder.
    """
    try:
        decided = folder.settings()
    except Problem as problem:
        return {"engineTrouble": str(problem)}
    if decided is None or decided.runtime == "simulated" or not decided.owner:
        return {}
    from miniecs.cli import engine, leftovers

    try:
        return {"removed": leftovers.remove(decided.engine, decided.owner, shared_volumes=purge)}
    except leftovers.TROUBLE as error:
        why = engine.said(error)
        return {"engineTrouble": f"The Docker engine at {decided.engine} could not be cleared: {why}."}


def told(folder: DataFolder, ended: dict[str, Any]) -> str:
    """The same for people."""
    ran = any(ended[name] is not None for name in ("supervisorPid", *(f"{role}Pid" for role in ROLES)))
    text = f"miniecs on {folder.path} has ended" if ran else f"Nothing runs on {folder.path}"
    if ended["purged"]:
        text = f"{text}, and its data is removed."
    else:
        text = f"{text}; its data stays." if ran else f"{text}."
    if ended["removed"] and any(ended["removed"].values()):
        from miniecs.cli.leftovers import described

        text += f"\nRemoved {described(ended['removed'])} from the Docker engine."
    return text


def warning(ended: dict[str, Any]) -> str:
    """What could not be cleaned up and what becomes of it; '' when all was."""
    if not ended["engineTrouble"]:
        return ""
    later = "the next `miniecs up` on that engine" if ended["purged"] else "`miniecs down`, run again,"
    return f"miniecs: {ended['engineTrouble']} What is left there, {later} removes."
