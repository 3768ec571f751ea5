# Resolves the jars where the machine itself has no Maven. Networks that inspect TLS have a certificate authority of
# their own: what this machine trusts is trusted here too.
ARG BASE
FROM ${BASE}
COPY host-ca.pem /tmp/host-ca.pem
RUN mkdir -p /usr/local/share/ca-certificates \
 && awk '/BEGIN CERTIFICATE/{n++} n{print > ("/usr/local/share/ca-certificates/host-" n ".crt")}' /tmp/host-ca.pem \
 && apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends ca-certificates maven openjdk-17-jre-headless \
 && update-ca-certificates --fresh >/dev/null
COPY pom.xml /build/pom.xml
RUN cd /build && mvn -B -q dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=/libs
