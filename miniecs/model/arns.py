"""Amazon Resource Names: made and taken apart here and nowhere else.

ARNs are the keys of the store: they are how ECS's callers name things, they carry
account and region, and they are unique over all kinds.
Formats: Amazon ECS developer guide, "Amazon Resource Names" (the long form, compulsory since 2021).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from miniecs.model.scope import Scope


def _ecs(scope: Scope, resource: str) -> str:
    return f"arn:aws:ecs:{scope.region}:{scope.account}:{resource}"


def cluster(scope: Scope, name: str) -> str:
    return _ecs(scope, f"cluster/{name}")


def container_instance(scope: Scope, cluster_name: str, id: str) -> str:
    return _ecs(scope, f"container-instance/{cluster_name}/{id}")


def task(scope: Scope, cluster_name: str, id: str) -> str:
    return _ecs(scope, f"task/{cluster_name}/{id}")


def container(scope: Scope, cluster_name: str, task_id: str, id: str) -> str:
    return _ecs(scope, f"container/{cluster_name}/{task_id}/{id}")


def service(scope: Scope, cluster_name: str, name: str) -> str:
    return _ecs(scope, f"service/{cluster_name}/{name}")


def task_definition(scope: Scope, family: str, revision: int) -> str:
    return _ecs(scope, f"task-definition/{family}:{revision}")


def capacity_provider(scope: Scope, name: str) -> str:
    return _ecs(scope, f"capacity-provider/{name}")


def auto_scaling_group(scope: Scope, name: str, id: str) -> str:
    """id: a uuid."""
    return (
        f"arn:aws:autoscaling:{scope.region}:{scope.account}:autoScalingGroup:{id}:autoScalingGroupName/{name}"
    )


def attachment(scope: Scope, id: str) -> str:
    return _ecs(scope, f"attachment/{id}")


def service_deployment(scope: Scope, cluster_name: str, service_name: str, id: str) -> str:
    return _ecs(scope, f"service-deployment/{cluster_name}/{service_name}/{id}")


def service_revision(scope: Scope, cluster_name: str, service_name: str, id: str) -> str:
    return _ecs(scope, f"service-revision/{cluster_name}/{service_name}/{id}")


def task_set(service_arn: str, id: str) -> str:
    """id: ecs-svc/…"""
    return f"{service_arn.replace(':service/', ':task-set/')}/{id}"


def alarm(scope: Scope, name: str) -> str:
    return f"arn:aws:cloudwatch:{scope.region}:{scope.account}:alarm:{name}"


def load_balancer(scope: Scope, kind: str, name: str, id: str) -> str:
    """kind: app, net or gwy."""
    return f"arn:aws:elasticloadbalancing:{scope.region}:{scope.account}:loadbalancer/{kind}/{name}/{id}"


def target_group(scope: Scope, name: str, id: str) -> str:
    return f"arn:aws:elasticloadbalancing:{scope.region}:{scope.account}:targetgroup/{name}/{id}"


def listener(load_balancer_arn: str, id: str) -> str:
    return f"{load_balancer_arn.replace(':loadbalancer/', ':listener/')}/{id}"


def listener_rule(listener_arn: str, id: str) -> str:
    return f"{listener_arn.replace(':listener/', ':listener-rule/')}/{id}"


class Arn(NamedTuple):
    """An ARN in its parts; resource is what stands behind the account, e.g. ``task/web/0f…``."""

    service: str
    region: str
    account: str
    resource: str

    @property
    def scope(self) -> Scope:
        return Scope(self.account, self.region)

    @property
    def type(self) -> str:
        return self.resource.split("/", 1)[0]


def parse(text: str) -> Arn | None:
    """The parts of an ARN, or None when the text is not one."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not parts[5]:
        return None
    return Arn(parts[2], parts[3], parts[4], parts[5])


def name_of(arn: str) -> str:
    """The last path element: a cluster's or service's name, a task's or instance's id."""
    return arn.rsplit("/", 1)[-1]


def group_name_of(target_group_arn: str) -> str:
    """A target group's name, also of one that is gone."""
    return target_group_arn.rsplit("/", 2)[-2]


@lru_cache(maxsize=1024)
def scope_of(arn: str) -> Scope:
    """Account and region of an ARN of ours. Raises ValueError for anything else."""
    parts = arn.split(":", 5)
    if len(parts) != 6:
        raise ValueError(f"not an ARN: {arn!r}")
    return Scope(parts[4], parts[3])
