"""Emptying container instances: who has to leave a DRAINING one, and who leaves last.

Replica tasks leave by ``rolling`` (their census sets them apart) and standalone tasks stay;
what is left to say is when a DAEMON's task may go: after all others.
Source: ECS developer guide, "Draining Amazon ECS container instances" and "DAEMON".
"""

from __future__ import annotations

from miniecs.control.view import View
from miniecs.model.service import Service
from miniecs.model.task import Task


def others_remain(view: View, instance_arn: str) -> int:
    """Live tasks on the instance that belong to no DAEMON service."""
    daemons: dict[str, bool] = {}
    count = 0
    for task in view.find(Task, "instance", instance_arn):
        arn = task.service_arn
        if arn is None:
            count += 1
            continue
        if arn not in daemons:
            service = view.get(Service, arn)
            daemons[arn] = service is not None and service.scheduling_strategy == "DAEMON"
        count += not daemons[arn]
    return count
