"""`miniecs agent` on another machine: what to run there, and running it."""

from __future__ import annotations

import shlex
import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from miniecs.cli import engine, output
from miniecs.cli.folder import DataFolder
from miniecs.cli.instances import attributes
from miniecs.cli.problem import ASKED_WRONGLY, Problem
from miniecs.config import ServerSettings
from miniecs.model.instance_types import UnknownInstanceType, instance_type


def join_command(folder: DataFolder, *, as_json: bool) -> None:
    """Print what joins another machine's engine. Raises Problem where none can reach the server."""
    decided = folder.settings()
    if decided is None or not decided.join_secret:
        raise Problem(f"Nothing was started yet on {folder.path}. `miniecs up --detach` starts it.")
    endpoint = f"http://{_reachable(folder, decided)}:{decided.port}"
    token = f"{decided.join_access_key}:{decided.join_secret}"
    command = shlex.join(["miniecs", "agent", "--endpoint", endpoint, "--join-token", token])
    if as_json:
        output.print_json({"endpoint": endpoint, "joinToken": token, "command": command})
    else:
        print(command)


def _reachable(folder: DataFolder, decided: ServerSettings) -> str:
    """The address at which other machines find the server, as it stands in a URL."""
    bind = ip_address("127.0.0.1" if decided.bind == "localhost" else decided.bind)
    if bind.is_loopback:
        option = f" --data-dir {shlex.quote(str(folder.path))}"
        raise Problem(
            f"The server listens on {decided.bind} alone, which no other machine reaches. `miniecs down "
            f"--keep{option}` and then `miniecs up --detach --bind 0.0.0.0{option}` let it listen on every "
            "address: whoever reaches one of them can then use it."
        )
    address = _outward(bind.version) if bind.is_unspecified else str(bind)
    return f"[{address}]" if ":" in address else address


def _outward(version: int) -> str:
    """This machine's address on the way out. Nothing is sent: a datagram socket only chooses its route."""
    family, beyond = (
        (socket.AF_INET, "192.0.2.1") if version == 4 else (socket.AF_INET6, "2001:db8::1")
    )
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((beyond, 9))
        except OSError as error:
            raise Problem(
                "This machine has no route to any other one, so which of its addresses others reach cannot "
                "be told. Bind the server to one of them with `miniecs up --bind`."
            ) from error
        return str(probe.getsockname()[0])


def join(
    endpoint: str,
    join_token: str,
    *,
    engine_url: str | None,
    instances: int,
    type: str | None,
    zone: str | None,
    cluster: str | None,
    given_attributes: list[str],
    name: str | None,
) -> int:
    """Be the agent of this machine's engine until told to end; the exit code. Raises Problem."""
    access_key, colon, secret_key = join_token.partition(":")
    if not (access_key and colon and secret_key):
        raise Problem(
            "--join-token: it is <access key>:<secret>, as `miniecs agent join-command` prints it.",
            ASKED_WRONGLY,
        )
    _check_endpoint(endpoint)
    if type is not None:
        try:
            instance_type(type)
        except UnknownInstanceType as error:
            raise Problem(f"--type: {error}.", ASKED_WRONGLY) from error
    found = engine.fit(engine_url)
    from miniecs_agent.shell.main import AgentOptions, main

    return main(
        AgentOptions(
            endpoint=endpoint.rstrip("/"),
            access_key=access_key,
            secret_key=secret_key,
            local=False,
            engine=found.host,
            name=name or socket.gethostname(),
            instances=instances,
            instance_type=type,
            zone=zone,
            cluster=cluster,
            attributes=tuple(attributes(given_attributes).items()),
        )
    )


def _check_endpoint(endpoint: str) -> None:
    try:
        url = urlsplit(endpoint)
        well = url.scheme == "http" and bool(url.hostname) and url.path in ("", "/") and url.port != 0
    except ValueError:
        well = False
    if not well:
        raise Problem(
            f"--endpoint: {endpoint!r} is not a server's address. Give one like http://10.0.0.5:4566.",
            ASKED_WRONGLY,
        )
