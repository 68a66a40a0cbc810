-- Which messages mention whom by name; one mention a row, for as long as it is neither read, retracted, edited away nor
-- too old.
CREATE TABLE IF NOT EXISTS chat_mention (
    uid BIGINT NOT NULL,
    conversation BIGINT NOT NULL,
    -- The message's.
    serial BIGINT NOT NULL,
    PRIMARY KEY (uid, conversation, serial),
    KEY chat_mention_serial (serial)
) ENGINE = InnoDB;

-- The last mention of each, which is all that was kept before, in a column that nothing reads any more.
INSERT INTO chat_mention (uid, conversation, serial)
SELECT r.uid, r.conversation, r.mentioned FROM chat_reading AS r JOIN chat_message AS m ON m.serial = r.mentioned
WHERE r.mentioned > r.seen AND m.retracted = 0
ON DUPLICATE KEY UPDATE serial = chat_mention.serial;
