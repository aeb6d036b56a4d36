"""`miniecs exec`, as users run it, against a real server and agent; its commands run on this machine."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from miniecs.model.instance import ContainerInstance

from .conftest import MINIECS, until
from .stream_bed import CLUSTER, ID, INSTANCE, Bed

pytestmark = pytest.mark.slow


class Shell:
    """Runs `miniecs` on a folder where the bed is the server."""

    def __init__(self, bed: Bed, folder: Path) -> None:
        self.bed = bed
        self.environment = {**os.environ, "MINIECS_DATA_DIR": str(folder)}

    def __call__(self, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        ran = subprocess.run(
            [MINIECS, *arguments], env=self.environment, input=stdin, capture_output=True, timeout=60
        )
        return ran.returncode, ran.stdout, ran.stderr

    def exec(self, *command: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        return self("exec", ID[:8], "-c", "web", "--", *command, stdin=stdin)

    def start(self, *arguments: str, **files: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([MINIECS, *arguments], env=self.environment, **files)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    bed = Bed("web", "sidecar")
    bed.run("web")
    try:
        with bed.folder(tmp_path) as folder:
            yield Shell(bed, folder)
    finally:
        bed.close()


def test_output_and_exit_code_are_the_commands(shell: Shell) -> None:
    script = "echo out; echo bad >&2; exit 42"
    assert shell.exec("sh", "-c", script) == (42, b"out\n", b"bad\n")


def test_standard_input_is_passed_on_to_its_end(shell: Shell) -> None:
    data = os.urandom(1_000_003)
    assert shell.exec("cat", stdin=data) == (0, data, b"")


def test_a_command_that_does_not_read_ends_all_the_same(shell: Shell) -> None:
    assert shell.exec("true", stdin=bytes(3_000_000)) == (0, b"", b"")


def test_as_json_one_document(shell: Shell) -> None:
    code, out, err = shell("exec", ID, "-c", "web", "--output", "json", "--", "sh", "-c", "echo é; exit 3")
    assert (code, json.loads(out), err) == (3, {"exitCode": 3, "stdout": "é\n", "stderr": ""}, b"")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([ID], "Task 01234567 has several containers: name one with -c. It has web, sidecar."),
        ([ID, "-c", "db"], "Task 01234567 has no container 'db'. It has web, sidecar."),
        (["f" * 8, "-c", "web"], "There is no task 'ffffffff'. "),
        ([ID, "-c", "sidecar"], "Container sidecar has not started yet."),
    ],
)
def test_what_cannot_be_run(shell: Shell, arguments: list[str], message: str) -> None:
    code, out, err = shell("exec", *arguments, "--", "true")
    assert (code, out) == (1, b"")
    assert err.decode().startswith(f"miniecs: {message}")


def test_not_in_stopped_containers(shell: Shell) -> None:
    shell.bed.stop("web")
    message = b"Container web of task 01234567 is STOPPED: commands run in running containers only.\n"
    assert shell.exec("true") == (1, b"", b"miniecs: " + message)


def test_amazons_own_agent_is_not_asked_and_docker_is_named_instead(shell: Shell) -> None:
    theirs = ContainerInstance(INSTANCE, CLUSTER, agent_version="1.48.1", agent_hash="*19c447f1")
    shell.bed.put(theirs)
    code, out, err = shell.exec("sh", "-c", "echo $HOME")
    assert (code, out) == (1, b"")
    assert err.endswith(b"On its machine: `docker exec -it docker-web sh -c 'echo $HOME'` (web).\n")


def running(shell: Shell) -> bool:
    return shell.bed.agent is not None and len(shell.bed.agent) == 1


def test_an_agent_that_goes_away(shell: Shell) -> None:
    def cut() -> None:
        until(lambda: running(shell), "it runs")
        shell.bed.cut()

    threading.Thread(target=cut).start()
    message = b"The connection to the agent ended. The command may still be running in its container.\n"
    assert shell.exec("sleep", "60") == (1, b"", b"miniecs: " + message)


def test_a_server_that_goes_away(shell: Shell) -> None:
    def stop() -> None:
        until(lambda: running(shell), "it runs")
        shell.bed.stop_server()

    ending = threading.Thread(target=stop)
    ending.start()
    assert shell.exec("sleep", "60") == (1, b"", b"miniecs: The connection to the server ended.\n")
    ending.join()
    until(lambda: not running(shell), "the agent lets go of it")
    shell.bed.start_server()


@pytest.mark.parametrize("command", ["exec", "logs"])
def test_ctrl_c(shell: Shell, command: str) -> None:
    """Ends at once and leaves nothing open; following logs was to be ended so."""
    more = {"exec": ["--", "sleep", "60"], "logs": ["-f"]}[command]
    with shell.start(command, ID, "-c", "web", *more, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as ran:
        until(lambda: running(shell), "it runs")
        ran.send_signal(signal.SIGINT)
        assert ran.stderr is not None
        assert (ran.stderr.read(), ran.wait(10)) == (b"", {"exec": 130, "logs": 0}[command])
    until(lambda: not running(shell), "the agent lets go of it")


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, shell: Shell, *command: str) -> None:
        self.outer, self.inner = pty.openpty()
        self.resize(30, 100)
        self.before = termios.tcgetattr(self.inner)
        self.shown = b""
        self.ran = shell.start(
            "exec", ID, "-c", "web", "--", *command,
            stdin=self.inner, stdout=self.inner, stderr=self.inner, start_new_session=True,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        while True:
            try:
                self.shown += os.read(self.outer, 65536)
            except OSError:
                return

    def type(self, keys: bytes) -> None:
        os.write(self.outer, keys)

    def shows(self, text: bytes) -> None:
        until(lambda: text in self.shown, f"{text!r} is shown, after {self.shown!r}")

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.outer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def ended(self) -> int:
        """The exit code; the terminal is as it was."""
        code = self.ran.wait(20)
        assert termios.tcgetattr(self.inner) == self.before
        os.close(self.inner)
        self._reading.join(5)
        os.close(self.outer)
        return code


def test_a_terminal(shell: Shell) -> None:
    """Keys as they are typed, Ctrl-C for the command alone, and the size, also when it changes."""
    # The size is asked for again and again: bash loses some of the signals that tell of another one.
    script = """
        trap 'echo "<interrupted>"' INT
        test -t 0 && test -t 1 && stty size
        read line; echo "<$line>"
        size=$(stty size)
        while true; do
            test "$(stty size)" = "$size" || { size=$(stty size); echo "<$size>"; }
            read -t 0.05 -n 1 key && test "$key" = q && exit 7
        done
    """
    terminal = Terminal(shell, "bash", "-c", script)
    terminal.shows(b"30 100\r\n")
    terminal.type(b"hello\r")
    terminal.shows(b"<hello>")
    terminal.type(b"\x03")
    terminal.shows(b"<interrupted>")
    terminal.resize(40, 120)
    terminal.ran.send_signal(signal.SIGWINCH)
    terminal.shows(b"<40 120>")
    terminal.type(b"q")
    assert terminal.ended() == 7


def test_what_is_typed_before_the_terminal_is_ready_is_the_commands(shell: Shell) -> None:
    terminal = Terminal(shell, "bash", "-c", 'read line; echo "<$line>"')
    terminal.type(b"early\r")
    terminal.shows(b"<early>")
    assert terminal.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(shell: Shell, number: signal.Signals) -> None:
    terminal = Terminal(shell, "sh", "-c", "echo here; exec sleep 60")
    terminal.shows(b"here")
    assert termios.tcgetattr(terminal.inner) != terminal.before
    terminal.ran.send_signal(number)
    assert terminal.ended() == 128 + number


def test_a_server_that_goes_away_leaves_the_terminal_as_it_was(shell: Shell) -> None:
    terminal = Terminal(shell, "sh", "-c", "echo here; exec sleep 60")
    terminal.shows(b"here")
    shell.bed.stop_server()
    terminal.shows(b"miniecs: The connection to the server ended.")
    assert terminal.ended() == 1
    shell.bed.start_server()


def test_a_line_is_there_at_once(shell: Shell) -> None:
    """Following, from the container's write to this pipe."""
    with shell.start("logs", ID, "-f", "-c", "web", stdout=subprocess.PIPE) as ran:
        assert ran.stdout is not None
        waits = []
        shell.bed.write("web", b"first\n")
        assert ran.stdout.readline() == b"first\n"
        for number in range(20):
            time.sleep(0.02)
            begun = time.perf_counter()
            shell.bed.write("web", b"%d\n" % number)
            assert ran.stdout.readline() == b"%d\n" % number
            waits.append(time.perf_counter() - begun)
        ran.send_signal(signal.SIGINT)
    assert sorted(waits)[10] < 0.05
