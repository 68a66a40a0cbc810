/* Lines that log in together and read what has waited for them. */
#include "load.h"

#include <stdlib.h>

#define SECOND 1000000000u

static void hear(struct crowd *crowd, struct line *line, const struct heard *heard)
{
    if (heard->kind != DELIVERY)
        return;
    crowd->deliveries++;
    line->last_id = heard->id;
    if (line->structured && ++line->unacknowledged >= crowd->options->ack_every)
        say_ack(crowd, line);
}

static void acknowledge_all(struct crowd *crowd)
{
    for (long i = 0; i < crowd->size; i++)
        if (crowd->lines[i].unacknowledged && crowd->lines[i].structured && crowd->lines[i].state == IN)
            say_ack(crowd, &crowd->lines[i]);
}

static void read_until(struct crowd *crowd, long messages, uint64_t deadline)
{
    while (crowd->deliveries < messages && now_ns() < deadline) {
        acknowledge_all(crowd);
        crowd_turn(crowd, now_ns() + (uint64_t)crowd->options->ack_ms * 1000000u);
    }
}

void drain(const struct options *options)
{
    struct crowd *crowd = malloc(sizeof *crowd);
    char words[1024];
    crowd_make(crowd, options, options->lines);
    crowd->heard = hear;
    crowd->hold = true;
    crowd_enter(crowd);
    printf("{\"lines\":%ld}\n", crowd->size);
    if (!fgets(words, sizeof words, stdin))
        return;
    struct run run = read_run(words);
    printf("began\n");
    struct usage before = usage_now(options->watch);
    for (long i = 0; i < crowd->size; i++) {
        crowd->lines[i].state = ENTERING;
        say_auth(crowd, &crowd->lines[i]);
    }
    read_until(crowd, run.messages, now_ns() + (uint64_t)options->patience * SECOND);
    struct usage after = usage_now(options->watch);
    acknowledge_all(crowd);
    crowd_turn(crowd, now_ns());
    printf("{\"drained\":%ld,\"troubles\":%ld,", crowd->deliveries, crowd->troubles);
    say_usage(stdout, &before, &after);
    printf("}\n");
    for (uint64_t end = now_ns() + SECOND; now_ns() < end;)
        crowd_turn(crowd, end); /* the server learns that all was read */
}
