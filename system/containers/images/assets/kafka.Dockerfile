# Kafka and its ZooKeeper in one image: the broker's jars hold both. iptables is for
# the packet filter of a sidecar, where the run is not root on the engine's machine.
ARG BASE
FROM ${BASE}
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends openjdk-17-jre-headless iptables \
 && rm -rf /var/lib/apt/lists/* /usr/share/doc /usr/share/man \
 && mkdir -p /data /etc/ratel
COPY libs /opt/kafka/libs
COPY log4j.properties /etc/ratel/log4j.properties
COPY server-entry.sh /usr/local/bin/server-entry
COPY class-archive.sh /usr/local/bin/class-archive
RUN class-archive
EXPOSE 2181 2888 3888 9092 9094
ENTRYPOINT ["/usr/local/bin/server-entry"]
