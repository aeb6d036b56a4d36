"""Commands of containers for tests. PID 1 has no default actions: what is to obey a signal must listen."""

OBEDIENT = ["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done"]
DEAF = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
