-- How often accounts were locked and unlocked: a token from before the last time no longer counts.
CREATE TABLE IF NOT EXISTS chat_lock (
    -- Whose account; one that is not here was never locked.
    uid INTEGER PRIMARY KEY,
    -- Only ever grows.
    times INTEGER NOT NULL
);
