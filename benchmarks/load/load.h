/* A crowd of TLS connections ("lines") in one process and one epoll loop, which talk, log in or drain. */
#ifndef LOAD_H
#define LOAD_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { MOST_WATCHED = 64, STAMP_DIGITS = 16, MOST_FRAME = 65535 };

/* Words of the command line, NAME=VALUE. */
struct options {
    long port;
    const char *ca;       /* the certificate to trust */
    const char *dialect;  /* of the lines that talk: text or structured */
    const char *password; /* of everybody */
    const char *tokens;   /* file with one token a line; "": passwords */
    long tokens_uid;      /* whose the first token is */
    const char *positions; /* JSON: what members say of all rooms at their log-in; "": what they have read of the room */
    const char *watch;    /* processes whose CPU is counted, PID,PID */
    long uid;             /* of the first line; the others count up from it */
    long lines;           /* connections that talk */
    long idle;            /* connections that are logged in and silent, structured if there are tokens */
    long features;        /* 1: structured lines are registered devices; 2: and read rooms */
    long screens;         /* devices, each with a line, of everybody who reads */
    long one_way;         /* 1: lines 0, 2, … write to lines 1, 3, …, who only read */
    long to;              /* everybody writes to this uid; 0: lines write to each other in pairs */
    long away;            /* 1: line i writes to uid + lines, who is not here */
    long accounts;        /* log-ins go round so many accounts */
    long size;            /* bytes of a text */
    long room;            /* number of the room into which structured lines write */
    const char *room_name; /* the room's name, for text lines; "": lines write to users */
    long writers;         /* lines that write into the room: the first ones; all are members */
    long buffer;          /* bytes that the socket of a line that writes nothing keeps for it; 0: as the system likes */
    long spare;           /* the port to which a line goes in turns when it was lost; every second one begins there */
    long until_synced;    /* 1: a log-in is over when all was handed over, not when it is confirmed */
    long gather;          /* 1: what a line has to say at once leaves in one TLS record; 0: each frame in its own */
    long at_once;         /* connections that may be on their way in */
    long ack_every;       /* structured: acknowledge every so many messages… */
    long ack_ms;          /* …or after so long */
    long patience;        /* seconds that connecting, or draining, may take */
};

/* One command of the standard input, or of a mode that obeys none. */
struct run {
    double seconds;  /* of the measured window */
    double warm;     /* before it */
    double rate;     /* messages a second of all lines together; 0: as fast as answers come */
    long flight;     /* messages that each line keeps under way */
    long burst;      /* 1: the next ones leave when all of the last ones have arrived */
    long messages;   /* the window ends when so many are confirmed or read; 0: no such end */
    long size;       /* bytes of a text; 0: as the command line says */
    long paused;     /* so many lines, the last ones, do not read from now on */
    long acks;       /* 0: nothing in rooms is acknowledged */
};

struct bytes {
    char *data;
    size_t start, end, room;
};

enum state { CLOSED, CONNECTING, SHAKING, GREETED, HELD, ENTERING, IN };

struct line {
    int fd;
    SSL *ssl;
    enum state state;
    bool structured, dirty, wants_write, paused;
    long index, uid, port;
    long screen; /* which of its user's devices it is; the first one talks */
    struct bytes in, out;
    uint64_t began; /* when it began to connect, ns */
    /* Talk. */
    long to, n, sent, confirmed, delivered;
    bool online; /* its reader is one of the lines: a message is under way until it was delivered */
    long last_id, last_serial, unacknowledged;
};

enum kind { GREETING, LOGGED_IN, DELIVERY, CONFIRMATION, NEWS, SYNCED, TROUBLE };

struct heard {
    enum kind kind;
    long from, id, serial;
    uint64_t stamp; /* when a delivered message was due, ns; 0: it does not say */
};

/* Powers of two, each in 64 steps: times in ns within 2 %. */
struct histogram {
    uint64_t count[64 * 64], total, most;
};

struct crowd {
    const struct options *options;
    SSL_CTX *tls;
    int epoll;
    struct line *lines;
    long size;
    struct line **dirty;
    long dirty_count;
    char **tokens;
    char device[33];
    long opened, coming, in, troubles;
    bool hold; /* greeted lines wait before they log in */
    void (*heard)(struct crowd *, struct line *, const struct heard *);
    struct run run;
    bool sending;
    uint64_t ends; /* when the window ends, ns */
    long deliveries, confirmations, to_come, closed;
    long heard_count; /* frames of all lines */
    struct histogram times;
};

/* figures.c */
struct usage {
    double at, own, watched[MOST_WATCHED]; /* seconds of the clock, and of CPU */
    int count;
};
uint64_t now_ns(void);
void note_time(struct histogram *, uint64_t ns);
double time_at(const struct histogram *, double share);
struct usage usage_now(const char *watch);
void say_usage(FILE *, const struct usage *before, const struct usage *after);
void say_times(FILE *, const struct histogram *);
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* options.c */
struct options read_options(int count, char **words);
struct run read_run(char *words);

/* line.c */
void line_open(struct crowd *, struct line *);
void line_close(struct crowd *, struct line *);
void line_event(struct crowd *, struct line *, uint32_t events);
void line_say(struct crowd *, struct line *, const char *frame, size_t size);
void line_flush(struct crowd *, struct line *);
void line_pause(struct crowd *, struct line *, bool paused);

/* dialect.c */
struct heard understand(const struct line *, const char *frame, size_t size);
void say_auth(struct crowd *, struct line *);
void say_message(struct crowd *, struct line *, uint64_t due);
void say_ack(struct crowd *, struct line *);

/* crowd.c */
long more_screens(const struct options *);
void crowd_make(struct crowd *, const struct options *, long size);
void crowd_turn(struct crowd *, uint64_t until);
void crowd_enter(struct crowd *);
void crowd_quiet(struct crowd *, uint64_t silence, uint64_t most);
void crowd_hear(struct crowd *, struct line *, const char *frame, size_t size);

/* The modes: talk.c, login.c, drain.c, room.c, members.c */
void talk(const struct options *);
void login(const struct options *);
void drain(const struct options *);
void room(const struct options *);
void members(const struct options *);

#endif
