/* Panics inside of the library, in each place that reads a clock: for it a clock that cannot be read is a bug of the system,
 * and it panics. Whatever was at work then fails with TARGET_E_INTERNAL, is answered and released once all the same, and
 * everything else goes on. */
#include "exports.h"

#include <dlfcn.h>

/* ---- the k-th reading fails ---- */

static long countdown;     /* how many readings are left, on the kind of thread that is meant; 0: none fails */
static bool on_io_threads; /* readings of the wall clock there, which are in calls; or all readings on the host's threads */
static long fired;
static char fired_on[16];

static bool of_the_library(void *caller) {
    Dl_info info;
    return dladdr(caller, &info) != 0 && info.dli_fname != NULL && strstr(info.dli_fname, "libtarget_sdk") != NULL;
}

int clock_gettime(clockid_t id, struct timespec *out) {
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL) {
        void *symbol = dlsym(RTLD_NEXT, "clock_gettime");
        memcpy(&real, &symbol, sizeof real);
    }
    if (ATOMIC_GET(countdown) > 0 && of_the_library(__builtin_return_address(0))) {
        char name[16] = "";
        pthread_getname_np(pthread_self(), name, sizeof name);
        bool io = strcmp(name, "target-io") == 0, theirs = strncmp(name, "target-", 7) == 0;
        bool meant = on_io_threads ? io && id == CLOCK_REALTIME : !theirs;
        if (meant && ATOMIC_ADD(countdown, -1) == 0) {
            memcpy(fired_on, name, sizeof name);
            ATOMIC_ADD(fired, 1);
            errno = EINVAL;
            return -1;
        }
    }
    return real(id, out);
}

/* ---- */

static server edge;
static int internal; /* how often TARGET_E_INTERNAL was seen */
static counter done = COUNTER, released = COUNTER;
static long accepted;
static long lines_about_it;

static void look_for_it(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
    (void)target, (void)len, (void)user_data;
    if (level == TARGET_LOG_ERROR && strstr(message, "a bug in target-sdk") != NULL) ATOMIC_ADD(lines_about_it, 1);
}

static void answered(target_request request, target_result result, void *user_data) {
    (void)request, (void)user_data;
    target_status status = target_result_status(result);
    if (status == TARGET_E_INTERNAL) ATOMIC_ADD(internal, 1);
    counter_add(&done);
}
static void release_it(void *user_data) {
    (void)user_data;
    counter_add(&released);
}

/* Only the one call in which the library panicked may fail, and only like that. */
static bool works(target_status status) {
    if (status == TARGET_E_INTERNAL) ATOMIC_ADD(internal, 1);
    else if (status != TARGET_E_CLOSED && status != TARGET_E_BAD_HANDLE) OK(status); /* what follows an end that failed */
    return status == TARGET_OK;
}

static void a_life(void) {
    target_client client = 0;
    target_result result = 0;
    target_queue queue = 0;
    OK(target_set_log(look_for_it, NULL, NULL, TARGET_LOG_TRACE));
    if (!works(target_client_create(edge.config, TARGET_NUL, NULL, &client, NULL))) CHECK_EQ(client, 0);
    if (client == 0) return;
    (void)works(target_queue_create(&queue));
    (void)works(target_client_wait_ready(client, 5000));
    for (int i = 0; i < 2; i++) {
        result = 0;
        (void)works(target_get_offers_sync(client, OFFERS, TARGET_NUL, 5000, &result));
        OK(target_result_free(result));
        result = 0;
        (void)works(target_get_attributes_sync(client, NAMES, TARGET_NUL, NULL, 0, 5000, &result));
        OK(target_result_free(result));
        result = 0;
        (void)works(target_send_notifications_sync(client, NOTIFICATIONS, TARGET_NUL, 5000, &result));
        OK(target_result_free(result));
        target_call call = callback_call(answered, NULL, release_it);
        accepted += works(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL));
        accepted += works(target_get_attributes_ex(client, NAMES, TARGET_NUL, NULL, 0, &call, NULL));
        accepted += works(target_send_notifications_ex(client, NOTIFICATIONS, TARGET_NUL, &call, NULL));
        target_request request = 0;
        target_call queued = queue_call(queue, 3);
        if (works(target_get_offers_ex(client, OFFERS, TARGET_NUL, &queued, &request))) {
            target_completion completion;
            int32_t count = target_queue_poll(queue, &completion, 1, 5000);
            if (count == TARGET_E_INTERNAL) {
                ATOMIC_ADD(internal, 1);
                count = target_queue_poll(queue, &completion, 1, 5000); /* it was not lost */
            }
            CHECK_EQ(count, 1);
            (void)works(completion.status);
            OK(target_result_free(completion.result));
        }
    }
    result = 0;
    (void)works(target_client_stats(client, &result));
    OK(target_result_free(result));
    result = 0;
    (void)works(target_client_flush(client, 5000, &result));
    OK(target_result_free(result));
    (void)works(target_client_close(client, 5000, NULL));
    (void)works(target_client_destroy(client));
    OK(target_queue_destroy(queue));
}

/* With a panic at the k-th reading, for each k there is. Returns how many there were. */
static int sweep(bool io, int most) {
    on_io_threads = io;
    int panics = 0;
    for (int k = 1; k <= most; k++) {
        ATOMIC_SET(fired, 0);
        ATOMIC_SET(internal, 0);
        ATOMIC_SET(lines_about_it, 0);
        ATOMIC_SET(countdown, k);
        a_life();
        ATOMIC_SET(countdown, 0); /* not in a shutdown: there most readings are tokio's, which does not survive them */
        bool did_panic = ATOMIC_GET(fired) > 0;
        /* Every call that was taken is answered and released, and no other is. */
        if (!counter_wait_for(&released, accepted, 10000) || counter_get(&done) != accepted || counter_get(&released) != accepted)
            check_failed(__FILE__, __LINE__, "panic %d on %s: %ld calls, %ld answers, %ld releases", k, fired_on, accepted,
                         counter_get(&done), counter_get(&released));
        world w = live_world(edge.config); /* at once */
        OK(target_client_close(w.client, 5000, NULL));
        end_world(&w);
        OK(target_shutdown(5000));
        if (!threads_fall_to(2)) check_failed(__FILE__, __LINE__, "panic %d on %s leaves threads behind", k, fired_on);
        if (did_panic && ATOMIC_GET(internal) == 0 && ATOMIC_GET(lines_about_it) == 0)
            check_failed(__FILE__, __LINE__, "nobody was told of panic %d on %s", k, fired_on);
        if (!did_panic) break;
        panics++;
    }
    return panics;
}

int main(int argc, char **argv) {
    int most = argc > 1 ? atoi(argv[1]) : 200;
    server_start(&edge, ",\"timeout\":20000");
    a_life();
    OK(target_shutdown(5000));
    int fds = open_fds();
    int in_exports = sweep(false, most), in_calls = sweep(true, most);
    if (in_exports < 10 || in_calls < 5) check_failed(__FILE__, __LINE__, "only %d and %d panics", in_exports, in_calls);
    for (long until = now_ms() + 5000; open_fds() > fds && now_ms() < until;) sleep_ms(1);
    CHECK(open_fds() <= fds);
    server_stop(&edge);
    if (getenv("CHECK_VERBOSE")) printf("%d panics in exports, %d in calls\n", in_exports, in_calls);
    return 0;
}
