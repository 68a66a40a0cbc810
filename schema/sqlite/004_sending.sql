-- What tells a message that comes late, or one of an older state of its sender, from the one that it could be taken for.

-- Takes the place of chat_device, which stays for servers of the release before.
CREATE TABLE IF NOT EXISTS chat_sending (
    uid integer NOT NULL,           -- whose inbox
    sender integer NOT NULL,        -- a sender's uid
    device text NOT NULL,           -- one of the sender's devices
    n integer NOT NULL,             -- the number of its message accepted last
    id integer NOT NULL,            -- and that message's id
    used integer NOT NULL,          -- when that was, ms since 1970
    digests text NOT NULL,          -- 6 hexadecimal digits of the SHA-256 of each of its last 64 texts, up to number n
    PRIMARY KEY (uid, sender, device)
) WITHOUT ROWID;

INSERT OR IGNORE INTO chat_sending (uid, sender, device, n, id, used, digests)
    SELECT uid, sender, device, n, id, used, '' FROM chat_device;

CREATE TABLE IF NOT EXISTS chat_generation (
    uid integer NOT NULL,           -- a sender's uid
    device text NOT NULL,           -- one of the sender's devices
    generation integer NOT NULL,    -- grows with each log-in as this device; messages of older ones are refused
    used integer NOT NULL,          -- when that was, ms since 1970
    PRIMARY KEY (uid, device)
) WITHOUT ROWID;

-- How many batches with messages were stored: less than a server knows, and the file is an older one.
INSERT OR IGNORE INTO chat_setting VALUES ('batches', '0');

-- The epochs before the present one: a server that knows another one has seen a newer file.
INSERT OR IGNORE INTO chat_setting VALUES ('epochs', '');
