"""The command line: starting, watching and asking a miniecs.

Nothing heavy is imported before it is needed: somebody waits for `miniecs ps`, and the server's own start
goes past typer because what it imports it keeps.
"""

from __future__ import annotations

import os
import sys

from miniecs.cli.problem import FAILED, Problem

__all__ = ["main"]


def main() -> None:
    """Run the command line in ``sys.argv`` and exit: 0 done, 1 it failed, 2 it was asked for wrongly."""
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
        sys.exit(code)
    except BrokenPipeError:
        # `miniecs ps | head -1`: nobody reads on, and Python must not find that out once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except Problem as problem:
        print(f"miniecs: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)  # what shells say of a command that Ctrl-C ended


def _run(arguments: list[str]) -> int:
    if sys.platform == "win32":
        raise Problem("miniecs runs on Linux, macOS and in WSL 2, not on Windows itself.")
    if arguments[:1] == ["server"]:
        from miniecs.cli import internal

        return internal.server(arguments[1:])
    if arguments[:1] == ["proxy"]:
        from miniecs.cli import internal

        return internal.proxy(arguments[1:])
    if arguments[:1] == ["supervise"]:
        from miniecs.cli import internal

        return internal.supervise(arguments[1:])
    if arguments[:1] == ["agent"]:
        from miniecs.cli import internal

        if internal.is_local_agent(arguments):
            return internal.agent(arguments[1:])
    from miniecs.cli.app import run

    return run(arguments)
