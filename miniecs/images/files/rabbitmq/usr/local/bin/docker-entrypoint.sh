#!/bin/sh
# Runs the broker as its own user, whoever owns the volume that its data is on.
set -e
case "$1" in
rabbitmq*)
    if [ "$(id -u)" = 0 ]; then
        find /var/lib/rabbitmq /var/log/rabbitmq ! -user rabbitmq -exec chown rabbitmq:rabbitmq '{}' +
        exec setpriv --reuid=rabbitmq --regid=rabbitmq --clear-groups -- "$0" "$@"
    fi
    ;;
esac
if [ -n "$RABBITMQ_ERLANG_COOKIE" ]; then
    (umask 077 && printf %s "$RABBITMQ_ERLANG_COOKIE" >"$HOME/.erlang.cookie")
fi
exec "$@"
