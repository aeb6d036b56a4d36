"""Runs the server process: opens the data folder, listens, and ends cleanly when told to."""

from miniecs.serve.main import main

__all__ = ["main"]
