"""`miniecs lb`: load balancers with their listeners and targets."""

from __future__ import annotations

from typing import Any

from miniecs.cli import output
from miniecs.cli.client import connect
from miniecs.cli.folder import DataFolder


def show(folder: DataFolder, name: str | None, *, as_json: bool) -> None:
    page = connect(folder).get("load-balancers", name=name)
    if as_json:
        output.print_json(page)
        return
    for balancer in page["loadBalancers"]:
        _print(balancer)


def _print(balancer: dict[str, Any]) -> None:
    print(f"load balancer {balancer['name']} ({balancer['dnsName']})")
    output.print_table(
        ("LISTENER", "AT", "REQ/S"),
        [
            (f"{each['protocol']}:{each['port']}", " ".join(each["addresses"]), each["traffic"]["requestsPerSecond"])
            for each in balancer["listeners"]
        ],
    )
