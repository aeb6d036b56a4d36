"""The agent: makes one host match what the control plane wants of it."""
