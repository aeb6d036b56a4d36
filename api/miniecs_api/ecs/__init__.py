"""Amazon ECS: one module a noun; a function is the operation of its name."""

from miniecs_api.ecs import container_instances, services, state_changes, task_definitions, tasks

MODULES = (container_instances, services, state_changes, task_definitions, tasks)
