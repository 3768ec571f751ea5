-- +goose Up
-- How many events of a minute of event time (its start, as Unix time in seconds) were good, of how many.
CREATE TABLE IF NOT EXISTS slo_counts (
    slo_id BIGINT NOT NULL,
    minute BIGINT NOT NULL,
    good   BIGINT NOT NULL,
    total  BIGINT NOT NULL,
    PRIMARY KEY (slo_id, minute),
    CONSTRAINT slo_counts_slo FOREIGN KEY (slo_id) REFERENCES definitions (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How far a partition is counted. It moves in the transaction that adds the counts.
CREATE TABLE IF NOT EXISTS count_progress (
    consumer     VARBINARY(64)  NOT NULL,
    topic        VARBINARY(249) NOT NULL,
    partition_id INT            NOT NULL,
    next_offset  BIGINT         NOT NULL,
    marked       DATETIME(6)    NOT NULL,
    node         VARBINARY(255) NOT NULL,
    PRIMARY KEY (consumer, topic, partition_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS count_progress;
DROP TABLE IF EXISTS slo_counts;
