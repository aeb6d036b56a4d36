"""The agent of one container instance, without I/O: what is known, what is wanted, and the next step."""
