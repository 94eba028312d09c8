#!/bin/sh
# Runs PostgreSQL on $PGDATA, with the variables of the official image: POSTGRES_PASSWORD or
# POSTGRES_HOST_AUTH_METHOD=trust, POSTGRES_USER, POSTGRES_DB.
set -eu

case ${1-} in
  -*) set -- postgres "$@" ;;
esac
[ "${1-}" = postgres ] || exec "$@"
shift

for bin in /usr/lib/postgresql/*/bin; do PATH=$bin:$PATH; done
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

mkdir -p /run/postgresql "$PGDATA"
chown postgres:postgres /run/postgresql "$PGDATA"
chmod 700 "$PGDATA"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  user=${POSTGRES_USER:-postgres}
  method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
  if [ -z "${POSTGRES_PASSWORD-}" ] && [ "$method" != trust ]; then
    echo 'set POSTGRES_PASSWORD (or POSTGRES_HOST_AUTH_METHOD=trust)' >&2
    exit 1
  fi
  # Filled before it is given away: with fs.protected_regular root may not write to another user's file in /tmp.
  password_file=$(mktemp)
  printf '%s\n' "${POSTGRES_PASSWORD:-none}" >"$password_file"
  chown postgres "$password_file"
  as_postgres initdb --pgdata="$PGDATA" --username="$user" --pwfile="$password_file" \
    --auth-local=trust --auth-host="$method" >/dev/null
  rm "$password_file"
  echo "host all all all $method" >>"$PGDATA/pg_hba.conf"
  if [ "${POSTGRES_DB:-postgres}" != postgres ]; then
    echo "CREATE DATABASE \"$POSTGRES_DB\";" | as_postgres postgres --single -D "$PGDATA" postgres >/dev/null
  fi
fi

exec setpriv --reuid=postgres --regid=postgres --init-groups postgres -D "$PGDATA" -c listen_addresses='*' "$@"
