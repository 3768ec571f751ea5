-- +goose Up
CREATE TABLE IF NOT EXISTS dataset_columns (
    dataset_id BIGINT           NOT NULL,
    name       VARBINARY(1000)  NOT NULL,
    types      TINYINT UNSIGNED NOT NULL,
    PRIMARY KEY (dataset_id, name),
    CONSTRAINT dataset_columns_dataset FOREIGN KEY (dataset_id) REFERENCES datasets (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS dataset_columns;
