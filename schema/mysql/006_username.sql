-- An index on the name as it is stored, so that nobody who asks for a name has the whole table read. The table belongs
-- to other programs, too: an index that begins with the column does as well, whoever made it. A name has 32 characters
-- at most, and more of a column could be more than an index of the table's row format holds.
SET @chat_username = IFNULL(
    (
        SELECT CONCAT(
            'CREATE INDEX chat_username ON user (username',
            IF(character_maximum_length > 32, '(32)', ''),
            ')'
        )
        FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
        WHERE table_schema = DATABASE() AND table_name = 'user' AND table_type = 'BASE TABLE'
        AND column_name = 'username' AND NOT EXISTS (
            SELECT 1 FROM information_schema.statistics AS made
            WHERE made.table_schema = DATABASE() AND made.table_name = 'user' AND made.column_name = 'username'
            AND made.seq_in_index = 1 AND made.index_type = 'BTREE'
        )
    ),
    'DO 0'
);

PREPARE chat_username FROM @chat_username;

EXECUTE chat_username;

DEALLOCATE PREPARE chat_username;
