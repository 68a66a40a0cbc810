/*
 * Lines that are members of one room; the first ones write, all read. Runs are told on standard input, one a line.
 *
 * A message is under way until it is confirmed: whether its readers keep up is what the deliveries of a window show,
 * and how late they are. What is delivered is counted and not searched for more than its stamp.
 */
#include "load.h"

#include <stdlib.h>

#define SECOND 1000000000u

/* How many messages of a line may be unconfirmed; and into how many parts its members are split that acknowledge at
   different moments, as people's programs do. */
enum { MOST_UNDER_WAY = 4096, PARTS = 16 };

static const uint64_t LAST_ANSWERS = 10ull * SECOND, SILENCE = SECOND / 4, LONGEST_WAIT = 10ull * SECOND;

static uint64_t (*due)[MOST_UNDER_WAY]; /* when each unconfirmed message of each writer was to leave, ns */
static struct histogram lateness;       /* of deliveries; the crowd's own is that of confirmations */

static long under_way(const struct line *line)
{
    return line->sent - line->confirmed;
}

static void say(struct crowd *crowd, struct line *line, uint64_t moment)
{
    due[line->index][line->sent % MOST_UNDER_WAY] = moment;
    say_message(crowd, line, moment);
}

/* Keep as many messages under way as the run says. */
static void fill(struct crowd *crowd, struct line *line)
{
    const struct run *run = &crowd->run;
    if (!crowd->sending || run->rate || line->state != IN)
        return;
    while (under_way(line) < run->flight && (!run->messages || crowd->to_come)) {
        crowd->to_come -= run->messages != 0;
        say(crowd, line, now_ns());
    }
}

static void hear(struct crowd *crowd, struct line *line, const struct heard *heard)
{
    if (heard->kind == DELIVERY) {
        crowd->deliveries++;
        if (heard->stamp)
            note_time(&lateness, now_ns() - heard->stamp);
        line->last_id = heard->id;
        if (++line->unacknowledged >= crowd->options->ack_every && crowd->run.acks && line->structured)
            say_ack(crowd, line);
    } else if (heard->kind == CONFIRMATION && under_way(line) > 0) {
        note_time(&crowd->times, now_ns() - due[line->index][line->confirmed % MOST_UNDER_WAY]);
        line->confirmed++;
        crowd->confirmations++;
        fill(crowd, line);
    }
}

/* The clock of a run: what is due, and when. */
struct pace {
    uint64_t next_ack, next_message;
    long next_line, next_part;
};

/* Say what is due by now at a fixed rate; a writer with too much under way leaves its turn out. */
static void keep_pace(struct crowd *crowd, struct pace *pace)
{
    uint64_t now = now_ns();
    while (crowd->sending && crowd->run.rate && pace->next_message <= now) {
        struct line *line = &crowd->lines[pace->next_line++ % crowd->options->writers];
        if (line->state == IN && under_way(line) < MOST_UNDER_WAY)
            say(crowd, line, pace->next_message);
        pace->next_message += (uint64_t)(1e9 / crowd->run.rate);
    }
}

/* Every line acknowledges once in the time that the command line says, a part of all lines at a time. */
static void acknowledge_part(struct crowd *crowd, struct pace *pace)
{
    if (pace->next_ack > now_ns())
        return;
    for (long i = pace->next_part++ % PARTS; i < crowd->size && crowd->run.acks; i += PARTS) {
        struct line *line = &crowd->lines[i];
        if (line->unacknowledged && line->structured && line->state == IN && !line->paused)
            say_ack(crowd, line);
    }
    pace->next_ack = now_ns() + (uint64_t)crowd->options->ack_ms * 1000000u / PARTS;
}

static void turn(struct crowd *crowd, struct pace *pace, uint64_t until)
{
    keep_pace(crowd, pace);
    acknowledge_part(crowd, pace);
    if (pace->next_ack < until)
        until = pace->next_ack;
    if (crowd->sending && crowd->run.rate && pace->next_message < until)
        until = pace->next_message;
    crowd_turn(crowd, until);
}

