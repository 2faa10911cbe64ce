/* What belongs to the host stays as it is: environment, standard streams, floating point, limits, clocks. Functions of libc
 * that the library calls are ours here, and look at who calls. */
#include "exports.h"

#include <dlfcn.h>
#include <fenv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* A pointer to a function of libc behind the one of this program. */
#define REAL(name, ...) \
    static __VA_ARGS__; \
    if (real == NULL) { \
        void *symbol = dlsym(RTLD_NEXT, name); \
        memcpy(&real, &symbol, sizeof real); \
    }

static bool of_the_library(void *caller) {
    Dl_info info;
    return dladdr(caller, &info) != 0 && info.dli_fname != NULL && strstr(info.dli_fname, "libtarget_sdk") != NULL;
}

/* ---- the environment ---- */

static long environment_reads;
static char last_read[64];

char *getenv(const char *name) {
    REAL("getenv", char *(*real)(const char *))
    if (of_the_library(__builtin_return_address(0))) {
        ATOMIC_ADD(environment_reads, 1);
        snprintf(last_read, sizeof last_read, "%s", name);
    }
    return real(name);
}

/* ---- the standard streams ---- */

static long stream_writes;

ssize_t write(int fd, const void *bytes, size_t size) {
    REAL("write", ssize_t (*real)(int, const void *, size_t))
    if (fd >= 0 && fd <= 2 && of_the_library(__builtin_return_address(0))) ATOMIC_ADD(stream_writes, 1);
    return real(fd, bytes, size);
}

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    REAL("writev", ssize_t (*real)(int, const struct iovec *, int))
    if (fd >= 0 && fd <= 2 && of_the_library(__builtin_return_address(0))) ATOMIC_ADD(stream_writes, 1);
    return real(fd, pieces, count);
}

/* ---- clocks ---- */

static long clock_offset_s; /* what the wall clock is off by */
static int clock_reads;

int clock_gettime(clockid_t id, struct timespec *out) {
    REAL("clock_gettime", int (*real)(clockid_t, struct timespec *))
    int status = real(id, out);
    if (id == CLOCK_REALTIME && of_the_library(__builtin_return_address(0))) {
        ATOMIC_ADD(clock_reads, 1);
        out->tv_sec += ATOMIC_GET(clock_offset_s);
    }
    return status;
}

/* ---- */

static server edge;

/* Of each kind, with answers, errors, a name to look up, events and logs. */
static void use_everything(const char *config) {
    world w = live_world(config);
    for (int i = 0; i < EXPORTS; i++)
        if (!ends_something(&exports[i])) (void)call_export(&exports[i], &w);
    target_result answer = 0;
    CHECK_STATUS(target_get_offers_sync(w.client, "{\"request\":7}", TARGET_NUL, 10000, &answer), TARGET_E_INVALID_OPTIONS);
    OK(target_result_free(answer));
    (void)target_client_close(w.client, 1000, NULL);
    end_world(&w);
}

static int stop_changing;

static void *change_the_environment(void *unused) {
    (void)unused;
    char name[32];
    for (unsigned i = 0; !ATOMIC_GET(stop_changing); i++) {
        snprintf(name, sizeof name, "HYGIENE_%u", i % 10000);
        if (i / 10000 % 2) unsetenv(name);
        else setenv(name, "a value that needs some room of its own, to move the others about", 1);
    }
    return NULL;
}

/* A thread of the host writes the environment; whoever reads it meanwhile may crash. The start of the threads reads one
 * variable: tokio's own, and it cannot be told not to. Nothing does after that. */
