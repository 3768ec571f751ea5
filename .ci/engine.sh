#!/usr/bin/env bash
# Makes sure that a Docker engine answers, for the tests on real servers.
#
# Idempotent: when an engine already answers, nothing is touched. Otherwise,
# as root on Debian, it installs what is missing from Debian's own packages and
# starts dockerd in the background with its own data folder and log, and waits
# until it answers. An engine that it started earlier and that has locked up is
# ended, and started again. It sets nothing outside of that: no daemon.json, no
# group, no unit file.
#
#   RATEL_ENGINE_DIR   data and log of an engine started here
#                      (default /var/lib/ratel-engine)
#   RATEL_ENGINE_WAIT  seconds to wait for it to answer (default 60)
set -euo pipefail

dir=${RATEL_ENGINE_DIR:-/var/lib/ratel-engine}
wait_s=${RATEL_ENGINE_WAIT:-60}
log=$dir/dockerd.log

say() { printf 'engine: %s\n' "$*" >&2; }
die() { say "$1"; shift; for line in "$@"; do say "  $line"; done; exit 1; }

# A newer client may be on PATH while no engine is: only an answer counts. One
# that has locked up still tells its version, but not its networks.
answers() {
  command -v docker >/dev/null 2>&1 || return 1
  timeout 10 docker info --format '{{.ServerVersion}}' >/dev/null 2>&1 && timeout 20 docker network ls >/dev/null 2>&1
}

# end PROGRAM PIDFILE: ends the program that a pid file names, asking first, and
# removes the file, which would keep the next one from starting. A file may also
# be left by a machine that was switched off, and name nobody or somebody else.
end() {
  local pid i
  [[ -s $2 ]] || return 0
  pid=$(<"$2")
  if [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$1" ]]; then
    say "ending the $1 of an engine that was started here and does not answer"
    kill -TERM "$pid" 2>/dev/null || true
    for i in {1..100}; do
      [[ -e /proc/$pid ]] || break
      ((i != 50)) || kill -KILL "$pid" 2>/dev/null || true
      sleep 0.2
    done
  fi
  rm -f "$2"
}

if answers; then
  say "Docker engine $(docker info --format '{{.ServerVersion}}') answers"
  exit 0
fi

if [[ -n ${DOCKER_HOST:-} && ${DOCKER_HOST} != unix://* ]]; then
  die "the engine named by DOCKER_HOST=$DOCKER_HOST does not answer" \
    "start it there, or unset DOCKER_HOST to use an engine on this machine"
fi
if [[ $(uname -s) != Linux ]]; then
  die "no Docker engine answers, and one can be started here on Linux only" \
    "start Docker Desktop, colima or the like, then run this again"
fi
if [[ $(id -u) != 0 ]]; then
  die "no Docker engine answers, and starting one needs root" \
    "either: sudo $0" \
    "or, when the engine runs but your user may not use it: sudo usermod -aG docker $(id -un), then log in again"
fi

# What is missing, by the program that would be run. iproute2, util-linux and
# ca-certificates are on any Debian but for the smallest images.
missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need dockerd docker.io
need docker docker.io
need iptables iptables
need debootstrap debootstrap
need mvn maven
need nsenter util-linux
[[ -e /etc/ssl/certs/ca-certificates.crt ]] || missing+=(ca-certificates)
if ((${#missing[@]})); then
  command -v apt-get >/dev/null 2>&1 || die "missing: ${missing[*]}, and there is no apt-get to install them with" \
    "install a Docker engine (20.10 or newer), iptables and Maven with this system's package manager"
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt_log=$(mktemp)
  if ! { apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$apt_log" 2>&1; then
    tail -n 20 "$apt_log" >&2
    die "apt-get could not install ${missing[*]} (its last lines are above; all of it: $apt_log)" \
      "check this machine's package sources, then run this again"
  fi
  rm -f "$apt_log"
  command -v dockerd >/dev/null 2>&1 || die "docker.io is installed but there is no dockerd on PATH" \
    "check PATH: $PATH"
fi

if [[ -d /run/systemd/system ]] && systemctl cat docker.service >/dev/null 2>&1; then
  say "starting docker.service"
  systemctl start docker.service || die "docker.service did not start" "see: journalctl -u docker.service"
else
  # On cgroup v1 a machine without an init system may have mounted nothing.
  if [[ ! -e /sys/fs/cgroup/cgroup.controllers ]] && ! grep -q ' cgroup ' /proc/mounts; then
    command -v cgroupfs-mount >/dev/null 2>&1 && cgroupfs-mount ||
      die "no control groups are mounted under /sys/fs/cgroup, and the engine needs them" \
        "apt-get install cgroupfs-mount && cgroupfs-mount"
  fi
  mkdir -p "$dir"
  # One at a time: who waited here may find that the one before has started it.
  exec 9>"$dir/engine.lock"
  flock 9
  if ! answers; then
    end dockerd "$dir/dockerd.pid"
    # It dies with its dockerd, but maybe not before the next one asks for it.
    end containerd /run/ratel-engine/containerd/containerd.pid
    rm -f /var/run/docker.sock
    say "starting dockerd (data in $dir, log in $log)"
    # Of its own session, so that it outlives this script and its terminal, and
    # without any file that is open here or was open in the caller: a lock on
    # one would be held for as long as the engine lives.
    # The userland proxy stays on: without it the host cannot reach a
    # published port over 127.0.0.1 on every kernel.
    (
      for fd in "/proc/$BASHPID/fd/"*; do
        ((${fd##*/} < 3)) || eval "exec ${fd##*/}>&-"
      done
      exec setsid -f dockerd \
        --data-root "$dir/data" --exec-root /run/ratel-engine --pidfile "$dir/dockerd.pid" \
        --log-level warn </dev/null >>"$log" 2>&1
    )
  fi
fi

deadline=$((SECONDS + wait_s))
until answers; do
  if ((SECONDS >= deadline)); then
    [[ -f $log ]] && tail -n 20 "$log" >&2
    die "the Docker engine did not answer within $wait_s s" \
      "its log: $log (or journalctl -u docker.service)" \
      "commonly missing: kernel support for overlay, bridge or iptables; not enough privileges in a container"
  fi
  sleep 0.2
done
say "Docker engine $(docker info --format '{{.ServerVersion}}') answers"
