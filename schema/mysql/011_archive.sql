-- The history of what was said: every message that was confirmed, by its serial.

-- Which number a conversation of two users has. That of a room is the room's, below zero.
CREATE TABLE IF NOT EXISTS chat_conversation (
    conversation BIGINT AUTO_INCREMENT PRIMARY KEY,
    -- The uids of the two, the lower one first; the same twice where somebody writes to themselves.
    low BIGINT NOT NULL,
    high BIGINT NOT NULL,
    UNIQUE KEY chat_conversation_pair (low, high),
    KEY chat_conversation_high (high)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS chat_message (
    -- Names the message in the whole service, and grows: 1000 times the store's time in ms, or a little more.
    serial BIGINT PRIMARY KEY,
    conversation BIGINT NOT NULL,
    -- Who sent it, under which name then, and when, ms since 1970.
    sender BIGINT NOT NULL,
    name VARCHAR(255) NOT NULL,
    at BIGINT NOT NULL,
    -- As it reads now; empty once it was retracted.
    text TEXT NOT NULL,
    -- The serial of the message that it answers; null: none.
    reply BIGINT,
    -- When it was edited last, ms since 1970; null: never.
    edited BIGINT,
    -- The serial of what has changed it last, of the message itself at first: nothing with a smaller one changes it.
    changed BIGINT NOT NULL,
    -- 1: it is in no history, and its row is only here so that it does not come back.
    retracted TINYINT NOT NULL DEFAULT 0,
    KEY chat_message_page (conversation, retracted, serial, sender)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4;

-- The index of words that a search looks up.
CREATE TABLE IF NOT EXISTS chat_word (
    conversation BIGINT NOT NULL,
    -- A pair of characters of Chinese, Japanese or Korean, or a whole other word, as a number.
    token BIGINT NOT NULL,
    -- The message that has it.
    serial BIGINT NOT NULL,
    PRIMARY KEY (conversation, token, serial)
) ENGINE = InnoDB;

-- Messages whose words are not in the index yet.
CREATE TABLE IF NOT EXISTS chat_unindexed (
    serial BIGINT PRIMARY KEY
) ENGINE = InnoDB;

-- What a user has set of a conversation, and how far they have read it.
CREATE TABLE IF NOT EXISTS chat_reading (
    uid BIGINT NOT NULL,
    conversation BIGINT NOT NULL,
    -- The serial of the last message that counts as read; it only grows.
    seen BIGINT NOT NULL DEFAULT 0,
    -- The serial of the last message that mentions this user by name.
    mentioned BIGINT NOT NULL DEFAULT 0,
    -- 1: the user's clients are not to ring for it.
    muted TINYINT NOT NULL DEFAULT 0,
    PRIMARY KEY (uid, conversation)
) ENGINE = InnoDB;

-- What a user has set for all devices; what has no row is as it is for everybody.
CREATE TABLE IF NOT EXISTS chat_user_setting (
    uid BIGINT NOT NULL,
    -- receipts: whether the others are told how far the user has read, and the user how far they have.
    name VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- 1 or 0: yes or no.
    value TINYINT NOT NULL,
    PRIMARY KEY (uid, name)
) ENGINE = InnoDB;

-- How far the archive is.
CREATE TABLE IF NOT EXISTS chat_archive (
    -- `serial`: the greatest that it has heard of, of messages and changes of them. `kept`: what has a smaller one was
    -- removed because of its age, and does not come back.
    name VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY,
    value BIGINT NOT NULL
) ENGINE = InnoDB;
