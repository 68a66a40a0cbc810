-- Rooms and who belongs to them. Each change of a room is one transaction, which also makes its version greater by one
-- and writes down an event with that version; the room's log, beside the messages that wait, follows these events.
CREATE TABLE IF NOT EXISTS chat_room (
    -- The room's number, never given out again: the row of a closed room stays.
    room BIGINT AUTO_INCREMENT PRIMARY KEY,
    -- The name as it is shown.
    name VARCHAR(32) NOT NULL,
    -- What two names are compared by, in UTF-8; null once the room is closed, for its name is free then.
    folded VARBINARY(255),
    -- What it is about, 512 bytes of UTF-8 at most.
    topic VARCHAR(512) NOT NULL,
    -- public: listed, and anybody may join; private: by invitation.
    kind VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- What members may read of the time before they joined: all, or joined (nothing).
    history VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- That of the last change, counted from 1.
    version BIGINT NOT NULL,
    -- How many rows of chat_member it has.
    members INT NOT NULL,
    -- When it was made, ms since 1970.
    created BIGINT NOT NULL,
    -- The version that closed it; null: it is open.
    closed BIGINT,
    UNIQUE KEY chat_room_folded (folded),
    KEY chat_room_kind (kind, room)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4;

CREATE TABLE IF NOT EXISTS chat_member (
    room BIGINT NOT NULL,
    -- Who belongs to it; no row of user, once another program has deleted that.
    uid BIGINT NOT NULL,
    -- owner, moderator or member.
    role VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- The room's version at the joining: the smaller, the longer a member.
    version BIGINT NOT NULL,
    -- When that was, ms since 1970.
    since BIGINT NOT NULL,
    PRIMARY KEY (room, uid),
    KEY chat_member_uid (uid, room)
) ENGINE = InnoDB;

-- Who may not join.
CREATE TABLE IF NOT EXISTS chat_ban (
    room BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    -- Who said so, and when, ms since 1970.
    actor BIGINT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (room, uid)
) ENGINE = InnoDB;

-- Who was invited and has not joined since. An invitation admits for 30 days, once.
CREATE TABLE IF NOT EXISTS chat_invitation (
    room BIGINT NOT NULL,
    uid BIGINT NOT NULL,
    -- Who has invited, and when, ms since 1970.
    actor BIGINT NOT NULL,
    at BIGINT NOT NULL,
    -- The room's version that brought it.
    version BIGINT NOT NULL,
    PRIMARY KEY (room, uid)
) ENGINE = InnoDB;

-- What has changed in rooms, in the order of versions.
CREATE TABLE IF NOT EXISTS chat_room_event (
    room BIGINT NOT NULL,
    version BIGINT NOT NULL,
    -- When, ms since 1970.
    at BIGINT NOT NULL,
    -- created, joined, left, removed, role, changed, closed: those have an entry in the room's log; invited, withdrawn,
    -- banned, unbanned, raised have none.
    event VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- Who has done it; 0: somebody at the server's own shell.
    actor BIGINT NOT NULL,
    -- Whom it is about; 0: nobody.
    uid BIGINT NOT NULL,
    -- The name of whom it is about, or else of who has done it, as it was then.
    name VARCHAR(64) NOT NULL,
    -- A JSON object: what else belongs to it, such as the new role.
    details MEDIUMTEXT NOT NULL,
    -- Its id in the room's log; 0: it has no entry there. Null: the log does not have it yet.
    id BIGINT,
    -- Its serial there; null: the log does not have it yet.
    serial BIGINT,
    PRIMARY KEY (room, version),
    KEY chat_room_event_unfinished (serial, room, version),
    KEY chat_room_event_uid (uid, room, version)
) ENGINE = InnoDB DEFAULT CHARACTER SET = utf8mb4;
