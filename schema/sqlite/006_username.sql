-- An index on the name as it is stored, so that nobody who asks for a name has the whole table read. The table belongs
-- to other programs, too, which may have one already: another one does no harm.
CREATE INDEX IF NOT EXISTS chat_username ON user (username);
