/* Lines that write to each other, or to somebody who is away; runs are told on standard input, one a line. */
#include "load.h"

#include <stdlib.h>
#include <string.h>

#define SECOND 1000000000u

static const uint64_t LAST_ANSWERS = 10ull * SECOND;

/* How often a message is handed out: to each device of its reader, and to the other devices of its sender. */
static long showings(const struct options *options)
{
    return options->screens + (options->one_way ? 0 : options->screens - 1);
}

static long under_way(const struct crowd *crowd, const struct line *line)
{
    long answered = line->confirmed, delivered = line->delivered / showings(crowd->options);
    if (line->online && delivered < answered)
        answered = delivered;
    return line->sent - answered;
}

/* Keep as many messages under way as the run says. */
static void fill(struct crowd *crowd, struct line *line)
{
    const struct run *run = &crowd->run;
    if (!crowd->sending || run->rate || !line->to || line->state != IN)
        return;
    if (run->burst && under_way(crowd, line))
        return;
    for (long i = under_way(crowd, line); i < run->flight && (!run->messages || crowd->to_come); i++) {
        crowd->to_come -= run->messages != 0;
        say_message(crowd, line, now_ns());
    }
}

static void delivered(struct crowd *crowd, struct line *reader, const struct heard *heard)
{
    long writer = heard->from - crowd->options->uid;
    crowd->deliveries++;
    if (heard->stamp)
        note_time(&crowd->times, now_ns() - heard->stamp);
    if (reader->structured) {
        reader->last_id = heard->id;
        if (++reader->unacknowledged >= crowd->options->ack_every)
            say_ack(crowd, reader);
    }
    if (writer >= 0 && writer < crowd->options->lines) {
        crowd->lines[writer].delivered++;
        fill(crowd, &crowd->lines[writer]);
    }
}

static void hear(struct crowd *crowd, struct line *line, const struct heard *heard)
{
    if (heard->kind == DELIVERY)
        delivered(crowd, line, heard);
    else if (heard->kind == CONFIRMATION) {
        line->confirmed++;
        crowd->confirmations++;
        fill(crowd, line);
    }
}

static void choose_readers(struct crowd *crowd)
{
    const struct options *o = crowd->options;
    for (long i = 0; i < o->lines; i++) {
        struct line *line = &crowd->lines[i];
        line->to = o->to ? o->to : o->away ? line->uid + o->lines : o->uid + (i ^ 1);
        line->online = line->to >= o->uid && line->to < o->uid + o->lines;
        if (line->to == line->uid || (!o->to && !o->away && !line->online) || (o->one_way && i % 2))
            line->to = 0; /* the hot reader, one left over, or one who only reads */
    }
}

static void acknowledge_all(struct crowd *crowd)
{
    for (long i = 0; i < crowd->options->lines + more_screens(crowd->options); i++)
        if (crowd->lines[i].unacknowledged && crowd->lines[i].state == IN)
            say_ack(crowd, &crowd->lines[i]);
}

static long all_under_way(const struct crowd *crowd)
{
    long sum = 0;
    for (long i = 0; i < crowd->options->lines; i++)
        sum += under_way(crowd, &crowd->lines[i]);
    return sum;
}

/* The clock of a run: what is due, and when. */
struct pace {
    uint64_t next_ack, next_message;
    long next_line;
};

static struct line *next_writer(struct crowd *crowd, struct pace *pace)
{
    for (long tries = 0; tries < crowd->options->lines; tries++) {
        struct line *line = &crowd->lines[pace->next_line++ % crowd->options->lines];
        if (line->to && line->state == IN)
            return line;
    }
    return NULL;
}

/* Say what is due by now at a fixed rate. */
static void keep_pace(struct crowd *crowd, struct pace *pace)
{
    uint64_t now = now_ns();
    while (crowd->sending && crowd->run.rate && pace->next_message <= now) {
        struct line *line = next_writer(crowd, pace);
        if (!line)
            return;
        say_message(crowd, line, pace->next_message);
        pace->next_message += (uint64_t)(1e9 / crowd->run.rate);
    }
}

static void turn(struct crowd *crowd, struct pace *pace, uint64_t until)
{
    keep_pace(crowd, pace);
    if (pace->next_ack <= now_ns()) {
        acknowledge_all(crowd);
        pace->next_ack = now_ns() + (uint64_t)crowd->options->ack_ms * 1000000u;
    }
    if (pace->next_ack < until)
        until = pace->next_ack;
    if (crowd->sending && crowd->run.rate && pace->next_message < until)
        until = pace->next_message;
    crowd_turn(crowd, until);
}

static bool complete(const struct crowd *crowd)
{
    return crowd->run.messages && !crowd->to_come && !all_under_way(crowd);
}

static void spend(struct crowd *crowd, struct pace *pace, double seconds)
{
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    while (now_ns() < end && !complete(crowd))
        turn(crowd, pace, end);
}

/* Stop writing and wait until everything has arrived; how many messages did not. */
static long settle(struct crowd *crowd, struct pace *pace)
{
    uint64_t deadline = now_ns() + LAST_ANSWERS;
    long missing;
    crowd->sending = false;
    while ((missing = all_under_way(crowd)) && now_ns() < deadline)
        turn(crowd, pace, deadline);
    acknowledge_all(crowd);
    crowd_turn(crowd, now_ns());
    return missing;
}

static void obey(struct crowd *crowd, char *words)
{
    struct pace pace = {.next_message = now_ns()};
    crowd->run = read_run(words);
    crowd->to_come = crowd->run.messages;
    crowd->sending = true;
    for (long i = 0; i < crowd->options->lines; i++)
        fill(crowd, &crowd->lines[i]);
    spend(crowd, &pace, crowd->run.warm);
    printf("began\n");
    crowd->deliveries = crowd->confirmations = crowd->troubles = 0;
    crowd->times = (struct histogram){0};
    struct usage before = usage_now(crowd->options->watch);
    spend(crowd, &pace, crowd->run.seconds);
    struct usage after = usage_now(crowd->options->watch);
    long deliveries = crowd->deliveries, confirmations = crowd->confirmations;
    struct histogram times = crowd->times;
    long missing = settle(crowd, &pace);
    printf("{\"deliveries\":%ld,\"confirmations\":%ld,\"missing\":%ld,\"troubles\":%ld,", deliveries, confirmations,
           missing, crowd->troubles);
    say_times(stdout, &times);
    printf(",");
    say_usage(stdout, &before, &after);
    printf("}\n");
}

/* One thing at a time: while no run is told, the lines are silent and nothing of them is heard. */
void talk(const struct options *options)
{
    struct crowd *crowd = malloc(sizeof *crowd);
    char words[1024];
    crowd_make(crowd, options, options->lines + more_screens(options) + options->idle);
    crowd->heard = hear;
    double began = (double)now_ns() / 1e9;
    crowd_enter(crowd);
    choose_readers(crowd);
    printf("{\"lines\":%ld,\"seconds\":%.6f}\n", crowd->in, (double)now_ns() / 1e9 - began);
    while (fgets(words, sizeof words, stdin))
        obey(crowd, words);
    for (long i = 0; i < crowd->size; i++)
        line_close(crowd, &crowd->lines[i]);
}
