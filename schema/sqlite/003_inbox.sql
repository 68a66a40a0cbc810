-- Inboxes: messages that wait until their reader has acknowledged them.

CREATE TABLE IF NOT EXISTS chat_inbox (
    uid integer NOT NULL,           -- whose inbox
    id integer NOT NULL,            -- 1, 2, 3, … for each inbox: the message id
    sender integer NOT NULL,        -- the sender's uid
    name text NOT NULL,             -- the sender's name when it was sent
    at integer NOT NULL,            -- when it was accepted, ms since 1970
    text text NOT NULL,             -- the message
    PRIMARY KEY (uid, id)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS chat_reader (
    uid integer PRIMARY KEY,                    -- whose inbox
    last_id integer NOT NULL DEFAULT 0,         -- the id given out last
    acknowledged integer NOT NULL DEFAULT 0,    -- the id removed last; all above it wait
    generation integer NOT NULL DEFAULT 0,      -- grows with each log-in; removals by older ones are refused
    epoch text NOT NULL DEFAULT '0'             -- the life of this inbox's ids
);

CREATE TABLE IF NOT EXISTS chat_share (
    uid integer NOT NULL,           -- whose inbox
    sender integer NOT NULL,        -- a sender's uid
    share integer NOT NULL,         -- the sender's messages since `acknowledged` last changed
    acknowledged integer NOT NULL,  -- what it was then
    PRIMARY KEY (uid, sender)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS chat_device (
    uid integer NOT NULL,           -- whose inbox
    sender integer NOT NULL,        -- a sender's uid
    device text NOT NULL,           -- one of the sender's devices
    n integer NOT NULL,             -- the number of its message accepted last
    id integer NOT NULL,            -- and that message's id
    used integer NOT NULL,          -- when that was, ms since 1970
    PRIMARY KEY (uid, sender, device)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS chat_setting (
    name text PRIMARY KEY,          -- 'epoch': the first part of every inbox's epoch
    value text NOT NULL             -- its value
);
