/* NAME=VALUE words to numbers and texts. */
#include "load.h"

#include <stdlib.h>
#include <string.h>

struct name {
    const char *name;
    long *number;
    double *real;
    const char **text;
};

static void set(const struct name *names, char *word)
{
    char *value = strchr(word, '=');
    if (!value)
        die("%s: write NAME=VALUE", word);
    *value++ = 0;
    for (; names->name; names++) {
        if (strcmp(names->name, word))
            continue;
        if (names->number)
            *names->number = strtol(value, NULL, 10);
        else if (names->real)
            *names->real = strtod(value, NULL);
        else
            *names->text = value;
        return;
    }
    die("%s: no such option", word);
}

struct options read_options(int count, char **words)
{
    struct options o = {
        .ca = "", .dialect = "text", .password = "x", .tokens = "", .watch = "", .room_name = "",
        .positions = "", .lines = 40, .accounts = 1000, .screens = 1, .size = 64, .at_once = 32, .ack_every = 16, .ack_ms = 50, .patience = 120,
    };
    const struct name names[] = {
        {"port", .number = &o.port}, {"ca", .text = &o.ca}, {"dialect", .text = &o.dialect},
        {"password", .text = &o.password}, {"tokens", .text = &o.tokens}, {"watch", .text = &o.watch},
        {"tokens_uid", .number = &o.tokens_uid}, {"uid", .number = &o.uid}, {"lines", .number = &o.lines}, {"idle", .number = &o.idle},
        {"features", .number = &o.features}, {"screens", .number = &o.screens}, {"one_way", .number = &o.one_way},
        {"to", .number = &o.to}, {"away", .number = &o.away}, {"accounts", .number = &o.accounts},
        {"room", .number = &o.room}, {"room_name", .text = &o.room_name}, {"writers", .number = &o.writers},
        {"positions", .text = &o.positions},
        {"buffer", .number = &o.buffer}, {"spare", .number = &o.spare}, {"until_synced", .number = &o.until_synced},
        {"size", .number = &o.size}, {"gather", .number = &o.gather},
        {"at_once", .number = &o.at_once}, {"ack_every", .number = &o.ack_every},
        {"ack_ms", .number = &o.ack_ms}, {"patience", .number = &o.patience}, {0},
    };
    for (int i = 0; i < count; i++)
        set(names, words[i]);
    if (!o.port || !*o.ca || !o.uid)
        die("port, ca and uid are needed");
    return o;
}

struct run read_run(char *words)
{
    struct run r = {.seconds = 5, .warm = 1, .flight = 1, .acks = 1};
    const struct name names[] = {
        {"seconds", .real = &r.seconds}, {"warm", .real = &r.warm}, {"rate", .real = &r.rate},
        {"flight", .number = &r.flight}, {"burst", .number = &r.burst}, {"messages", .number = &r.messages},
        {"size", .number = &r.size}, {"paused", .number = &r.paused}, {"acks", .number = &r.acks}, {0},
    };
    for (char *word = strtok(words, " \n"); word; word = strtok(NULL, " \n"))
        set(names, word);
    return r;
}
