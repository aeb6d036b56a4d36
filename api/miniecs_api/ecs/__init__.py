"""Amazon ECS: one module a noun; a function is the operation of its name."""

from miniecs_api.ecs import (
    account_settings,
    attributes,
    capacity_providers,
    clusters,
    container_instances,
    service_deployments,
    services,
    state_changes,
    tags,
    task_definitions,
    task_protection,
    task_sets,
    tasks,
)

MODULES = (
    account_settings,
    attributes,
    capacity_providers,
    clusters,
    container_instances,
    service_deployments,
    services,
    state_changes,
    tags,
    task_definitions,
    task_protection,
    task_sets,
    tasks,
)
