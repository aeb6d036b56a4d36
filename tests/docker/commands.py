"""Commands of containers for tests. PID 1 has no default actions: what is to obey a signal must listen."""

OBEDIENT = ["sh", "-c", "trap 'exit 7' TERM; sleep 3600 & wait"]
DEAF = ["sh", "-c", "trap '' TERM; sleep 3600; true"]
