-- Which messages mention whom by name; one mention a row, for as long as it is neither read, retracted, edited away nor
-- too old.
CREATE TABLE IF NOT EXISTS chat_mention (
    uid INTEGER NOT NULL,
    conversation INTEGER NOT NULL,
    -- The message's.
    serial INTEGER NOT NULL,
    PRIMARY KEY (uid, conversation, serial)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS chat_mention_serial ON chat_mention (serial);

-- The last mention of each, which is all that was kept before, in a column that nothing reads any more.
INSERT OR IGNORE INTO chat_mention (uid, conversation, serial)
SELECT r.uid, r.conversation, r.mentioned FROM chat_reading AS r JOIN chat_message AS m ON m.serial = r.mentioned
WHERE r.mentioned > r.seen AND m.retracted = 0;
