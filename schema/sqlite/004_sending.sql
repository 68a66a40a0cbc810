-- What tells a message that comes late, or one of an older state of its sender, from the one that it could be taken for.

-- 6 hexadecimal digits of the SHA-256 of each of the device's last 64 texts, the newest at the end.
ALTER TABLE chat_device ADD COLUMN digests text NOT NULL DEFAULT '';

CREATE TABLE IF NOT EXISTS chat_generation (
    uid integer NOT NULL,           -- a sender's uid
    device text NOT NULL,           -- one of the sender's devices
    generation integer NOT NULL,    -- grows with each log-in as this device; messages of older ones are refused
    used integer NOT NULL,          -- when that was, ms since 1970
    PRIMARY KEY (uid, device)
) WITHOUT ROWID;

-- How many batches with messages were stored: less than a server knows, and the file is an older one.
INSERT OR IGNORE INTO chat_setting VALUES ('batches', '0');
