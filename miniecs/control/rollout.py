"""Another desired count for a service: its PRIMARY deployment follows, and no new one is made."""

from __future__ import annotations

from dataclasses import replace

from miniecs.model.service import Service


def scale(service: Service, desired_count: int, *, now: float) -> Service:
    """The service at another desired count; its PRIMARY deployment follows, no new one is made."""
    if desired_count == service.desired_count:
        return service
    deployments = tuple(
        replace(deployment, desired_count=desired_count, updated_at=now)
        if deployment.status == "PRIMARY"
        else deployment
        for deployment in service.deployments
    )
    return replace(service, desired_count=desired_count, deployments=deployments, steady=False)
