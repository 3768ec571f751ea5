# MinIO is one static binary, built from its Go module; nothing else is needed.
FROM scratch
COPY minio /minio
EXPOSE 9000
ENTRYPOINT ["/minio"]
