#!/bin/sh
# Starts one server as PID 1, so that signals reach the JVM itself.
#   server-entry zookeeper   with /etc/ratel/zoo.cfg, and its id in ZK_ID
#   server-entry kafka       with /etc/ratel/server.properties
# JVM_HEAP (MiB) and JVM_OPTS are set by the run.
set -eu
common="-Xms${JVM_HEAP}m -Xmx${JVM_HEAP}m -XX:+UseSerialGC -XX:MaxMetaspaceSize=160m
  -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true
  -Dsun.net.inetaddr.ttl=1 -Dsun.net.inetaddr.negative.ttl=0
  -Dlog4j.configuration=file:/etc/ratel/log4j.properties ${JVM_OPTS:-}"
case "${1:-}" in
zookeeper)
  echo "$ZK_ID" >/data/myid
  # A peer that does not answer must not hold up an election: connect for 1 s at most.
  exec java $common -Dzookeeper.cnxTimeout=1000 -cp "/opt/kafka/libs/*" \
    org.apache.zookeeper.server.quorum.QuorumPeerMain /etc/ratel/zoo.cfg
  ;;
kafka)
  exec java $common -cp "/opt/kafka/libs/*" kafka.Kafka /etc/ratel/server.properties
  ;;
*)
  echo "server-entry: expected zookeeper or kafka, got '${1:-}'" >&2
  exit 64
  ;;
esac
