-- +goose Up
-- An ID is never given twice: what is in the log and in segments under the ID of a deleted dataset stays dead.
CREATE TABLE IF NOT EXISTS datasets (
    id                BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    team_id           BIGINT         NOT NULL,
    name              VARCHAR(255)   NOT NULL,
    slug              VARBINARY(255) NOT NULL,
    partition_set     TEXT           NOT NULL,
    events_per_second DOUBLE         NOT NULL DEFAULT 0,
    burst             DOUBLE         NOT NULL DEFAULT 0,
    created           DATETIME(6)    NOT NULL,
    UNIQUE KEY datasets_slug (team_id, slug),
    CONSTRAINT datasets_team FOREIGN KEY (team_id) REFERENCES teams (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS datasets;
