#!/bin/sh
# Runs MariaDB on /var/lib/mysql, with the variables of the official image: MARIADB_ROOT_PASSWORD or
# MARIADB_ALLOW_EMPTY_ROOT_PASSWORD, MARIADB_DATABASE, MARIADB_USER, MARIADB_PASSWORD (or MYSQL_…).
set -eu
data=/var/lib/mysql

case ${1-} in
  -*) set -- mariadbd "$@" ;;
esac
[ "${1-}" = mariadbd ] || exec "$@"
shift

quote() {
  printf "'%s'" "$(printf %s "$1" | sed "s/\\\\/\\\\\\\\/g; s/'/''/g")"
}

first_statements() {
  password=$(quote "$root_password")
  cat <<SQL
DELETE FROM mysql.global_priv WHERE user = 'root' AND host <> 'localhost';
FLUSH PRIVILEGES;
ALTER USER root@localhost IDENTIFIED BY $password;
CREATE USER root@'%' IDENTIFIED BY $password;
GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
CREATE USER healthcheck@localhost;
SQL
  [ -z "$database" ] || echo "CREATE DATABASE \`$database\`;"
  [ -z "$user" ] || cat <<SQL
CREATE USER $(quote "$user")@'%' IDENTIFIED BY $(quote "${MARIADB_PASSWORD-${MYSQL_PASSWORD-}}");
${database:+GRANT ALL ON \`$database\`.* TO $(quote "$user")@'%';}
SQL
}

mkdir -p /run/mysqld
chown mysql:mysql /run/mysqld "$data"

if [ ! -d "$data/mysql" ]; then
  root_password=${MARIADB_ROOT_PASSWORD-${MYSQL_ROOT_PASSWORD-}}
  database=${MARIADB_DATABASE-${MYSQL_DATABASE-}}
  user=${MARIADB_USER-${MYSQL_USER-}}
  if [ -z "$root_password" ] && [ -z "${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD-${MYSQL_ALLOW_EMPTY_PASSWORD-}}" ]; then
    echo 'set MARIADB_ROOT_PASSWORD (or MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1)' >&2
    exit 1
  fi
  mariadb-install-db --user=mysql --datadir="$data" --skip-test-db --auth-root-authentication-method=normal >/dev/null
  first_statements | mariadbd --user=mysql --datadir="$data" --bootstrap
fi

# No name server is in reach: looking up the client's name would hold up every connection until it times out.
exec mariadbd --user=mysql --datadir="$data" --bind-address=0.0.0.0 --skip-name-resolve "$@"
