/* What a client says and hears, in the text dialect and the structured one; the latter is searched, not parsed. */
#define _GNU_SOURCE
#include "load.h"

#include <stdlib.h>
#include <string.h>

enum { DATE = 20 }; /* bytes before what is said in the text dialect: a date and a new line */

static bool begins(const char *frame, size_t size, const char *with)
{
    size_t length = strlen(with);
    return size >= length && !memcmp(frame, with, length);
}

/* The whole number after some words; -1: they are not there. */
static long number_after(const char *frame, size_t size, const char *words)
{
    const char *found = memmem(frame, size, words, strlen(words)), *end = frame + size;
    long number = 0;
    if (!found)
        return -1;
    for (found += strlen(words); found < end && *found >= '0' && *found <= '9'; found++)
        number = 10 * number + (*found - '0');
    return number;
}

static uint64_t stamp_in(const char *frame, size_t size)
{
    const char *at = memrchr(frame, '@', size);
    uint64_t stamp = 0;
    if (!at || frame + size - at <= STAMP_DIGITS)
        return 0;
    for (int i = 1; i <= STAMP_DIGITS; i++)
        stamp = stamp << 4 | (uint64_t)(at[i] <= '9' ? at[i] - '0' : at[i] - 'a' + 10);
    return stamp;
}

static struct heard understand_structured(const char *frame, size_t size)
{
    struct heard heard = {.kind = TROUBLE};
    if (begins(frame, size, "{\"type\":\"msg\"")) {
        heard.kind = DELIVERY;
        heard.from = number_after(frame, size, "\"from\":");
        heard.id = number_after(frame, size, "\"id\":");
        heard.serial = number_after(frame, size, "\"serial\":");
        heard.stamp = stamp_in(frame, size);
    } else if (begins(frame, size, "{\"type\":\"sent\""))
        heard.kind = CONFIRMATION;
    else if (begins(frame, size, "{\"type\":\"ok\""))
        heard.kind = LOGGED_IN;
    else if (begins(frame, size, "{\"type\":\"synced\""))
        heard.kind = SYNCED;
    else if (begins(frame, size, "{\"type\":\"welcome\"") || begins(frame, size, "{\"type\":\"room\"") ||
             begins(frame, size, "{\"type\":\"event\""))
        heard.kind = NEWS;
    return heard;
}

static struct heard understand_text(const struct line *line, const char *frame, size_t size)
{
    struct heard heard = {.kind = TROUBLE};
    if (begins(frame, size, "* #") || (size > DATE && frame[DATE] == '*')) /* who has joined a room, what is not shown */
        return (struct heard){.kind = NEWS};
    heard.from = number_after(frame, size, "|UID:");
    if (heard.from == line->uid)
        heard.kind = CONFIRMATION;
    else if (heard.from >= 0) {
        heard.kind = DELIVERY;
        heard.stamp = stamp_in(frame, size);
    } else if (begins(frame, size, "认证成功!"))
        heard.kind = LOGGED_IN;
    return heard;
}

struct heard understand(const struct line *line, const char *frame, size_t size)
{
    if (line->state == GREETED)
        return (struct heard){.kind = begins(frame, size, "请登陆!") ? GREETING : TROUBLE};
    return line->structured ? understand_structured(frame, size) : understand_text(line, frame, size);
}

static const char *features(const struct options *options)
{
    static const char *words[] = {"", ",\"features\":[\"devices\"]", ",\"features\":[\"devices\",\"rooms\"]"};
    return words[options->features];
}

/* The end of a log-in: how far the line has read the room. A device that says nothing of it begins where it was
   registered; without this, it would begin where the account has acknowledged, at the first joining in these runs. */
static int put_position(const struct crowd *crowd, const struct line *line, char *frame, size_t room)
{
    if (crowd->options->features < 2)
        return snprintf(frame, room, "}");
    if (*crowd->options->positions)
        return snprintf(frame, room, ",\"rooms\":%s}", crowd->options->positions);
    if (!line->last_serial)
        return snprintf(frame, room, ",\"rooms\":{}}");
    return snprintf(frame, room, ",\"rooms\":{\"%ld\":[%ld,%ld]}}", crowd->options->room, line->last_id,
                    line->last_serial);
}

void say_auth(struct crowd *crowd, struct line *line)
{
    char frame[MOST_FRAME];
    const char *token = crowd->tokens ? crowd->tokens[line->uid - crowd->options->tokens_uid] : NULL;
    int size;
    if (line->structured) {
        size = snprintf(frame, sizeof frame,
                        "{\"type\":\"hello\",\"version\":1,\"client\":\"load/1\",\"device\":\"%.30s%02lx\"%s}", crowd->device,
                        line->screen & 255, features(crowd->options));
        line_say(crowd, line, frame, (size_t)size);
        size = snprintf(frame, sizeof frame, "{\"type\":\"auth\",\"n\":1,\"uid\":%ld,\"%s\":\"%s\"", line->uid,
                        token ? "token" : "password", token ? token : crowd->options->password);
        size += put_position(crowd, line, frame + size, sizeof frame - (size_t)size);
    } else
        size = snprintf(frame, sizeof frame, "auth %ld %s", line->uid, crowd->options->password);
    line_say(crowd, line, frame, (size_t)size);
}

/* A text of `size` bytes that ends with @ and the time at which it was due, ns in hexadecimal. */
static int put_text(char *text, long size, uint64_t due)
{
    long filler = size - STAMP_DIGITS - 1;
    if (filler > 0)
        memset(text, 'x', (size_t)filler);
    else
        filler = 0;
    return (int)filler + sprintf(text + filler, "@%016llx", (unsigned long long)due);
}

/* What comes before the text of a message: who it is for, a user or a room. */
static int put_reader(const struct options *options, const struct line *line, char *frame)
{
    bool room = *options->room_name;
    if (line->structured)
        return sprintf(frame, "{\"type\":\"msg\",\"n\":%ld,\"%s\":%ld,\"text\":\"", line->n, room ? "room" : "to",
                       room ? options->room : line->to);
    return room ? sprintf(frame, "msg #%s ", options->room_name) : sprintf(frame, "msg %ld ", line->to);
}

void say_message(struct crowd *crowd, struct line *line, uint64_t due)
{
    char frame[MOST_FRAME];
    int size;
    line->n++;
    line->sent++;
    size = put_reader(crowd->options, line, frame);
    size += put_text(frame + size, crowd->run.size ? crowd->run.size : crowd->options->size, due);
    if (line->structured)
        size += sprintf(frame + size, "\"}");
    line_say(crowd, line, frame, (size_t)size);
}

void say_ack(struct crowd *crowd, struct line *line)
{
    char frame[64];
    long room = crowd->options->room;
    int size = room ? snprintf(frame, sizeof frame, "{\"type\":\"ack\",\"room\":%ld,\"id\":%ld}", room, line->last_id)
                    : snprintf(frame, sizeof frame, "{\"type\":\"ack\",\"id\":%ld}", line->last_id);
    line->unacknowledged = 0;
    line_say(crowd, line, frame, (size_t)size);
}