static long all_under_way(const struct crowd *crowd)
{
    long sum = 0;
    for (long i = 0; i < crowd->options->writers; i++)
        sum += under_way(&crowd->lines[i]);
    return sum;
}

static void spend(struct crowd *crowd, struct pace *pace, double seconds)
{
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    while (now_ns() < end && !(crowd->run.messages && !crowd->to_come && !all_under_way(crowd)))
        turn(crowd, pace, end);
}

static long all_sent(const struct crowd *crowd)
{
    long sum = 0;
    for (long i = 0; i < crowd->options->writers; i++)
        sum += crowd->lines[i].sent;
    return sum;
}

/* What a run began with. */
struct start {
    long sent, deliveries;
};

/* Deliveries that are to come yet: to all who read, but for the sender. */
static long missing(const struct crowd *crowd, const struct start *start)
{
    long readers = crowd->size - 1 - crowd->run.paused;
    return (all_sent(crowd) - start->sent) * readers - (crowd->deliveries - start->deliveries);
}

/* Stop writing and wait until everything has arrived; how many deliveries have not. */
static long settle(struct crowd *crowd, struct pace *pace, const struct start *start)
{
    uint64_t deadline = now_ns() + LAST_ANSWERS;
    crowd->sending = false;
    while ((all_under_way(crowd) || missing(crowd, start) > 0) && now_ns() < deadline)
        turn(crowd, pace, deadline);
    return missing(crowd, start);
}

/* Let those stop who are to stop, and those read on who are not, until all is read. */
static void choose_paused(struct crowd *crowd)
{
    for (long i = crowd->options->writers; i < crowd->size; i++)
        line_pause(crowd, &crowd->lines[i], i >= crowd->size - crowd->run.paused);
    crowd_quiet(crowd, SILENCE, LONGEST_WAIT);
}

static void start_sending(struct crowd *crowd)
{
    crowd->to_come = crowd->run.messages;
    crowd->sending = true;
    for (long i = 0; i < crowd->options->writers; i++)
        fill(crowd, &crowd->lines[i]);
}

static void obey(struct crowd *crowd, char *words)
{
    crowd->run = read_run(words);
    crowd->sending = false;
    choose_paused(crowd);
    struct pace pace = {.next_message = now_ns()};
    struct start start = {all_sent(crowd), crowd->deliveries};
    start_sending(crowd);
    spend(crowd, &pace, crowd->run.warm);
    printf("began\n");
    long deliveries_before = crowd->deliveries;
    crowd->confirmations = crowd->troubles = 0;
    crowd->times = lateness = (struct histogram){0};
    struct usage before = usage_now(crowd->options->watch);
    spend(crowd, &pace, crowd->run.seconds);
    struct usage after = usage_now(crowd->options->watch);
    long deliveries = crowd->deliveries - deliveries_before, confirmations = crowd->confirmations;
    struct histogram times = crowd->times, late = lateness;
    long not_come = settle(crowd, &pace, &start);
    printf("{\"deliveries\":%ld,\"confirmations\":%ld,\"missing\":%ld,\"troubles\":%ld,\"in\":%ld,", deliveries,
           confirmations, not_come, crowd->troubles, crowd->in);
    say_times(stdout, &times);
    printf(",\"late_p50\":%.6f,\"late_p99\":%.6f,", time_at(&late, 0.5), time_at(&late, 0.99));
    say_usage(stdout, &before, &after);
    printf("}\n");
}

void room(const struct options *options)
{
    struct crowd *crowd = malloc(sizeof *crowd);
    char words[1024];
    crowd_make(crowd, options, options->lines);
    due = calloc((size_t)options->writers + 1, sizeof *due);
    crowd->heard = hear;
    double began = (double)now_ns() / 1e9;
    crowd_enter(crowd);
    double entered = (double)now_ns() / 1e9;
    crowd_quiet(crowd, SILENCE, LONGEST_WAIT);
    printf("{\"lines\":%ld,\"seconds\":%.6f}\n", crowd->in, entered - began);
    while (fgets(words, sizeof words, stdin))
        obey(crowd, words);
    for (long i = 0; i < crowd->size; i++)
        line_close(crowd, &crowd->lines[i]);
}
