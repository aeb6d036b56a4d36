"""What each kind of event does on the stage. An event without an act is a bug, and a test says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from miniecs.scenarios import acts_hosts, acts_services, acts_tasks
from miniecs.scenarios.stage import Stage
from miniecs.scenarios.story import Step

Act = Callable[[Stage, Step], None]

ACTS: Mapping[str, Act] = {
    "runTask": acts_tasks.run_task,
    "arrival": acts_tasks.arrive,
    "createService": acts_services.create_service,
    "updateService": acts_services.update_service,
    "deleteService": acts_services.delete_service,
    "scale": acts_services.scale,
    "deploy": acts_services.deploy,
    "loseHost": acts_hosts.lose_host,
    "loseZone": acts_hosts.lose_zone,
    "restore": acts_hosts.restore,
    "drain": acts_hosts.drain,
    "activate": acts_hosts.activate,
    "addHosts": acts_hosts.add_hosts,
    "stopTask": acts_tasks.stop_task,
    "crashTask": acts_tasks.crash_task,
    "failHealthCheck": acts_tasks.fail_health_check,
    "cutLink": acts_hosts.cut_link,
    "slowPulls": acts_hosts.slow_pulls,
    "updateCapacityProvider": acts_hosts.update_capacity_provider,
    "killControlPlane": acts_hosts.kill_control_plane,
}
