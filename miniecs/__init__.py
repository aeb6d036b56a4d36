"""A local Amazon ECS: what is true, what should happen, and how it all is run."""

__version__ = "0.1.0"
