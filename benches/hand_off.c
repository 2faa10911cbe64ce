/*
 * How long a completion takes to the host's callback, beside what the machine itself takes to wake a thread.
 *
 *   hand_off
 *
 * Prints one line of JSON: medians in microseconds, "oneCore" with all threads on one processor core, "twoCores" with the
 * program's thread on one and all others on another, which is idle when it is woken:
 *   callback   one call of an on-device client that needs no server, from its submit to its callback's first instruction:
 *              wakes the dispatcher
 *   io         the same with a server-side client: wakes an I/O thread, which wakes the dispatcher
 *   wakeUp     the machine's own share: from pthread_cond_signal to the first instruction of a thread that sleeps
 */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "measure.h"

enum { TURNS = 5000 };
static double callback[TURNS], io[TURNS], wake_up[TURNS];

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

/* Puts this thread on one core and all other threads of the process on another. */
static void place(int own_core, int core_of_others)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    if (tasks == NULL) {
        perror("/proc/self/task");
        exit(1);
    }
    while ((entry = readdir(tasks)) != NULL) {
        pid_t task = (pid_t)atoi(entry->d_name);
        cpu_set_t cores;
        if (task == 0)
            continue;
        CPU_ZERO(&cores);
        CPU_SET((size_t)(task == getpid() ? own_core : core_of_others), &cores);
        if (sched_setaffinity(task, sizeof cores, &cores) != 0) {
            perror("sched_setaffinity");
            exit(1);
        }
    }
    closedir(tasks);
}

static double one_wake_up(void)
{
    double before;
    pthread_mutex_lock(&lock);
    called_at = 0;
    woken = 0;
    before = now_us();
    pthread_cond_signal(&wake);
    while (called_at == 0)
        pthread_cond_wait(&arrived, &lock);
    pthread_mutex_unlock(&lock);
    return called_at - before;
}

/* In turns, so that the machine's moods hit all alike. */
static void measure(const char *name, target_client on_device, target_client server_side)
{
    for (int i = 0; i < TURNS; i++) {
        callback[i] = one_callback(on_device);
        io[i] = one_callback(server_side);
        wake_up[i] = one_wake_up();
    }
    printf("\"%s\":{\"callback\":%.2f,\"io\":%.2f,\"wakeUp\":%.2f}", name, median(callback, TURNS), median(io, TURNS),
           median(wake_up, TURNS));
}

static target_client create(const char *config)
{
    target_client client;
    check(target_client_create(config, TARGET_NUL, NULL, &client, NULL), "create");
    return client;
}

static void end(target_client client)
{
    check(target_client_close(client, 1000, NULL), "close");
    check(target_client_destroy(client), "destroy");
}

int main(void)
{
    /* The options of all calls are refused, so that no server is needed. */
    target_client server_side = create("{\"client\":\"acme\",\"organizationId\":\"1234@AdobeOrg\"}");
    target_client on_device = create(
        "{\"client\":\"acme\",\"organizationId\":\"1234@AdobeOrg\",\"decisioningMethod\":\"on-device\",\"pollingInterval\":0,"
        "\"offline\":true,\"artifactPayload\":{\"version\":\"1.0.0\",\"globalMbox\":\"target-global-mbox\",\"responseTokens\":[],"
        "\"remoteMboxes\":[],\"remoteViews\":[],\"localMboxes\":[],\"localViews\":[],\"geoTargetingEnabled\":false,"
        "\"meta\":{},\"rules\":{\"mboxes\":{},\"views\":{}}}}");
    pthread_t thread;
    if (pthread_create(&thread, NULL, sleeper, NULL) != 0)
        return 1;
    one_callback(server_side); /* now all threads of the library run */

    printf("{");
    place(0, 0);
    measure("oneCore", on_device, server_side);
    printf(",");
    place(0, 1);
    measure("twoCores", on_device, server_side);
    printf("}\n");

    pthread_mutex_lock(&lock);
    over = 1;
    pthread_cond_signal(&wake);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    end(on_device);
    end(server_side);
    check(target_shutdown(1000), "shutdown");
    return 0;
}
