/*
 * Server-side calls as a C program makes them: one thread, asynchronous, a fixed number in flight.
 *
 *   delivery HOST:PORT CALLS IN_FLIGHT
 *
 * Prints one line of JSON: calls per second, and medians in microseconds of
 *   submit     target_get_offers_ex, from call to return
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

int main(int argc, char **argv)
{
    static const char options[] =
        "{\"request\":{\"execute\":{\"mboxes\":[{\"name\":\"homepage-hero\",\"parameters\":{\"colour\":\"red\"}}]},"
        "\"context\":{\"channel\":\"web\",\"userAgent\":\"Mozilla/5.0\",\"address\":{\"url\":\"https://example.com/\"}}}}";
    char config[512];
    target_client client;
    target_queue queue;
    target_result error;
    target_call call;
    target_completion done[256];
    long calls, in_flight, submitted = 0, completed = 0, failed = 0;
    double *submit, started, took;

    if (argc != 4) {
        fprintf(stderr, "usage: %s HOST:PORT CALLS IN_FLIGHT\n", argv[0]);
        return 2;
    }
    calls = atol(argv[2]);
    in_flight = atol(argv[3]);
    submit = calloc((size_t)calls, sizeof *submit);
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

    printf("{\"calls\":%ld,\"failed\":%ld,\"inFlight\":%ld,\"callsPerSecond\":%.0f,\"submitUs\":%.2f}\n", calls, failed, in_flight,
           (double)calls / took * 1e6, median(submit, (size_t)calls));
    check(target_client_close(client, 1000, NULL), "close");
    check(target_client_destroy(client), "destroy");
    check(target_queue_destroy(queue), "queue_destroy");
    check(target_shutdown(1000), "shutdown");
    free(submit);
    return failed ? 1 : 0;
}
