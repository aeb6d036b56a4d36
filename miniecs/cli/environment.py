"""`miniecs env`: what the AWS CLI and every SDK need in their environment to talk to this server."""

from __future__ import annotations

import os
import shlex
import sys

from miniecs.cli import output
from miniecs.cli.folder import DataFolder
from miniecs.cli.problem import Problem

# Where these are set, they outweigh or break what is exported; they are unset only then.
_IN_THE_WAY = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL_ECS",
    "AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)


def env(folder: DataFolder, *, as_json: bool) -> None:
    """Print it for `eval`, or as one JSON object. A server that is not running is only warned of."""
    decided = folder.settings()
    if decided is None:
        raise Problem(f"Nothing was started yet on {folder.path}. `miniecs up --detach` starts it.")
    running = folder.server()
    if running is None:
        print(f"miniecs: nothing runs on {folder.path}; `miniecs up --detach` starts it", file=sys.stderr)
    endpoint = running.endpoint if running is not None else None
    variables = {
        "AWS_ENDPOINT_URL": endpoint or decided.endpoint,
        "AWS_ACCESS_KEY_ID": decided.account,
        "AWS_SECRET_ACCESS_KEY": "miniecs",
        "AWS_DEFAULT_REGION": decided.region,
        "AWS_REGION": decided.region,
    }
    if as_json:
        output.print_json(variables)
        return
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    for name in _IN_THE_WAY:
        if name in os.environ:
            print(f"unset {name}")
