#!/bin/sh
# Starts one server as PID 1, so that signals reach the JVM itself.
#   server-entry zookeeper   with its zoo.cfg in SERVER_CONFIG, and its id in ZK_ID
#   server-entry kafka       with its server.properties in SERVER_CONFIG
# JVM_HEAP (MiB) and JVM_OPTS are set by the run.
set -eu
# Classes come from the archive that was made with the image, where one was: a server is up in half the time.
common="-Xms${JVM_HEAP}m -Xmx${JVM_HEAP}m -XX:+UseSerialGC -XX:MaxMetaspaceSize=160m -XX:-UsePerfData
  -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true
  -Dsun.net.inetaddr.ttl=1 -Dsun.net.inetaddr.negative.ttl=0
  -Dlog4j.configuration=file:/etc/ratel/log4j.properties ${CLASS_ARCHIVE:--XX:SharedArchiveFile=/opt/kafka/${1:-}.jsa -Xshare:auto} ${JVM_OPTS:-}"
# Sorted: the archive fits only the same jars in the same order.
jars=$(printf '%s:' /opt/kafka/libs/*.jar)
case "${1:-}" in
zookeeper)
  echo "$ZK_ID" >/data/myid
  printf '%s' "$SERVER_CONFIG" >/etc/ratel/zoo.cfg
  # A peer that does not answer must not hold up an election: connect for 1 s at most.
  exec java $common -Dzookeeper.cnxTimeout=1000 -cp "$jars" \
    org.apache.zookeeper.server.quorum.QuorumPeerMain /etc/ratel/zoo.cfg
  ;;
kafka)
  printf '%s' "$SERVER_CONFIG" >/etc/ratel/server.properties
  exec java $common -cp "$jars" kafka.Kafka /etc/ratel/server.properties
  ;;
*)
  echo "server-entry: expected zookeeper or kafka, got '${1:-}'" >&2
  exit 64
  ;;
esac
