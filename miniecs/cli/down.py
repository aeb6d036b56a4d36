"""`miniecs down`: ends what `up` started, each by a number that was proven to be ours."""

from __future__ import annotations

from typing import Any

from miniecs.cli import processes
from miniecs.cli.folder import DataFolder
from miniecs.cli.supervisor import GRACE

_SUPERVISOR_GRACE = GRACE + 5.0  # it gives its server GRACE seconds first


def down(folder: DataFolder, *, purge: bool) -> dict[str, Any]:
    """End supervisor and server, with ``purge`` remove the data; the pids that were ended, None for none."""
    folder.check()
    if not folder.exists:
        return {"supervisorPid": None, "serverPid": None, "purged": False}
    with folder.changing():
        server = folder.server()
        supervisor = folder.supervisor()
        if supervisor is not None:
            processes.end(supervisor, lambda: folder.supervisor() == supervisor, grace=_SUPERVISOR_GRACE)
        left = folder.server()
        if left is not None:
            processes.end(left.pid, lambda: processes.is_ours(left.pid, "server", folder.path), grace=GRACE)
        folder.forget_processes()
        if purge:
            folder.purge()
    ended = server or left
    return {
        "supervisorPid": supervisor,
        "serverPid": ended.pid if ended is not None else None,
        "purged": purge,
    }


def told(folder: DataFolder, ended: dict[str, Any]) -> str:
    """The same for people."""
    ran = ended["serverPid"] is not None or ended["supervisorPid"] is not None
    text = f"miniecs on {folder.path} has ended" if ran else f"Nothing runs on {folder.path}"
    if ended["purged"]:
        return f"{text}, and its data is removed."
    return f"{text}; its data stays." if ran else f"{text}."
