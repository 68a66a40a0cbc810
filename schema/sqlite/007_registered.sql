-- Registered devices: several readers of one inbox, each with a position of its own.

-- Names the message in the whole service, and grows in each inbox; 0: it is older than serials are.
ALTER TABLE chat_inbox ADD COLUMN serial integer NOT NULL DEFAULT 0;
-- Of a copy of what the inbox's own user sent: to whom; 0: it is no copy.
ALTER TABLE chat_inbox ADD COLUMN recipient integer NOT NULL DEFAULT 0;
-- And by which device; empty: by one without a name.
ALTER TABLE chat_inbox ADD COLUMN device text NOT NULL DEFAULT '';
-- Copies in this inbox up to this one, and bytes of texts and names that came while there were registered devices: two
-- rows tell what lies between them.
ALTER TABLE chat_inbox ADD COLUMN copies integer NOT NULL DEFAULT 0;
ALTER TABLE chat_inbox ADD COLUMN bytes integer NOT NULL DEFAULT 0;

-- From now on chat_reader.acknowledged is the highest position that any device ever had, and chat_reader.generation
-- that of the unnamed device's session. The rest is 0 where there never was a registered device, so that it need not be
-- written with each message.

-- The generation that any session of the user took last.
ALTER TABLE chat_reader ADD COLUMN newest integer NOT NULL DEFAULT 0;
-- How many ids up to `acknowledged` are still kept, because some device has not acknowledged them.
ALTER TABLE chat_reader ADD COLUMN kept integer NOT NULL DEFAULT 0;
-- What chat_inbox.copies and chat_inbox.bytes are at the id given out last, and at `acknowledged`.
ALTER TABLE chat_reader ADD COLUMN copies integer NOT NULL DEFAULT 0;
ALTER TABLE chat_reader ADD COLUMN bytes integer NOT NULL DEFAULT 0;
ALTER TABLE chat_reader ADD COLUMN copies_acknowledged integer NOT NULL DEFAULT 0;
ALTER TABLE chat_reader ADD COLUMN bytes_acknowledged integer NOT NULL DEFAULT 0;
-- How many rows of chat_registered the user has.
ALTER TABLE chat_reader ADD COLUMN registered integer NOT NULL DEFAULT 0;
-- How far the unnamed device is behind `acknowledged` (null: it is not registered), and `bytes` where it is; when its
-- last session ended, ms since 1970 (0: it is logged in); and as which device it sends.
ALTER TABLE chat_reader ADD COLUMN unnamed_behind integer;
ALTER TABLE chat_reader ADD COLUMN unnamed_bytes integer NOT NULL DEFAULT 0;
ALTER TABLE chat_reader ADD COLUMN unnamed_used integer NOT NULL DEFAULT 0;
ALTER TABLE chat_reader ADD COLUMN unnamed_device text NOT NULL DEFAULT '';

CREATE TABLE IF NOT EXISTS chat_registered (
    uid integer NOT NULL,           -- whose device
    device text NOT NULL,           -- its name
    client text NOT NULL,           -- name and version of its program
    first integer NOT NULL,         -- when it was registered, ms since 1970
    since integer NOT NULL,         -- the generation under which it was registered
    used integer NOT NULL,          -- when it was used last, ms since 1970
    online integer NOT NULL,        -- 1: it is logged in
    generation integer NOT NULL,    -- grows with each log-in; removals by older ones are refused
    position integer NOT NULL,      -- the id up to which it has acknowledged the inbox
    bytes integer NOT NULL,         -- chat_inbox.bytes there
    shown integer NOT NULL,         -- the last id that it was shown up to there
    serial integer NOT NULL,        -- that message's serial; 0: it is not known
    PRIMARY KEY (uid, device)
) WITHOUT ROWID;

-- What this changes, for one line of the server's log: users and messages.
INSERT OR IGNORE INTO chat_setting
    SELECT 'upgraded', users || ' ' || waiting
    FROM (SELECT count(*) AS users, sum(last_id - acknowledged) AS waiting FROM chat_reader WHERE newest = 0)
    WHERE users > 0;

-- One counter of generations for each user, and each user's unnamed device at what was acknowledged. It counts as logged
-- in until the server starts.
UPDATE chat_reader SET
    newest = max(generation, coalesce((SELECT max(generation) FROM chat_generation WHERE uid = chat_reader.uid), 0)),
    unnamed_behind = 0
    WHERE newest = 0;
INSERT OR IGNORE INTO chat_reader (uid, newest) SELECT uid, max(generation) FROM chat_generation GROUP BY uid;

-- The serial given out last.
INSERT OR IGNORE INTO chat_setting VALUES ('serial', '0');

-- The serial of the message `id`.
ALTER TABLE chat_sending ADD COLUMN serial integer NOT NULL DEFAULT 0;
