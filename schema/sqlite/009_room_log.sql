-- Rooms' logs: their newest messages and events, and who is in a room at this point of its log.

CREATE TABLE IF NOT EXISTS chat_room_log (
    room integer NOT NULL,          -- whose log
    id integer NOT NULL,            -- 1, 2, 3, … for each room, messages and events together
    serial integer NOT NULL,        -- names it in the whole service, and grows in each log
    version integer NOT NULL,       -- of an event: the room's version with it; 0: it is a message
    bytes integer NOT NULL,         -- of names and texts that the log has taken up to this one: two rows tell what lies between
    sender integer NOT NULL,        -- the uid of the message's sender, or of who made the change
    at integer NOT NULL,            -- when it was accepted, ms since 1970
    device text NOT NULL,           -- the device that is not handed the message; '-': the unnamed one; empty: none
    name text NOT NULL,             -- the sender's name when it was sent; of an event: its user's
    text text NOT NULL,             -- the message; of an event: JSON of which it is, the user's uid and the details
    PRIMARY KEY (room, id)
) WITHOUT ROWID;

-- Where the event of a version stands.
CREATE INDEX IF NOT EXISTS chat_room_log_version ON chat_room_log (room, version) WHERE version > 0;

CREATE TABLE IF NOT EXISTS chat_room_log_state (
    room integer PRIMARY KEY,       -- whose log
    version integer NOT NULL,       -- that of the room with the last event in the log
    front integer NOT NULL,         -- the id before the first entry that is kept
    last integer NOT NULL,          -- the id given out last
    serial integer NOT NULL,        -- the serial given out last, for a log that was begun anew: in the whole service
    bytes integer NOT NULL,         -- chat_room_log.bytes at `last`
    bytes_front integer NOT NULL,   -- and at `front`
    refused text NOT NULL           -- JSON: versions of the last invitations that an inbox was too full for
);

-- Who may send into a room: the members at the end of its log.
CREATE TABLE IF NOT EXISTS chat_room_role (
    room integer NOT NULL,
    uid integer NOT NULL,
    role text NOT NULL,
    PRIMARY KEY (room, uid)
) WITHOUT ROWID;

-- As chat_sending has them for inboxes.
CREATE TABLE IF NOT EXISTS chat_room_sending (
    room integer NOT NULL,          -- into which room
    sender integer NOT NULL,        -- a sender's uid
    device text NOT NULL,           -- one of the sender's devices
    n integer NOT NULL,             -- the number of its message accepted last
    id integer NOT NULL,            -- and that message's id
    used integer NOT NULL,          -- when that was, ms since 1970
    digests text NOT NULL,          -- 6 hexadecimal digits of the SHA-256 of each of its last 64 texts, up to number n
    serial integer NOT NULL,        -- the serial of the message `id`
    PRIMARY KEY (room, sender, device)
) WITHOUT ROWID;

-- How far an account has acknowledged a room's log.
CREATE TABLE IF NOT EXISTS chat_room_position (
    uid integer NOT NULL,
    room integer NOT NULL,
    id integer NOT NULL,
    serial integer NOT NULL,        -- that of the entry `id`, or one below it
    PRIMARY KEY (uid, room)
) WITHOUT ROWID;

-- Of an invitation: 'i7:dev', the room's number and name; of the note that the user has joined a room: 'j7:121:SERIAL',
-- its number, the event's id and serial. Such a note is no message; it counts as a copy.
ALTER TABLE chat_inbox ADD COLUMN mark text NOT NULL DEFAULT '';

-- The serial given out last when the device was registered; 0: it is not known.
ALTER TABLE chat_registered ADD COLUMN registered_at integer NOT NULL DEFAULT 0;
