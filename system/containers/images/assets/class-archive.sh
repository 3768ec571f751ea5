#!/bin/sh
# Makes the archives of classes that servers start from: a broker and a ZooKeeper node are started as in a run, used
# for a moment, and stopped. A server starts without its archive too, only slower, so no failure here is fatal.
set -u
export JVM_HEAP=256 ZK_ID=1 JVM_OPTS=-XX:TieredStopAtLevel=1
start() { # start NAME: in the background, recording its classes
  CLASS_ARCHIVE="-XX:ArchiveClassesAtExit=/opt/kafka/$1.jsa" /usr/local/bin/server-entry "$1" >"/tmp/$1.log" 2>&1 &
}
await() { # await FILE PATTERN
  for _ in $(seq 300); do
    grep -q "$2" "$1" && return
    sleep 0.1
  done
  cat "$1" >&2
}
export SERVER_CONFIG="tickTime=500
dataDir=/data
clientPort=2181
admin.enableServer=false
4lw.commands.whitelist=*
"
start zookeeper
zookeeper=$!
await /tmp/zookeeper.log "binding to port"
SERVER_CONFIG="broker.id=1
listeners=INTERNAL://127.0.0.1:9092
listener.security.protocol.map=INTERNAL:PLAINTEXT
inter.broker.listener.name=INTERNAL
zookeeper.connect=127.0.0.1:2181/kafka
log.dirs=/data/kafka
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=2097152
"
start kafka
kafka=$!
await /tmp/kafka.log "started (kafka.server.KafkaServer)"
sleep 1
kill -TERM "$kafka"
wait "$kafka"
kill -TERM "$zookeeper"
wait "$zookeeper"
rm -rf /data/* /tmp/kafka.log /tmp/zookeeper.log /etc/ratel/zoo.cfg /etc/ratel/server.properties
ls -l /opt/kafka/*.jsa
exit 0
