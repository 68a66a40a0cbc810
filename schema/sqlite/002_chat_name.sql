-- The index of names by what two names are compared by. It may lag behind the user table, which
-- other programs write too; who reads it checks the user's row.
CREATE TABLE IF NOT EXISTS chat_name (
    -- The folded name in UTF-8, or a hash of one that is longer than 255 bytes.
    folded BLOB NOT NULL,
    -- The user who has the name; several may, from before names were unique.
    uid INTEGER NOT NULL,
    PRIMARY KEY (folded, uid)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS chat_name_uid ON chat_name (uid);
