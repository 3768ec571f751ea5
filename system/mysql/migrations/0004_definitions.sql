-- +goose Up
-- scope is dataset_id, and 0 instead of null: names are unique also among what belongs to the whole team. An ID is never
-- given twice. The body is kept byte for byte, which a JSON column would not do.
CREATE TABLE IF NOT EXISTS definitions (
    id         BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    team_id    BIGINT         NOT NULL,
    dataset_id BIGINT         NULL,
    scope      BIGINT         NOT NULL,
    kind       VARBINARY(32)  NOT NULL,
    name       VARBINARY(255) NOT NULL,
    body       MEDIUMBLOB     NOT NULL,
    created    DATETIME(6)    NOT NULL,
    updated    DATETIME(6)    NOT NULL,
    version    BIGINT         NOT NULL DEFAULT 1,
    UNIQUE KEY definitions_name (team_id, scope, kind, name),
    KEY definitions_dataset (dataset_id, id),
    CONSTRAINT definitions_team FOREIGN KEY (team_id) REFERENCES teams (id),
    CONSTRAINT definitions_dataset FOREIGN KEY (dataset_id) REFERENCES datasets (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS definitions;
