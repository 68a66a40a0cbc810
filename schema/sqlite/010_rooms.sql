-- Rooms and who belongs to them. Each change of a room is one transaction, which also makes its version greater by one
-- and writes down an event with that version; the room's log, beside the messages that wait, follows these events.
CREATE TABLE IF NOT EXISTS chat_room (
    -- The room's number, never given out again: the row of a closed room stays.
    room INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The name as it is shown.
    name TEXT NOT NULL,
    -- What two names are compared by, in UTF-8; null once the room is closed, for its name is free then.
    folded BLOB UNIQUE,
    -- What it is about, 512 bytes of UTF-8 at most.
    topic TEXT NOT NULL,
    -- public: listed, and anybody may join; private: by invitation.
    kind TEXT NOT NULL,
    -- What members may read of the time before they joined: all, or joined (nothing).
    history TEXT NOT NULL,
    -- That of the last change, counted from 1.
    version INTEGER NOT NULL,
    -- How many rows of chat_member it has.
    members INTEGER NOT NULL,
    -- When it was made, ms since 1970.
    created INTEGER NOT NULL,
    -- The version that closed it; null: it is open.
    closed INTEGER
);

CREATE INDEX IF NOT EXISTS chat_room_kind ON chat_room (kind, room);

CREATE TABLE IF NOT EXISTS chat_member (
    room INTEGER NOT NULL,
    -- Who belongs to it; no row of user, once another program has deleted that.
    uid INTEGER NOT NULL,
    -- owner, moderator or member.
    role TEXT NOT NULL,
    -- The room's version at the joining: the smaller, the longer a member.
    version INTEGER NOT NULL,
    -- When that was, ms since 1970.
    since INTEGER NOT NULL,
    PRIMARY KEY (room, uid)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS chat_member_uid ON chat_member (uid, room);

-- Who may not join.
CREATE TABLE IF NOT EXISTS chat_ban (
    room INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    -- Who said so, and when, ms since 1970.
    actor INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (room, uid)
) WITHOUT ROWID;

-- Who was invited and has not joined since. An invitation admits for 30 days, once.
CREATE TABLE IF NOT EXISTS chat_invitation (
    room INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    -- Who has invited, and when, ms since 1970.
    actor INTEGER NOT NULL,
    at INTEGER NOT NULL,
    -- The room's version that brought it.
    version INTEGER NOT NULL,
    PRIMARY KEY (room, uid)
) WITHOUT ROWID;

-- What has changed in rooms, in the order of versions.
CREATE TABLE IF NOT EXISTS chat_room_event (
    room INTEGER NOT NULL,
    version INTEGER NOT NULL,
    -- When, ms since 1970.
    at INTEGER NOT NULL,
    -- created, joined, left, removed, role, changed, closed: those have an entry in the room's log; invited, withdrawn,
    -- banned, unbanned, raised have none.
    event TEXT NOT NULL,
    -- Who has done it; 0: somebody at the server's own shell.
    actor INTEGER NOT NULL,
    -- Whom it is about; 0: nobody.
    uid INTEGER NOT NULL,
    -- The name of whom it is about, or else of who has done it, as it was then.
    name TEXT NOT NULL,
    -- A JSON object: what else belongs to it, such as the new role.
    details TEXT NOT NULL,
    -- Its id in the room's log; 0: it has no entry there. Null: the log does not have it yet.
    id INTEGER,
    -- Its serial there; null: the log does not have it yet.
    serial INTEGER,
    PRIMARY KEY (room, version)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS chat_room_event_unfinished ON chat_room_event (room, version) WHERE serial IS NULL;
CREATE INDEX IF NOT EXISTS chat_room_event_uid ON chat_room_event (uid, room, version);
