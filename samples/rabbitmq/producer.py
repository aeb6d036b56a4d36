"""Sends a numbered message every second, or every PERIOD seconds."""

from __future__ import annotations

import itertools
import os
import socket

import broker


def main() -> None:
    broker.end_when_told()
    connection = broker.connected()
    channel = connection.channel()
    channel.queue_declare(broker.QUEUE, durable=True)
    for number in itertools.count(1):
        message = f"message {number} from {socket.gethostname()}"
        channel.basic_publish("", broker.QUEUE, message.encode())
        print(f"sent: {message}", flush=True)
        connection.sleep(float(os.environ.get("PERIOD", "1")))


if __name__ == "__main__":
    main()
