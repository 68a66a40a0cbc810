-- Accounts: the table that deployments have had all along; one that exists is left as it is.
CREATE TABLE IF NOT EXISTS user (
    -- The uid by which people address each other, never given twice.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The name as it is shown. The table keeps no name unique: chat_name and a lock do.
    username VARCHAR(255),
    -- An argon2id PHC string; with ! before it the account is locked. Anything else is an old
    -- plain-text password, good for one log-in, which replaces it.
    password VARCHAR(255)
);

-- The first uid is 10001, as in MySQL.
INSERT INTO sqlite_sequence (name, seq)
SELECT 'user', 10000
WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'user');
