-- The history of what was said: every message that was confirmed, by its serial.

-- Which number a conversation of two users has. That of a room is the room's, below zero.
CREATE TABLE IF NOT EXISTS chat_conversation (
    conversation INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The uids of the two, the lower one first; the same twice where somebody writes to themselves.
    low INTEGER NOT NULL,
    high INTEGER NOT NULL,
    UNIQUE (low, high)
);

CREATE INDEX IF NOT EXISTS chat_conversation_high ON chat_conversation (high);

CREATE TABLE IF NOT EXISTS chat_message (
    -- Names the message in the whole service, and grows: 1000 times the store's time in ms, or a little more.
    serial INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL,
    -- Who sent it, under which name then, and when, ms since 1970.
    sender INTEGER NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- As it reads now; empty once it was retracted.
    text TEXT NOT NULL,
    -- The serial of the message that it answers; null: none.
    reply INTEGER,
    -- When it was edited last, ms since 1970; null: never.
    edited INTEGER,
    -- The serial of what has changed it last, of the message itself at first: nothing with a smaller one changes it.
    changed INTEGER NOT NULL,
    -- 1: it is in no history, and its row is only here so that it does not come back.
    retracted INTEGER NOT NULL DEFAULT 0
);

CREATE INDEX IF NOT EXISTS chat_message_page ON chat_message (conversation, retracted, serial, sender);

-- The index of words that a search looks up.
CREATE TABLE IF NOT EXISTS chat_word (
    conversation INTEGER NOT NULL,
    -- A pair of characters of Chinese, Japanese or Korean, or a whole other word, as a number.
    token INTEGER NOT NULL,
    -- The message that has it.
    serial INTEGER NOT NULL,
    PRIMARY KEY (conversation, token, serial)
) WITHOUT ROWID;

-- Messages whose words are not in the index yet.
CREATE TABLE IF NOT EXISTS chat_unindexed (
    serial INTEGER PRIMARY KEY
);

-- What a user has set of a conversation, and how far they have read it.
CREATE TABLE IF NOT EXISTS chat_reading (
    uid INTEGER NOT NULL,
    conversation INTEGER NOT NULL,
    -- The serial of the last message that counts as read; it only grows.
    seen INTEGER NOT NULL DEFAULT 0,
    -- The serial of the last message that mentions this user by name.
    mentioned INTEGER NOT NULL DEFAULT 0,
    -- 1: the user's clients are not to ring for it.
    muted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (uid, conversation)
) WITHOUT ROWID;

-- What a user has set for all devices; what has no row is as it is for everybody.
CREATE TABLE IF NOT EXISTS chat_user_setting (
    uid INTEGER NOT NULL,
    -- receipts: whether the others are told how far the user has read, and the user how far they have.
    name TEXT NOT NULL,
    -- 1 or 0: yes or no.
    value INTEGER NOT NULL,
    PRIMARY KEY (uid, name)
) WITHOUT ROWID;

-- How far the archive is.
CREATE TABLE IF NOT EXISTS chat_archive (
    -- `serial`: the greatest that it has heard of, of messages and changes of them. `kept`: what has a smaller one was
    -- removed because of its age, and does not come back.
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- What a message of a room's log has to do with an earlier one, whose serial follows: a (answers it), e (edits it: that
-- one reads as this text), x (retracts it); empty: nothing.
ALTER TABLE chat_room_log ADD COLUMN reference text NOT NULL DEFAULT '';
