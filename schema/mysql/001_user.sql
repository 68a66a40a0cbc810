-- Accounts: the table that deployments have had all along; one that exists is left as it is.
CREATE TABLE IF NOT EXISTS user (
    -- The uid by which people address each other. A new table begins at 10001.
    id INT AUTO_INCREMENT PRIMARY KEY,
    -- The name as it is shown. The table keeps no name unique: chat_name and a lock do.
    username VARCHAR(255),
    -- An argon2id PHC string; with ! before it the account is locked. Anything else is an old
    -- plain-text password, good for one log-in, which replaces it.
    password VARCHAR(255)
) ENGINE = InnoDB AUTO_INCREMENT = 10001 DEFAULT CHARACTER SET = utf8mb4;
