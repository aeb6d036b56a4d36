"""Where the broker is: told by the task definition or a link, and never by this image."""

from __future__ import annotations

import os
import signal
import sys

import pika

QUEUE = "samples"


def connected() -> pika.BlockingConnection:
    """A connection, waited for up to a minute: a broker that has started may not take connections yet."""
    # The second name is the one that Docker gives containers that are linked on its default network.
    host = os.environ.get("RABBITMQ_HOST") or os.environ["RABBITMQ_PORT_5672_TCP_ADDR"]
    user = os.environ.get("RABBITMQ_USER", "guest")
    password = os.environ.get("RABBITMQ_PASSWORD", "guest")
    return pika.BlockingConnection(
        pika.ConnectionParameters(
            host,
            int(os.environ.get("RABBITMQ_PORT_NUMBER", "5672")),
            credentials=pika.PlainCredentials(user, password),
            connection_attempts=60,
            retry_delay=1,
        )
    )


def end_when_told() -> None:
    """The first process of a container is not ended by SIGTERM unless it asks to be."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
