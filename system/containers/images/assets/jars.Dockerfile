# Resolves the jars where the machine itself has no Maven.
ARG BASE
FROM ${BASE}
RUN apt-get update -q \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends maven openjdk-17-jre-headless ca-certificates
COPY pom.xml /build/pom.xml
RUN cd /build && mvn -B -q dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=/libs
