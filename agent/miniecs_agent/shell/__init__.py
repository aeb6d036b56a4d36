"""The agent's process: carries out what the core wants, over HTTP, websockets and an engine."""
