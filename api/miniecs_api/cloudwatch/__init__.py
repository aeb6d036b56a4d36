"""Amazon CloudWatch, as far as ECS's deployments ask it: metric alarms and their state.

Metrics are not kept or evaluated yet: an alarm has the state that SetAlarmState gave it.
"""

from miniecs_api.cloudwatch import alarms, tags

MODULES = (alarms, tags)
