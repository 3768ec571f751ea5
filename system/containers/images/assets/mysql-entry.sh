#!/bin/sh
# Starts MySQL as PID 1, so that signals reach it. The arguments are "mysqld" and its options.
set -eu
[ "${1:-}" = mysqld ] || { echo "mysql-entry: expected mysqld, got '${1:-}'" >&2; exit 64; }
shift
exec mysqld --no-defaults --user=mysql "$@"
