/* Lines that connect, log in and close, again and again. */
#include "load.h"

#include <stdlib.h>

struct account {
    long next;
};

static struct account round_robin;

static void come_again(struct crowd *crowd, struct line *line)
{
    line->uid = crowd->options->uid + round_robin.next++ % crowd->options->accounts;
    line_open(crowd, line);
}

static void hear(struct crowd *crowd, struct line *line, const struct heard *heard)
{
    if (heard->kind != (crowd->options->until_synced ? SYNCED : LOGGED_IN))
        return;
    crowd->deliveries++;
    note_time(&crowd->times, now_ns() - line->began);
    line_close(crowd, line);
}

static void spend(struct crowd *crowd, double seconds)
{
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    while (now_ns() < end) {
        for (long i = 0; i < crowd->size; i++)
            if (crowd->lines[i].state == CLOSED)
                come_again(crowd, &crowd->lines[i]);
        crowd_turn(crowd, end);
    }
}

void login(const struct options *options)
{
    struct crowd *crowd = malloc(sizeof *crowd);
    char words[1024];
    crowd_make(crowd, options, options->lines);
    crowd->heard = hear;
    printf("{\"lines\":%ld}\n", crowd->size);
    while (fgets(words, sizeof words, stdin)) {
        struct run run = read_run(words);
        spend(crowd, run.warm);
        printf("began\n");
        crowd->deliveries = crowd->troubles = 0;
        crowd->times = (struct histogram){0};
        struct usage before = usage_now(options->watch);
        spend(crowd, run.seconds);
        struct usage after = usage_now(options->watch);
        printf("{\"logins\":%ld,\"troubles\":%ld,", crowd->deliveries, crowd->troubles);
        say_times(stdout, &crowd->times);
        printf(",");
        say_usage(stdout, &before, &after);
        printf("}\n");
        for (long i = 0; i < crowd->size; i++)
            line_close(crowd, &crowd->lines[i]);
    }
}
