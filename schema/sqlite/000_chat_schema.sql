-- Which of these files this database has seen.
CREATE TABLE IF NOT EXISTS chat_schema (
    -- The number at the head of the file's name. AUTOINCREMENT, so that sqlite_sequence exists
    -- for 001 even where a user table without it was there before.
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    -- When the file was applied, UTC.
    applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
