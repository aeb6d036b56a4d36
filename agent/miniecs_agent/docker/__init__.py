"""A Docker engine behind the contracts of ``miniecs_agent.engine`` and ``miniecs_agent.host_engine``."""
