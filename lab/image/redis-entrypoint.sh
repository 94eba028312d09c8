#!/bin/sh
# Runs Redis on /data; further arguments are its own: --appendonly yes.
set -eu

case ${1-} in
  -*) set -- redis-server "$@" ;;
esac
[ "${1-}" = redis-server ] || exec "$@"
shift

find /data ! -user redis -exec chown redis:redis {} +
exec setpriv --reuid=redis --regid=redis --init-groups \
  redis-server --dir /data --bind 0.0.0.0 --protected-mode no "$@"
