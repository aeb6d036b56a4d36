"""What the CloudWatch alarms of a deployment say: which are watched, which went off, how long to watch.

Source: ECS developer guide, "How CloudWatch alarms detect Amazon ECS deployment failures".
"""

from __future__ import annotations

from miniecs.control.view import View
from miniecs.model import arns
from miniecs.model.alarm import ALARM, MetricAlarm
from miniecs.model.service import Service
from miniecs.model.service_deployment import ServiceDeployment


def of_service(service: Service) -> tuple[str, ...]:
    """Names of the alarms that end its deployments."""
    alarms = service.deployment_configuration.alarms
    return alarms.names if alarms is not None and alarms.enable else ()


def to_watch(view: View, service: Service) -> tuple[str, ...]:
    """Those of a deployment that starts now: one that is in ALARM already tells nothing about it."""
    return tuple(name for name in of_service(service) if not _is_in_alarm(view, service, name))


def missing(view: View, service: Service) -> tuple[str, ...]:
    """Those that were deleted meanwhile, so that nothing hears them."""
    return tuple(name for name in of_service(service) if _alarm(view, service, name) is None)


def heard(view: View, service: Service, deployment: ServiceDeployment) -> tuple[str, ...]:
    """The watched alarms that are still there and still configured."""
    if not deployment.watched_alarms:
        return ()
    configured = of_service(service)
    return tuple(
        name
        for name in deployment.watched_alarms
        if name in configured and _alarm(view, service, name) is not None
    )


def triggered(view: View, service: Service, deployment: ServiceDeployment) -> tuple[str, ...]:
    """The heard alarms that are in ALARM."""
    return tuple(name for name in heard(view, service, deployment) if _is_in_alarm(view, service, name))


def bake_time(view: View, service: Service, deployment: ServiceDeployment) -> float:
    """Seconds for which alarms are watched after the tasks are in place (ours: ECS names no formula).

    As long as the slowest of them takes to notice: all of its evaluation periods.
    """
    found = [_alarm(view, service, name) for name in heard(view, service, deployment)]
    return max((alarm.seconds_to_notice for alarm in found if alarm is not None), default=0.0)


def _alarm(view: View, service: Service, name: str) -> MetricAlarm | None:
    return view.get(MetricAlarm, arns.alarm(arns.scope_of(service.arn), name))


def _is_in_alarm(view: View, service: Service, name: str) -> bool:
    alarm = _alarm(view, service, name)
    return alarm is not None and alarm.state == ALARM
