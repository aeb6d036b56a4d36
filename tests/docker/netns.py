"""A network namespace with a link to the machine: the host of a second engine."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

_POOL = IPv4Network("10.213.0.0/16")
_LOCK = Path(tempfile.gettempdir()) / f"miniecs-test-netns-{os.getuid()}.lock"


@dataclass(frozen=True)
class Namespace:
    """``machine`` is this machine's address on the link, ``address`` that of the namespace."""

    name: str
    link: str
    machine: str
    address: str

    def command(self, *words: str) -> list[str]:
        """A command that runs inside."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *words]

    def cut(self) -> None:
        """The link goes down: packets are lost, and nobody is told."""
        _ip("link", "set", self.link, "down")

    def heal(self) -> None:
        _ip("link", "set", self.link, "up")


@contextlib.contextmanager
def namespace() -> Iterator[Namespace]:
    """One with a free name and a free pair of addresses; gone afterwards."""
    with _LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        number, pair = _free()
        machine, address = (str(each) for each in pair.hosts())
        made = Namespace(f"miniecs-test-{number}", f"mecs{number}", machine, address)
        _ip("netns", "add", made.name)
        try:
            inside = f"mecs{number}in"
            _ip("link", "add", made.link, "type", "veth", "peer", "name", inside)
            _ip("link", "set", inside, "netns", made.name)
            _ip("address", "add", f"{machine}/30", "dev", made.link)
        except BaseException:
            _ip("netns", "delete", made.name)
            raise
    try:
        made.heal()
        for words in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{address}/30", "dev", inside),
            ("link", "set", inside, "up"),
            ("route", "add", "default", "via", machine),
        ):
            _ip("-n", made.name, *words)
        yield made
    finally:
        # The link's other end goes with the namespace, once nothing lives in it.
        subprocess.run(["ip", "link", "delete", made.link], check=True, capture_output=True)
        _ip("netns", "delete", made.name)


def _free() -> tuple[int, IPv4Network]:
    """The first pair of addresses, and its number, that no interface of the machine has."""
    told = json.loads(_ip("-json", "-4", "address", "show"))
    taken = {each["local"] for link in told for each in link["addr_info"]}
    names = {link["ifname"] for link in json.loads(_ip("-json", "link", "show"))}
    for number, pair in enumerate(_POOL.subnets(new_prefix=30)):
        free = not taken & {str(host) for host in pair.hosts()} and f"mecs{number}" not in names
        if free and not Path(f"/run/netns/miniecs-test-{number}").exists():
            return number, pair
    raise AssertionError(f"no addresses are free in {_POOL}")


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"`ip {' '.join(words)}`: {done.stderr}"
    return done.stdout
