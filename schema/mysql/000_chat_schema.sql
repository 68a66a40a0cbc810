-- Which of these files this database has seen.
CREATE TABLE IF NOT EXISTS chat_schema (
    -- The number at the head of the file's name.
    version INT NOT NULL PRIMARY KEY,
    -- When the file was applied, in the server's time.
    applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB;
