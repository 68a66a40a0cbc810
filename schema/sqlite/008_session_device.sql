-- How often devices were forgotten: a token that was issued to one before the last time no longer counts.
CREATE TABLE IF NOT EXISTS chat_session_device (
    -- Whose account.
    uid INTEGER NOT NULL,
    -- The device's name, 16 to 32 hexadecimal digits; one that is not here was never forgotten.
    device TEXT NOT NULL,
    -- Only ever grows.
    times INTEGER NOT NULL,
    PRIMARY KEY (uid, device)
) WITHOUT ROWID;
