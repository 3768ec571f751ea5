-- +goose Up
CREATE TABLE IF NOT EXISTS teams (
    id                        BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name                      VARCHAR(255) NOT NULL,
    events_per_second         DOUBLE       NOT NULL DEFAULT 0,
    burst                     DOUBLE       NOT NULL DEFAULT 0,
    dataset_events_per_second DOUBLE       NOT NULL DEFAULT 0,
    dataset_burst             DOUBLE       NOT NULL DEFAULT 0,
    created                   DATETIME(6)  NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A key is kept as its SHA-256, so that who reads the table cannot use it.
CREATE TABLE IF NOT EXISTS api_keys (
    key_hash BINARY(32)  NOT NULL PRIMARY KEY,
    team_id  BIGINT      NOT NULL,
    created  DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    CONSTRAINT api_keys_team FOREIGN KEY (team_id) REFERENCES teams (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS api_keys;
DROP TABLE IF EXISTS teams;
