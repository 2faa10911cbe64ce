/*
 * Server-side calls as a C program makes them: one thread, asynchronous, a fixed number in flight.
 *
 *   delivery HOST:PORT CALLS IN_FLIGHT
 *
 * Prints one line of JSON: calls per second, and medians in microseconds of
 *   submit     target_get_offers_ex, from call to return
 *   callback   one call of an on-device client that needs no server, from its submit to its callback's first instruction:
 *              wakes the dispatcher
 *   io         the same with a server-side client: wakes an I/O thread, which wakes the dispatcher
 *   wake_up    the machine's own share: from pthread_cond_signal to the first instruction of a thread that sleeps
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <pthread.h>

#include "target_sdk.h"

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void check(target_status status, const char *what)
{
    if (status != TARGET_OK) {
        fprintf(stderr, "%s: %s\n", what, target_status_name(status));
        exit(1);
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_size);
    return values[count / 2];
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER;
static double called_at;

static void on_done(target_request request, target_result result, void *user_data)
{
    double now = now_us();
    (void)request, (void)result, (void)user_data;
    pthread_mutex_lock(&lock);
    called_at = now;
    pthread_cond_signal(&arrived);
    pthread_mutex_unlock(&lock);
}

/* From the submit of one call, whose options are refused, to its callback. */
static double one_callback(target_client client)
{
    double took, before;
    pthread_mutex_lock(&lock);
    called_at = 0;
    before = now_us();
    check(target_get_offers(client, "{}", on_done, NULL), "get_offers");
    while (called_at == 0)
        pthread_cond_wait(&arrived, &lock);
    took = called_at - before;
    pthread_mutex_unlock(&lock);
    return took;
}

/* A thread that sleeps until it is signalled, and notes when it runs. */
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static int woken = 1, over;

static void *sleeper(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    while (!over) {
        if (!woken) {
            called_at = now_us();
            woken = 1;
            pthread_cond_signal(&arrived);
        }
        pthread_cond_wait(&wake, &lock);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(int argc, char **argv)
{
    static const char options[] =
        "{\"request\":{\"execute\":{\"mboxes\":[{\"name\":\"homepage-hero\",\"parameters\":{\"colour\":\"red\"}}]},"
        "\"context\":{\"channel\":\"web\",\"userAgent\":\"Mozilla/5.0\",\"address\":{\"url\":\"https://example.com/\"}}}}";
    char config[512];
    target_client client, on_device;
    target_queue queue;
    target_result error;
    target_call call;
    target_completion done[256];
    long calls, in_flight, submitted = 0, completed = 0, failed = 0;
    double *submit, *callback, *io, *wake_up, started, took;
    pthread_t thread;
    enum { HAND_OFFS = 5000 };

    if (argc != 4) {
        fprintf(stderr, "usage: %s HOST:PORT CALLS IN_FLIGHT\n", argv[0]);
        return 2;
    }
    calls = atol(argv[2]);
    in_flight = atol(argv[3]);
    submit = calloc((size_t)calls, sizeof *submit);
    callback = calloc(HAND_OFFS, sizeof *callback);
    io = calloc(HAND_OFFS, sizeof *io);
    wake_up = calloc(HAND_OFFS, sizeof *wake_up);
    snprintf(config, sizeof config,
             "{\"client\":\"acme\",\"organizationId\":\"1234@AdobeOrg\",\"serverDomain\":\"%s\",\"pinServerDomain\":true,"
             "\"secure\":false,\"maxIdlePerHost\":%ld,\"timeout\":10000}", argv[1], in_flight);
    if (target_client_create(config, TARGET_NUL, NULL, &client, &error) != TARGET_OK) {
        const char *text = "";
        target_result_json(error, &text, NULL);
        fprintf(stderr, "create: %s\n", text);
        return 1;
    }
    check(target_queue_create(&queue), "queue");
    memset(&call, 0, sizeof call);
    call.size = sizeof call;
    call.queue = queue;

    started = now_us();
    while (completed < calls) {
        int32_t count;
        while (submitted < calls && submitted - completed < in_flight) {
            double before = now_us();
            check(target_get_offers_ex(client, options, sizeof options - 1, &call, NULL), "get_offers");
            submit[submitted++] = now_us() - before;
        }
        count = target_queue_poll(queue, done, 256, 10000);
        if (count <= 0) {
            fprintf(stderr, "no completion within 10 s: %s\n", target_status_name(count));
            return 1;
        }
        for (int32_t i = 0; i < count; i++) {
            if (done[i].status != TARGET_OK) {
                if (failed++ == 0) {
                    const char *text = "";
                    target_result_json(done[i].result, &text, NULL);
                    fprintf(stderr, "first failure: %s\n", text);
                }
            }
            target_result_free(done[i].result);
        }
        completed += count;
    }
    took = now_us() - started;

    check(target_client_create(
              "{\"client\":\"acme\",\"organizationId\":\"1234@AdobeOrg\",\"decisioningMethod\":\"on-device\",\"pollingInterval\":0,"
              "\"offline\":true,\"artifactPayload\":{\"version\":\"1.0.0\",\"globalMbox\":\"target-global-mbox\",\"responseTokens\":[],"
              "\"remoteMboxes\":[],\"remoteViews\":[],\"localMboxes\":[],\"localViews\":[],\"geoTargetingEnabled\":false,"
              "\"meta\":{},\"rules\":{\"mboxes\":{},\"views\":{}}}}",
              TARGET_NUL, NULL, &on_device, NULL),
          "create");
    /* In turns, so that the machine's moods hit all alike. */
    pthread_create(&thread, NULL, sleeper, NULL);
    for (int i = 0; i < HAND_OFFS; i++) {
        double before;
        callback[i] = one_callback(on_device);
        io[i] = one_callback(client);

        pthread_mutex_lock(&lock);
        called_at = 0;
        woken = 0;
        before = now_us();
        pthread_cond_signal(&wake);
        while (called_at == 0)
            pthread_cond_wait(&arrived, &lock);
        wake_up[i] = called_at - before;
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    over = 1;
    pthread_cond_signal(&wake);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);

    printf("{\"calls\":%ld,\"failed\":%ld,\"inFlight\":%ld,\"callsPerSecond\":%.0f,\"submitUs\":%.2f,"
           "\"callbackUs\":%.2f,\"ioUs\":%.2f,\"wakeUpUs\":%.2f}\n",
           calls, failed, in_flight, (double)calls / took * 1e6, median(submit, (size_t)calls), median(callback, HAND_OFFS),
           median(io, HAND_OFFS), median(wake_up, HAND_OFFS));
    check(target_client_close(on_device, 1000, NULL), "close");
    check(target_client_destroy(on_device), "destroy");
    check(target_client_close(client, 1000, NULL), "close");
    check(target_client_destroy(client), "destroy");
    check(target_queue_destroy(queue), "queue_destroy");
    check(target_shutdown(1000), "shutdown");
    free(submit);
    free(callback);
    free(io);
    free(wake_up);
    return failed ? 1 : 0;
}
