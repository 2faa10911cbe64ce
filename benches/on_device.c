/*
 * Decisions on the device as a C program makes them: synchronous, JSON in, the envelope as JSON out.
 *
 *   on_device CONFIG.json OPTIONS.json DECISIONS THREADS ROUNDS
 *
 * Each thread makes DECISIONS decisions in each of ROUNDS rounds, after a tenth of that to warm up. Prints one line of JSON:
 * for each round the microseconds per decision, by the clock and by processor time of one thread, and the last envelope.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "read_file.h"
#include "target_sdk.h"

enum { MAX_THREADS = 64 };

static target_client client;
static char *options;
static size_t options_len;
static long decisions;
static pthread_barrier_t start;

struct worker {
    pthread_t thread;
    double started, ended, processor_us;
    char *envelope;
};

static double clock_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* One decision; its envelope is copied only for `keep`. */
static void decide(char **keep)
{
    target_result result;
    const char *json = "";
    size_t len = 0;
    target_status status = target_get_offers_sync(client, options, options_len, 10000, &result);
    target_result_json(result, &json, &len);
    if (status != TARGET_OK || len == 0) {
        fprintf(stderr, "%s %s\n", target_status_name(status), json);
        exit(1);
    }
    if (keep)
        *keep = strdup(json);
    target_result_free(result);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    double processor;
    pthread_barrier_wait(&start);
    worker->started = clock_us(CLOCK_MONOTONIC);
    processor = clock_us(CLOCK_THREAD_CPUTIME_ID);
    for (long i = 0; i < decisions; i++)
        decide(NULL);
    worker->processor_us = clock_us(CLOCK_THREAD_CPUTIME_ID) - processor;
    worker->ended = clock_us(CLOCK_MONOTONIC);
    decide(&worker->envelope);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct worker workers[MAX_THREADS];
    target_result error = 0;
    size_t config_len;
    char *config;
    long threads, rounds;
    double *by_clock, *by_processor;

    if (argc != 6 || (threads = atol(argv[4])) < 1 || threads > MAX_THREADS || (rounds = atol(argv[5])) < 1) {
        fprintf(stderr, "usage: %s CONFIG.json OPTIONS.json DECISIONS THREADS ROUNDS\n", argv[0]);
        return 2;
    }
    config = read_file(argv[1], &config_len);
    options = read_file(argv[2], &options_len);
    decisions = atol(argv[3]);
    if (target_client_create(config, config_len, NULL, &client, &error) != TARGET_OK) {
        const char *text = "";
        target_result_json(error, &text, NULL);
        fprintf(stderr, "create: %s\n", text);
        return 1;
    }
    free(config);
    if (target_client_wait_ready(client, 10000) != TARGET_OK) {
        fprintf(stderr, "no artifact\n");
        return 1;
    }
    for (long i = 0; i < decisions / 10; i++)
        decide(NULL);

    by_clock = calloc((size_t)rounds, sizeof *by_clock);
    by_processor = calloc((size_t)rounds, sizeof *by_processor);
    for (long round = 0; round < rounds; round++) {
        double started = 0, ended = 0;
        pthread_barrier_init(&start, NULL, (unsigned)threads);
        for (long i = 0; i < threads; i++) {
            free(workers[i].envelope);
            pthread_create(&workers[i].thread, NULL, work, &workers[i]);
        }
        for (long i = 0; i < threads; i++) {
            pthread_join(workers[i].thread, NULL);
            if (i == 0 || workers[i].started < started)
                started = workers[i].started;
            if (workers[i].ended > ended)
                ended = workers[i].ended;
            by_processor[round] += workers[i].processor_us / (double)(decisions * threads);
        }
        by_clock[round] = (ended - started) / (double)(decisions * threads);
        pthread_barrier_destroy(&start);
    }

    printf("{\"threads\":%ld,\"us\":[", threads);
    for (long round = 0; round < rounds; round++)
        printf("%s%.4f", round ? "," : "", by_clock[round]);
    printf("],\"processorUs\":[");
    for (long round = 0; round < rounds; round++)
        printf("%s%.4f", round ? "," : "", by_processor[round]);
    printf("],\"envelope\":%s}\n", workers[0].envelope);
    target_client_close(client, 1000, NULL);
    target_client_destroy(client);
    target_shutdown(1000);
    for (long i = 0; i < threads; i++)
        free(workers[i].envelope);
    free(by_clock);
    free(by_processor);
    free(options);
    return 0;
}
