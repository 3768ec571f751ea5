# Every role is this one static binary; nothing else is needed.
FROM scratch
COPY ratel /ratel
ENTRYPOINT ["/ratel"]
