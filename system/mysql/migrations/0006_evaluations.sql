-- +goose Up
-- The highest fencing epoch that a leader has shown: one row, which every evaluation locks before it is written.
CREATE TABLE IF NOT EXISTS leader_epoch (
    id    TINYINT        NOT NULL PRIMARY KEY,
    epoch BIGINT         NOT NULL,
    node  VARBINARY(255) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO leader_epoch (id, epoch, node) VALUES (1, 0, '');

-- One row per alert and window at most. Times and windows are Unix time in nanoseconds. due: it is to be sent and was not
-- delivered yet.
CREATE TABLE IF NOT EXISTS evaluations (
    alert_id   BIGINT         NOT NULL,
    window_end BIGINT         NOT NULL,
    epoch      BIGINT         NOT NULL,
    node       VARBINARY(255) NOT NULL,
    made       BIGINT         NULL,
    stale      BOOLEAN        NOT NULL,
    triggered  BOOLEAN        NOT NULL,
    fires      BOOLEAN        NOT NULL,
    resolves   BOOLEAN        NOT NULL,
    value      DOUBLE         NOT NULL,
    notice     MEDIUMBLOB     NULL,
    delivered  BIGINT         NULL,
    due        BOOLEAN        NOT NULL,
    PRIMARY KEY (alert_id, window_end),
    KEY evaluations_due (due, window_end, alert_id),
    CONSTRAINT evaluations_alert FOREIGN KEY (alert_id) REFERENCES definitions (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS evaluations;
DROP TABLE IF EXISTS leader_epoch;
