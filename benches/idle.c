/*
 * What a client costs that has nothing to do: idle CONFIG.json OPTIONS.json SECONDS
 *
 * Creates a client, makes one call, waits a second for things to settle, then sleeps for SECONDS. Prints one line of JSON: memory that came
 * with the client in KiB (all resident pages, and those of them that are its own rather than pages of the library file), its
 * threads, and how often those threads woke during the sleep. OPTIONS.json of `-` makes no call.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "read_file.h"
#include "target_sdk.h"

/* The number after `field` in a status file of /proc; 0 if the file or the field is not there. */
static long status_field(const char *path, const char *field)
{
    char line[256];
    long value = 0;
    size_t len = strlen(field);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, field, len) == 0 && line[len] == ':') {
            value = atol(line + len + 1);
            break;
        }
    }
    fclose(file);
    return value;
}

/* Times that the threads other than this one were switched to after waiting. */
static long wake_ups(long *threads)
{
    struct dirent *entry;
    long sum = 0;
    DIR *tasks = opendir("/proc/self/task");
    *threads = 0;
    while (tasks && (entry = readdir(tasks))) {
        char path[300];
        if (entry->d_name[0] == '.' || atol(entry->d_name) == (long)getpid())
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        sum += status_field(path, "voluntary_ctxt_switches");
        (*threads)++;
    }
    if (tasks)
        closedir(tasks);
    return sum;
}

int main(int argc, char **argv)
{
    target_client client;
    target_result result = 0;
    const char *text = "";
    size_t config_len, options_len;
    char *config, *options = NULL;
    long rss, own, threads, woken;

    if (argc != 4) {
        fprintf(stderr, "usage: %s CONFIG.json OPTIONS.json SECONDS\n", argv[0]);
        return 2;
    }
    config = read_file(argv[1], &config_len);
    if (strcmp(argv[2], "-") != 0)
        options = read_file(argv[2], &options_len);
    rss = status_field("/proc/self/status", "VmRSS");
    own = status_field("/proc/self/status", "RssAnon");
    if (target_client_create(config, config_len, NULL, &client, &result) != TARGET_OK
        || (options && target_get_offers_sync(client, options, options_len, 10000, &result) != TARGET_OK)) {
        target_result_json(result, &text, NULL);
        fprintf(stderr, "%s\n", text);
        return 1;
    }
    target_result_free(result);
    sleep(1);
    woken = wake_ups(&threads);
    sleep((unsigned)atol(argv[3]));
    woken = wake_ups(&threads) - woken;
    printf("{\"rssKiB\":%ld,\"ownKiB\":%ld,\"threads\":%ld,\"wakeUps\":%ld,\"seconds\":%ld}\n",
           status_field("/proc/self/status", "VmRSS") - rss, status_field("/proc/self/status", "RssAnon") - own,
           threads, woken, atol(argv[3]));
    target_client_close(client, 1000, NULL);
    target_client_destroy(client);
    target_shutdown(1000);
    free(config);
    free(options);
    return 0;
}
