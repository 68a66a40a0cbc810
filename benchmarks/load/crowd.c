/* All lines of one process: their epoll loop and their way in. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <time.h>

enum { EVENTS = 128 };

static SSL_CTX *trusting(const char *ca)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (!tls || !SSL_CTX_load_verify_locations(tls, ca, NULL))
        die("%s: no certificate", ca);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_read_ahead(tls, 1);
    SSL_CTX_set_mode(tls, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    return tls;
}

/* One token a line of the file, the first for the first uid. */
static char **read_tokens(const char *path)
{
    FILE *file = fopen(path, "r");
    char **tokens = NULL, *line = NULL;
    size_t count = 0, room = 0;
    if (!file)
        die("%s: %s", path, strerror(errno));
    while (getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = 0;
        tokens = realloc(tokens, ++count * sizeof *tokens);
        tokens[count - 1] = strdup(line);
    }
    free(line);
    fclose(file);
    return tokens;
}

static void choose_device(char *device)
{
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        die("no random bytes");
    for (size_t i = 0; i < sizeof random; i++)
        sprintf(device + 2 * i, "%02x", random[i]);
}

/* Those who have further devices: all who read. */
static long readers(const struct options *options)
{
    return options->one_way ? options->lines / 2 : options->lines;
}

/* The lines of devices beside everybody's first. */
long more_screens(const struct options *options)
{
    return (options->screens - 1) * readers(options);
}

/* Lines that talk, then further devices of those who read, then silent ones. */
static void name_line(const struct options *options, struct line *line, long i)
{
    long more = more_screens(options), beyond = i - options->lines;
    line->index = i;
    line->uid = options->uid + i;
    if (beyond >= more)
        line->uid -= more;
    else if (beyond >= 0) {
        long reader = beyond % readers(options);
        line->screen = 1 + beyond / readers(options);
        line->uid = options->uid + (options->one_way ? 2 * reader + 1 : reader);
    }
}

void crowd_make(struct crowd *crowd, const struct options *options, long size)
{
    *crowd = (struct crowd){.options = options, .size = size, .tls = trusting(options->ca)};
    crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
    crowd->lines = calloc((size_t)size, sizeof *crowd->lines);
    crowd->dirty = calloc((size_t)size, sizeof *crowd->dirty);
    if (*options->tokens)
        crowd->tokens = read_tokens(options->tokens);
    choose_device(crowd->device);
    for (long i = 0; i < size; i++) {
        struct line *line = &crowd->lines[i];
        name_line(options, line, i);
        line->port = options->port;
        line->structured = i < options->lines + more_screens(options) ? !strcmp(options->dialect, "structured") : crowd->tokens != NULL;
    }
}

static void flush_dirty(struct crowd *crowd)
{
    for (long i = 0; i < crowd->dirty_count; i++) {
        crowd->dirty[i]->dirty = false;
        line_flush(crowd, crowd->dirty[i]);
    }
    crowd->dirty_count = 0;
}

/* Say what was to be said, and hear what has come, or comes before a moment (ns). */
void crowd_turn(struct crowd *crowd, uint64_t until)
{
    struct epoll_event events[EVENTS];
    flush_dirty(crowd);
    uint64_t now = now_ns(), wait = until > now ? until - now : 0;
    struct timespec time = {(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
    int count = epoll_pwait2(crowd->epoll, events, EVENTS, &time, NULL);
    if (count < 0 && errno != EINTR)
        die("epoll_pwait2: %s", strerror(errno));
    for (int i = 0; i < count; i++) {
        struct line *line = events[i].data.ptr;
        if (line && line->state != CLOSED)
            line_event(crowd, line, events[i].events);
    }
    flush_dirty(crowd);
}

/* Hear until nothing has come for so long, ns, or until the longest wait is over. */
void crowd_quiet(struct crowd *crowd, uint64_t silence, uint64_t most)
{
    uint64_t deadline = now_ns() + most, silent_since = now_ns();
    while (now_ns() < deadline && now_ns() - silent_since < silence) {
        long before = crowd->heard_count;
        crowd_turn(crowd, silent_since + silence);
        if (crowd->heard_count != before)
            silent_since = now_ns();
    }
}

void crowd_hear(struct crowd *crowd, struct line *line, const char *frame, size_t size)
{
    struct heard heard = understand(line, frame, size);
    crowd->heard_count++;
    if (heard.kind == GREETING) {
        line->state = crowd->hold ? HELD : ENTERING;
        if (!crowd->hold)
            say_auth(crowd, line);
        return;
    }
    if (heard.kind == LOGGED_IN) {
        line->state = IN;
        crowd->coming--;
        crowd->in++;
    }
    if (heard.kind == TROUBLE && crowd->troubles++ == 0)
        fprintf(stderr, "uid %ld heard: %.*s\n", line->uid, (int)size, frame);
    if (crowd->heard)
        crowd->heard(crowd, line, &heard);
}

/* Connect all lines, a few at once, until they are logged in (or held before that). */
void crowd_enter(struct crowd *crowd)
{
    uint64_t deadline = now_ns() + (uint64_t)crowd->options->patience * 1000000000u;
    long next = 0, there = 0;
    while (there < crowd->size) {
        long held = 0;
        if (crowd->hold)
            for (long i = 0; i < next; i++)
                held += crowd->lines[i].state == HELD;
        for (; next < crowd->size && crowd->coming - held < crowd->options->at_once; next++)
            line_open(crowd, &crowd->lines[next]);
        crowd_turn(crowd, now_ns() + 100000000u);
        there = crowd->in + held;
        if (now_ns() > deadline || crowd->troubles)
            die("only %ld of %ld lines came in, %ld troubles", there, crowd->size, crowd->troubles);
    }
}
