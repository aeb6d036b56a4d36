"""Requests a second through our proxy beside nginx: one worker each, pinned to one core, load on the other.

Small responses, 32 connections, two rules, X-Forwarded headers and a trace id, health checks on; both
before the same two targets. Where the rate is bound by wrk and the targets, the CPU per request still tells.
"""

from __future__ import annotations

import os
import sys

import _proxied as proxied
from _report import figure, ratio

RUNS = 5
SECONDS = 4.0
BODY = "hello from a small target\\n"


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("bench: the proxy and its load need a core each")
    ours, load = cores[0], cores[1]
    proxied.tools()
    seen: dict[str, list[proxied.Load]] = {"nginx": [], "miniecs": []}
    with (
        proxied.targets(load, BODY) as ports,
        proxied.nginx_proxy(ours, ports) as nginx,
        proxied.our_proxy(ours, ports) as miniecs,
    ):
        for _ in range(runs):
            for name, proxy in (("nginx", nginx), ("miniecs", miniecs)):
                seen[name].append(proxied.load(load, proxy, SECONDS))
        resident = miniecs.resident
    for name, loads in seen.items():
        figure(f"proxy.{name}", [each.rate for each in loads], "req/s")
    for name, loads in seen.items():
        figure(f"proxy.{name}.cpu", [each.cpu for each in loads], "µs/req")
    for name, loads in seen.items():
        figure(f"proxy.{name}.latency", [each.latency for each in loads], "ms")
    figure("proxy.miniecs.resident", [resident], "MiB")
    figure("proxy.failed", [float(sum(each.failed for loads in seen.values() for each in loads))], "req")
    rates = [[each.rate for each in seen[name]] for name in ("miniecs", "nginx")]
    ratio("proxy.ratio (requests/s, miniecs/nginx)", rates[0], rates[1], floor=0.8)


if __name__ == "__main__":
    main()
