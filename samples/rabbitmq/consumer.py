"""Prints each message, and only then lets the broker forget it."""

from __future__ import annotations

import broker


def main() -> None:
    broker.end_when_told()
    channel = broker.connected().channel()
    channel.queue_declare(broker.QUEUE, durable=True)
    channel.basic_qos(prefetch_count=1)
    for method, _, body in channel.consume(broker.QUEUE):
        print(f"received: {body.decode()}", flush=True)
        channel.basic_ack(method.delivery_tag)


if __name__ == "__main__":
    main()
