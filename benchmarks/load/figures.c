/* Clocks, histograms, the CPU of processes, and how they are said: JSON members, times in seconds. */
#include "load.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

void die(const char *format, ...)
{
    va_list words;
    va_start(words, format);
    vfprintf(stderr, format, words);
    va_end(words);
    fputc('\n', stderr);
    exit(1);
}

uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void note_time(struct histogram *times, uint64_t ns)
{
    int power = ns < 64 ? 0 : 63 - __builtin_clzll(ns) - 6;
    times->count[64 * power + (int)((ns >> power) & 63)]++;
    times->total++;
    if (ns > times->most)
        times->most = ns;
}

static double upper_end(int slot)
{
    return (double)((uint64_t)(64 + slot % 64 + 1) << slot / 64) / 1e9;
}

double time_at(const struct histogram *times, double share)
{
    uint64_t passed = 0, wanted = (uint64_t)(share * (double)times->total);
    for (int slot = 0; slot < 64 * 64; slot++) {
        passed += times->count[slot];
        if (passed > wanted)
            return upper_end(slot);
    }
    return (double)times->most / 1e9;
}

/* Seconds of CPU that a process and all its threads have used: the 14th and 15th words, proc(5). */
static double cpu_of(long pid)
{
    char path[64], stat[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    stat[fread(stat, 1, sizeof stat - 1, file)] = 0;
    fclose(file);
    const char *name_end = strrchr(stat, ')');
    if (name_end)
        sscanf(name_end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double own_cpu(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

struct usage usage_now(const char *watch)
{
    struct usage usage = {.at = (double)now_ns() / 1e9, .own = own_cpu()};
    for (const char *word = watch; *word && usage.count < MOST_WATCHED;) {
        char *end;
        usage.watched[usage.count++] = cpu_of(strtol(word, &end, 10));
        word = *end == ',' ? end + 1 : "";
    }
    return usage;
}

void say_usage(FILE *out, const struct usage *before, const struct usage *after)
{
    fprintf(out, "\"seconds\":%.6f,\"load_cpu\":%.4f,\"cpu\":[", after->at - before->at, after->own - before->own);
    for (int i = 0; i < after->count; i++)
        fprintf(out, "%s%.4f", i ? "," : "", after->watched[i] - before->watched[i]);
    fprintf(out, "]");
}

void say_times(FILE *out, const struct histogram *times)
{
    fprintf(out, "\"p50\":%.6f,\"p99\":%.6f,\"most\":%.6f", time_at(times, 0.5), time_at(times, 0.99),
            (double)times->most / 1e9);
}
