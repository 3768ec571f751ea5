# MySQL from Debian unstable, where it is packaged, on the same base as everything else. The data
# directory is made here, so that a node is up in a second: the node's volume begins as a copy of /data.
ARG BASE
FROM ${BASE}
RUN set -eu; \
    uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null \
      | sed -n -e 's/^deb \(\[[^]]*\] \)*\([^ ]*\) .*/\2/p' -e 's/^URIs: *\([^ ]*\).*/\1/p' | head -n 1); \
    echo "deb [check-valid-until=no] $uri sid main" >/etc/apt/sources.list.d/sid.list; \
    apt-get update -q -o Acquire::Check-Valid-Until=false; \
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends mysql-server-core; \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /usr/share/doc /usr/share/man
COPY mysql-entry.sh /usr/local/bin/mysql-entry
COPY mysql-init.sql /etc/ratel/mysql-init.sql
RUN set -eu; \
    useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin mysql; \
    install -d -o mysql -g mysql /run/mysqld /data/mysql; \
    mysqld --no-defaults --initialize-insecure --user=mysql --datadir=/data/mysql --secure-file-priv= \
      --innodb-redo-log-capacity=8M --innodb-numa-interleave=OFF --init-file=/etc/ratel/mysql-init.sql
EXPOSE 3306
ENTRYPOINT ["/usr/local/bin/mysql-entry"]
