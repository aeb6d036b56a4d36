"""Container instances that are only imagined, behind the same contracts as real ones."""
