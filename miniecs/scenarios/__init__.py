"""Scenarios: a cluster and what happens to it, written in a file and played on simulated time.

Lessons and experiments are files, so that a story can be read, changed by one line and played again.
"""
