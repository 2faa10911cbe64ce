/* What the contract tests share: checks that name their line, time, threads, counters. C99 and C++17. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#  define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "target_sdk.h"

/* ---- checks ---------------------------------------------------------------------------------------------------------- */

/* Ends the process without atexit handlers: a check may fail on a thread of the library, in a callback, or in a child. */
static inline void check_failed(const char *file, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    fflush(stderr);
    va_end(arguments);
    _exit(1);
}

#define CHECK(condition) \
    do { if (!(condition)) check_failed(__FILE__, __LINE__, "not true: %s", #condition); } while (0)

#define CHECK_EQ(actual, expected) \
    do { \
        long long check_actual = (long long)(actual), check_expected = (long long)(expected); \
        if (check_actual != check_expected) \
            check_failed(__FILE__, __LINE__, "%s is %lld, expected %s = %lld", #actual, check_actual, #expected, \
                         check_expected); \
    } while (0)

#define CHECK_STATUS(call, expected) \
    do { \
        target_status check_actual = (call), check_expected = (expected); \
        if (check_actual != check_expected) \
            check_failed(__FILE__, __LINE__, "%s returned %s, expected %s", #call, target_status_name(check_actual), \
                         target_status_name(check_expected)); \
    } while (0)

#define OK(call) CHECK_STATUS(call, TARGET_OK)

/* The harness repeats such a line; every other line of output is a failure. */
#define SKIPPED(why) do { printf("SKIPPED: %s\n", why); fflush(stdout); } while (0)

/* ---- time ------------------------------------------------------------------------------------------------------------ */

static inline long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void sleep_ms(long ms) {
    struct timespec left = {ms / 1000, (ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* How much slower than a quiet machine this run may be: 1, or more under valgrind. */
static inline long slowness(void) {
    const char *slow = getenv("CHECK_SLOWNESS");
    return slow ? atol(slow) : 1;
}

/* What a shared machine may add to a bound of the contract: one that is overloaded lets a thread wait for most of a second. */
static inline long slack_ms(void) { return 1000 * slowness(); }

/* ---- threads --------------------------------------------------------------------------------------------------------- */

static inline pthread_t start_thread(void *(*body)(void *), void *argument) {
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, body, argument), 0);
    return thread;
}

static inline void join_thread(pthread_t thread) { CHECK_EQ(pthread_join(thread, NULL), 0); }

/* A number that threads raise and wait for. */
typedef struct counter {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    long value;
} counter;

#define COUNTER {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0}

static inline void counter_add(counter *c) {
    pthread_mutex_lock(&c->mutex);
    c->value++;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->mutex);
}

static inline long counter_get(counter *c) {
    pthread_mutex_lock(&c->mutex);
    long value = c->value;
    pthread_mutex_unlock(&c->mutex);
    return value;
}

static inline bool counter_wait_for(counter *c, long value, long ms) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&c->mutex);
    int rc = 0;
    while (c->value < value && rc == 0) rc = pthread_cond_timedwait(&c->changed, &c->mutex, &until);
    bool reached = c->value >= value;
    pthread_mutex_unlock(&c->mutex);
    return reached;
}

/* Long enough for whatever the library has to do, short enough to fail well before the harness does. */
#define counter_wait(c, value) CHECK(counter_wait_for(c, value, 10000 * slowness()))

#define ATOMIC_GET(variable) __atomic_load_n(&(variable), __ATOMIC_SEQ_CST)
#define ATOMIC_SET(variable, value) __atomic_store_n(&(variable), value, __ATOMIC_SEQ_CST)
#define ATOMIC_ADD(variable, value) __atomic_add_fetch(&(variable), value, __ATOMIC_SEQ_CST)

static inline uint64_t random_next(uint64_t *state) { /* splitmix64 */
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ---- the process ------------------------------------------------------------------------------------------------------ */

static inline int entries_of(const char *directory) {
    DIR *dir = opendir(directory);
    CHECK(dir != NULL);
    int count = 0;
    while (readdir(dir) != NULL) count++;
    closedir(dir);
    return count - 2; /* . and .. */
}

static inline int open_fds(void) { return entries_of("/proc/self/fd"); }
#ifdef __SANITIZE_THREAD__ /* ThreadSanitizer has a thread of its own */
static inline int live_threads(void) { return entries_of("/proc/self/task") - 1; }
#else
static inline int live_threads(void) { return entries_of("/proc/self/task"); }
#endif

/* A joined thread may still be listed for a moment: the kernel wakes its joiner first. */
static inline bool threads_fall_to(int count) {
    for (long until = now_ms() + 2000 * slowness(); now_ms() < until; sleep_ms(1))
        if (live_threads() <= count) return true;
    return live_threads() <= count;
}

/* Whether this code runs on the thread of the library that makes callbacks. */
static inline bool on_dispatcher(void) {
    char name[16] = "";
    pthread_getname_np(pthread_self(), name, sizeof name);
    return strncmp(name, "target-cb", 9) == 0;
}

/* ---- clients ---------------------------------------------------------------------------------------------------------- */

#define OFFERS "{\"request\":{\"execute\":{\"mboxes\":[{\"index\":0,\"name\":\"a\"}]}}}"
#define NOTIFICATIONS \
    "{\"request\":{\"notifications\":[{\"id\":\"n\",\"type\":\"display\",\"timestamp\":1700000000000," \
    "\"mbox\":{\"name\":\"a\"}}]}}"
#define OFFLINE "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"offline\":true}"

static inline target_client create_client(const char *config) {
    target_client client = 0;
    target_result error = 0;
    target_status status = target_client_create(config, TARGET_NUL, NULL, &client, &error);
    if (status != TARGET_OK) {
        const char *json = "no document";
        (void)target_result_json(error, &json, NULL);
        check_failed(__FILE__, __LINE__, "client refused: %s: %s", target_status_name(status), json);
    }
    CHECK(client != 0 && error == 0);
    return client;
}

static inline target_call callback_call(target_done_fn on_done, void *user_data, target_free_fn release) {
    target_call call;
    memset(&call, 0, sizeof call);
    call.size = sizeof call;
    call.on_done = on_done;
    call.user_data = user_data;
    call.release = release;
    return call;
}

static inline target_call queue_call(target_queue queue, uint64_t tag) {
    target_call call;
    memset(&call, 0, sizeof call);
    call.size = sizeof call;
    call.queue = queue;
    call.tag = tag;
    return call;
}

static inline void count_done(target_request request, target_result result, void *user_data) {
    (void)request;
    (void)result;
    counter_add((counter *)user_data);
}

static inline void count_release(void *user_data) { counter_add((counter *)user_data); }

#endif /* CHECK_H */