static void the_environment_is_not_read(const char *by_name, int rounds) {
    for (int start = 0; start < 2; start++) {
        target_client first = create_client(edge.config);
        if (ATOMIC_GET(environment_reads) > 1 || strncmp(last_read, "TOKIO_", 6) != 0)
            check_failed(__FILE__, __LINE__, "the library reads %s", last_read);
        ATOMIC_SET(environment_reads, 0);
        ATOMIC_SET(stop_changing, 0);
        pthread_t changer = start_thread(change_the_environment, NULL);
        for (int i = 0; i < rounds; i++) use_everything(i % 4 ? edge.config : by_name);
        ATOMIC_SET(stop_changing, 1);
        join_thread(changer);
        if (ATOMIC_GET(environment_reads) != 0) check_failed(__FILE__, __LINE__, "the library reads %s", last_read);
        OK(target_client_destroy(first));
        OK(target_shutdown(10000));
    }
}

static void logs_nothing(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
    (void)level, (void)target, (void)message, (void)len, (void)user_data;
}

static void streams_and_modes_stay(void) {
    unsigned int control = 0;
    for (int mode = 0; mode < 2; mode++) {
        CHECK_EQ(fesetround(mode ? FE_DOWNWARD : FE_TONEAREST), 0);
#ifdef __x86_64__
        control = __builtin_ia32_stmxcsr() & 0xffc0; /* modes and masks, not the sticky flags */
#endif
        OK(target_set_log(mode ? logs_nothing : NULL, NULL, NULL, TARGET_LOG_TRACE));
        use_everything(edge.config);
        CHECK_EQ(fegetround(), mode ? FE_DOWNWARD : FE_TONEAREST);
#ifdef __x86_64__
        CHECK_EQ(__builtin_ia32_stmxcsr() & 0xffc0, control);
#endif
    }
    CHECK_EQ(fesetround(FE_TONEAREST), 0);
    (void)control;
    OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF));
    CHECK_EQ(ATOMIC_GET(stream_writes), 0);
}

/* ---- a wall clock that jumps ---- */

static int stop_jumping;

static void *jump(void *unused) {
    (void)unused;
    const long years = 365L * 24 * 3600, now = (long)time(NULL);
    const long offsets[] = {0, 10 * years, -10 * years, -now - 1, -now - 100 * years, 1, -1, 250 * years};
    for (int i = 0; !ATOMIC_GET(stop_jumping); i++) {
        ATOMIC_SET(clock_offset_s, offsets[i % 8]);
        sleep_ms(3);
    }
    ATOMIC_SET(clock_offset_s, 0);
    return NULL;
}

static void the_wall_clock_may_jump(int rounds) {
    pthread_t jumper = start_thread(jump, NULL);
    target_client client = create_client(edge.config);
    for (int i = 0; i < rounds; i++) {
        use_everything(edge.config);
        /* Deadlines are kept by another clock. */
        ATOMIC_SET(edge.mode, SERVER_IS_SILENT);
        target_result answer = 0;
        long started = now_ms();
        CHECK_STATUS(target_get_offers_sync(client, OFFERS, TARGET_NUL, 60, &answer), TARGET_E_TIMEOUT);
        long took = now_ms() - started;
        CHECK(took >= 59 && took < 5000);
        OK(target_result_free(answer));
        started = now_ms();
        target_queue queue;
        OK(target_queue_create(&queue));
        target_completion completion;
        CHECK_EQ(target_queue_poll(queue, &completion, 1, 30), 0);
        took = now_ms() - started;
        CHECK(took >= 29 && took < 5000);
        OK(target_queue_destroy(queue));
        ATOMIC_SET(edge.mode, SERVER_ANSWERS);
    }
    ATOMIC_SET(stop_jumping, 1);
    join_thread(jumper);
    OK(target_client_destroy(client));
    CHECK(ATOMIC_GET(clock_reads) > 0);
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 10;
    server_start(&edge, ",\"timeout\":20000");
    char by_name[600];
    snprintf(by_name, sizeof by_name,
             "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"serverDomain\":\"localhost:%d\","
             "\"pinServerDomain\":true,\"secure\":false,\"timeout\":20000}", edge.port);
    the_environment_is_not_read(by_name, rounds);
    streams_and_modes_stay();
    the_wall_clock_may_jump(rounds);
    OK(target_shutdown(10000));
    server_stop(&edge);
    return 0;
}
