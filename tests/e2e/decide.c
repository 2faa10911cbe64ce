/*
 * One call through the C API, for the conformance cases: decide CONFIG.json OPTIONS.json
 *
 * Waits for the client to be ready, prints the envelope (or the error document) and closes the client, which sends the
 * notifications that the decision caused.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../benches/read_file.h"
#include "target_sdk.h"

static void print(target_result result)
{
    const char *json = NULL;
    if (result && target_result_json(result, &json, NULL) == TARGET_OK)
        puts(json);
}

static void log_line(int32_t level, const char *target, const char *message, size_t len, void *user_data)
{
    (void)len, (void)user_data;
    fprintf(stderr, "%d %s: %s\n", (int)level, target, message);
}

int main(int argc, char **argv)
{
    target_client client;
    target_result result = 0;
    target_status status;
    size_t config_len, options_len;
    char *config, *options;

    const char *locale = getenv("LC_ALL");

    if (argc != 3)
        return 2;
    /* That of the environment, as programs do; one that is not there would test nothing. */
    if (setlocale(LC_ALL, "") == NULL || (locale != NULL && strcmp(setlocale(LC_ALL, NULL), locale) != 0)) {
        fprintf(stderr, "locale %s is not there\n", locale ? locale : "");
        return 2;
    }
    config = read_file(argv[1], &config_len);
    options = read_file(argv[2], &options_len);
    target_set_log(log_line, NULL, NULL, TARGET_LOG_DEBUG);
    status = target_client_create(config, config_len, NULL, &client, &result);
    if (status == TARGET_OK) {
        status = target_client_wait_ready(client, 10000);
        if (status != TARGET_OK)
            fprintf(stderr, "wait_ready: %s\n", target_status_name(status));
        status = target_get_offers_sync(client, options, options_len, 10000, &result);
    }
    print(result);
    target_result_free(result);
    if (client) {
        target_status closed = target_client_close(client, 5000, &result);
        if (closed != TARGET_OK)
            fprintf(stderr, "close: %s\n", target_status_name(closed));
        target_result_free(result);
        target_client_destroy(client);
    }
    target_shutdown(2000);
    free(config);
    free(options);
    return status == TARGET_OK ? 0 : 1;
}
