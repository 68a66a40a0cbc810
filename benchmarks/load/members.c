/*
 * Lines that are members of one room and come back when their server dies, to another one, as docs/protocol.md says.
 * The first line writes; each of the others keeps which messages it was shown. One run, told on standard input.
 */
#include "load.h"

#include <stdlib.h>

#define SECOND 1000000000u

static const uint64_t LAST_ANSWERS = 30ull * SECOND, SILENCE = SECOND / 4, LONGEST_WAIT = 10ull * SECOND;

/* Seconds to wait after a loss; twice as many after each failure. */
static const double FIRST_DELAY = 0.2, LAST_DELAY = 30;

/* Messages of a run at most. */
enum { MOST_MESSAGES = 1 << 16, TURN = SECOND / 100 };

/* What a line's user has seen, and how it came back. */
struct member {
    uint8_t *shown; /* by number of the message: how often */
    long newest, disordered, tries;
    uint64_t again, in, level; /* ns: when it connects again; when it was logged in, and had caught up, after a loss */
    bool lost;
};

static struct member *everybody;
static long shown, lost_lines;

static void note_shown(struct member *member, long number)
{
    if (number <= 0 || number >= MOST_MESSAGES)
        return;
    shown += !member->shown[number];
    if (member->shown[number] < UINT8_MAX)
        member->shown[number]++;
    member->disordered += number < member->newest;
    if (number > member->newest)
        member->newest = number;
}

/* A device drops what is not above the last one that it has shown. */
static void read_message(struct crowd *crowd, struct line *line, const struct heard *heard)
{
    if (heard->id <= line->last_id && heard->serial <= line->last_serial)
        return;
    line->last_id = heard->id;
    line->last_serial = heard->serial;
    note_shown(&everybody[line->index], (long)heard->stamp);
    if (++line->unacknowledged >= crowd->options->ack_every)
        say_ack(crowd, line);
}

static void hear(struct crowd *crowd, struct line *line, const struct heard *heard)
{
    struct member *member = &everybody[line->index];
    if (heard->kind == DELIVERY)
        read_message(crowd, line, heard);
    else if (heard->kind == CONFIRMATION)
        line->confirmed++;
    else if (heard->kind == LOGGED_IN) {
        member->tries = 0;
        member->in = now_ns();
    } else if (heard->kind == SYNCED)
        member->level = now_ns();
}

static uint64_t delay(const struct member *member)
{
    double step = FIRST_DELAY;
    for (long i = 0; i < member->tries && step < LAST_DELAY; i++)
        step *= 2;
    step = step < LAST_DELAY ? step : LAST_DELAY;
    return (uint64_t)(1e9 * step * (0.5 + 0.5 * rand() / RAND_MAX));
}

/* Who was lost waits, then goes to the other server. */
static void bring_back(struct crowd *crowd, struct line *line)
{
    struct member *member = &everybody[line->index];
    if (line->state != CLOSED)
        return;
    if (!member->again) {
        lost_lines += !member->lost;
        member->lost = true;
        member->in = member->level = 0;
        member->again = now_ns() + delay(member);
        member->tries++;
    } else if (member->again <= now_ns()) {
        member->again = 0;
        line->unacknowledged = 0;
        line->port = line->port == crowd->options->port ? crowd->options->spare : crowd->options->port;
        line_open(crowd, line);
    }
}

static void turn(struct crowd *crowd, uint64_t *next_ack, uint64_t until)
{
    uint64_t now = now_ns();
    for (long i = 0; i < crowd->size; i++) {
        struct line *line = &crowd->lines[i];
        bring_back(crowd, line);
        if (*next_ack <= now && line->unacknowledged && line->state == IN)
            say_ack(crowd, line);
    }
    if (*next_ack <= now)
        *next_ack = now + (uint64_t)crowd->options->ack_ms * 1000000u;
    crowd_turn(crowd, now + TURN < until ? now + TURN : until);
}

static bool all_are_level(const struct crowd *crowd)
{
    for (long i = 0; i < crowd->size; i++)
        if (everybody[i].lost && !everybody[i].level)
            return false;
    return true;
}

/* Write at the run's pace, for its time. */
static void write_on(struct crowd *crowd, uint64_t *next_ack)
{
    uint64_t end = now_ns() + (uint64_t)(crowd->run.seconds * 1e9), next = now_ns();
    struct line *writer = &crowd->lines[0];
    while (now_ns() < end && writer->sent < MOST_MESSAGES - 1) {
        for (; next <= now_ns(); next += (uint64_t)(1e9 / crowd->run.rate))
            if (writer->state == IN)
                say_message(crowd, writer, (uint64_t)writer->sent + 1);
        turn(crowd, next_ack, next < end ? next : end);
    }
}

static void settle(struct crowd *crowd, uint64_t *next_ack)
{
    uint64_t deadline = now_ns() + LAST_ANSWERS;
    struct line *writer = &crowd->lines[0];
    while (now_ns() < deadline &&
           (writer->confirmed < writer->sent || shown < writer->sent * (crowd->size - 1) || !all_are_level(crowd)))
        turn(crowd, next_ack, deadline);
    crowd_quiet(crowd, SILENCE, LONGEST_WAIT); /* what comes twice comes late */
}

static double seconds_of(uint64_t ns)
{
    return (double)ns / 1e9;
}

static void tell(const struct crowd *crowd)
{
    long lost = 0, twice = 0, disordered = 0, away = 0, sent = crowd->lines[0].sent;
    uint64_t in = 0, level = 0;
    for (long i = 0; i < crowd->size; i++) {
        const struct member *member = &everybody[i];
        for (long number = 1; i && number <= sent; number++) {
            lost += !member->shown[number];
            twice += member->shown[number] > 1;
        }
        disordered += member->disordered;
        away += member->lost && !member->level;
        if (member->lost && member->in > in)
            in = member->in;
        if (member->lost && member->level > level)
            level = member->level;
    }
    printf("{\"sent\":%ld,\"confirmed\":%ld,\"shown\":%ld,\"lost\":%ld,\"twice\":%ld,\"disordered\":%ld,", sent,
           crowd->lines[0].confirmed, shown, lost, twice, disordered);
    printf("\"cut_off\":%ld,\"away\":%ld,\"in_at\":%.6f,\"level_at\":%.6f,\"troubles\":%ld,", lost_lines, away,
           seconds_of(in), seconds_of(level), crowd->troubles - crowd->closed);
}

void members(const struct options *options)
{
    struct crowd *crowd = malloc(sizeof *crowd);
    char words[1024];
    uint64_t next_ack = 0;
    crowd_make(crowd, options, options->lines);
    crowd->heard = hear;
    everybody = calloc((size_t)crowd->size, sizeof *everybody);
    for (long i = 0; i < crowd->size; i++) {
        everybody[i].shown = calloc(MOST_MESSAGES, 1);
        crowd->lines[i].port = i % 2 ? options->spare : options->port;
    }
    crowd_enter(crowd);
    crowd_quiet(crowd, SILENCE, LONGEST_WAIT);
    printf("{\"lines\":%ld}\n", crowd->in);
    if (!fgets(words, sizeof words, stdin))
        return;
    crowd->run = read_run(words);
    printf("began\n");
    struct usage before = usage_now(options->watch);
    write_on(crowd, &next_ack);
    struct usage after = usage_now(options->watch);
    settle(crowd, &next_ack);
    tell(crowd);
    say_usage(stdout, &before, &after);
    printf("}\n");
}
