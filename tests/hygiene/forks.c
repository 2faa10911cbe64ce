/* Forks at any moment: of the first start, of eight busy threads, of every kind of callback, four generations deep, and of
 * programs that are started while calls run. Arguments: what, how many times. */
#include "exports.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

extern char **environ;

static server edge;
static world inherited; /* made before the forks */

/* Ends within its time, with 0. */
static void expect_clean(pid_t child, const char *what) {
    int status = 0;
    for (long until = now_ms() + 30000; now_ms() < until; sleep_ms(1)) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        CHECK(ended >= 0);
        if (ended != child) continue;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            check_failed(__FILE__, __LINE__, "%s: a child ended with status %x", what, (unsigned)status);
        return;
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    check_failed(__FILE__, __LINE__, "%s: a child hangs", what);
}

/* Every export with handles of the parent's. */
static void inherited_handles_are_refused(void) {
    for (int i = 0; i < EXPORTS; i++) {
        target_status status = call_export(&exports[i], &inherited);
        if (exports[i].about != NONE && status != TARGET_E_FORKED)
            check_failed(__FILE__, __LINE__, "%s in a child returned %s", exports[i].name, target_status_name(status));
    }
}

/* Returns how long the first answer took. */
static long library_works(void) {
    long started = now_ms();
    world w = live_world(edge.config);
    long took = now_ms() - started;
    counter called = COUNTER;
    target_call call = callback_call(count_done, &called, count_release);
    OK(target_get_offers_ex(w.client, OFFERS, TARGET_NUL, &call, NULL));
    counter_wait(&called, 2);
    OK(target_client_close(w.client, 1000, NULL));
    end_world(&w);
    return took;
}

static int never_called;
static void called_in_parent_only(target_request request, target_result result, void *user_data) {
    (void)request, (void)result;
    CHECK_EQ(getpid(), *(pid_t *)user_data);
    ATOMIC_ADD(never_called, 1);
}
static void log_in_parent_only(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
    (void)level, (void)target, (void)message, (void)len;
    CHECK_EQ(getpid(), *(pid_t *)user_data);
}

/* ---- eight threads that do everything ---- */

static int stop_busy;
static long busy_rounds;
static pid_t owner;

static void *be_busy(void *unused) {
    (void)unused;
    while (!ATOMIC_GET(stop_busy)) {
        world w = live_world(edge.config);
        w.on_done = called_in_parent_only;
        w.user_data = &owner;
        for (int i = 0; i < EXPORTS; i++)
            if (!is(&exports[i], "target_shutdown") && !ends_something(&exports[i])) (void)call_export(&exports[i], &w);
        OK(target_set_log(log_in_parent_only, &owner, NULL, TARGET_LOG_TRACE));
        (void)target_client_close(w.client, 5, NULL);
        end_world(&w);
        ATOMIC_ADD(busy_rounds, 1);
    }
    return NULL;
}

static int compare(const void *a, const void *b) { return (int)(*(const long *)a - *(const long *)b); }

static void of_busy_threads(int count) {
    long *first_answers = (long *)mmap(NULL, (size_t)count * sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(first_answers != MAP_FAILED);
    inherited = live_world(edge.config);
    pthread_t workers[8];
    for (int i = 0; i < 8; i++) workers[i] = start_thread(be_busy, NULL);
    uint64_t state = (uint64_t)now_ms();
    int answers = 0;
    long *pauses = (long *)calloc((size_t)count, sizeof *pauses);
    CHECK(pauses != NULL);
    for (int i = 0; i < count; i++) {
        struct timespec nap = {0, (long)(random_next(&state) % 2000000)};
        nanosleep(&nap, NULL);
        fflush(NULL);
        long started = now_ms();
        pid_t child = fork();
        CHECK(child >= 0);
        pauses[i] = now_ms() - started;
        if (child == 0) {
            alarm(20);
            inherited_handles_are_refused();
            if (i % 2) first_answers[i] = library_works();
            if (i % 4 == 3) OK(target_shutdown(5000));
            if (i % 3) exit(0);
            _exit(0);
        }
        expect_clean(child, "busy threads");
        if (i % 2) first_answers[answers++] = first_answers[i];
    }
    ATOMIC_SET(stop_busy, 1);
    for (int i = 0; i < 8; i++) join_thread(workers[i]);
    OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF));
    CHECK(busy_rounds > 8 && never_called > 0);
    qsort(first_answers, (size_t)answers, sizeof(long), compare);
    if (first_answers[answers / 2] > 2000) check_failed(__FILE__, __LINE__, "first answers take %ld ms", first_answers[answers / 2]);
    /* Nothing in the library holds a fork up. */
    qsort(pauses, (size_t)count, sizeof *pauses, compare);
    if (pauses[count / 2] > 50) check_failed(__FILE__, __LINE__, "forks take %ld ms", pauses[count / 2]);
    free(pauses);
    munmap(first_answers, (size_t)count * sizeof(long));
    end_world(&inherited);
}

/* ---- while another thread uses the library for the first time ---- */

static void *use_for_the_first_time(void *unused) {
    (void)unused;
    target_client client = create_client(edge.config);
    target_result answer = 0;
    OK(target_get_offers_sync(client, OFFERS, TARGET_NUL, 10000, &answer));
    OK(target_set_log(log_in_parent_only, &owner, NULL, TARGET_LOG_OFF));
    OK(target_result_free(answer));
    OK(target_client_destroy(client));
    return NULL;
}

static void of_the_first_start(int count) {
    uint64_t state = (uint64_t)now_ms();
    for (int i = 0; i < count; i++) {
        /* In a process of its own, which is to fork again. */
        fflush(NULL);
        long nap_ns = (long)(random_next(&state) % (i % 2 ? 3000000 : 300000));
        pid_t fresh = fork();
        CHECK(fresh >= 0);
        if (fresh == 0) {
            owner = getpid();
            alarm(25);
            pthread_t user = start_thread(use_for_the_first_time, NULL);
            struct timespec nap = {0, nap_ns};
            nanosleep(&nap, NULL);
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0) {
                alarm(20);
                (void)library_works();
                exit(0);
            }
            expect_clean(child, "the first start");
            join_thread(user);
            exit(0);
        }
        expect_clean(fresh, "the first start");
    }
}

/* ---- in callbacks ---- */

static counter forked = COUNTER;
static const char *where;

static void fork_here(void) {
    static int used;
    if (__atomic_exchange_n(&used, 1, __ATOMIC_SEQ_CST)) return;
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(20);
        inherited_handles_are_refused();
        (void)library_works(); /* this process is in no callback: waiting is allowed */
        OK(target_shutdown(5000));
        exit(0);
    }
    expect_clean(child, where);
    counter_add(&forked);
    __atomic_store_n(&used, 0, __ATOMIC_SEQ_CST);
}

static void fork_in_done(target_request request, target_result result, void *user_data) {
    (void)request, (void)result, (void)user_data;
    fork_here();
}
static void fork_in_release(void *user_data) {
    (void)user_data;
    fork_here();
}
static void fork_in_event(target_client client, const char *json, size_t len, void *user_data) {
    (void)client, (void)json, (void)len, (void)user_data;
    if (counter_get(&forked) == 0) fork_here();
}
static void fork_in_log(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
    (void)level, (void)target, (void)message, (void)len, (void)user_data;
    if (counter_get(&forked) == 0) fork_here();
}

static void of_callbacks(int count) {
    inherited = live_world(edge.config);
    for (int i = 0; i < count; i++) {
        forked.value = 0;
        where = "a completion and its release";
        target_call call = callback_call(fork_in_done, NULL, fork_in_release);
        OK(target_get_offers_ex(inherited.client, OFFERS, TARGET_NUL, &call, NULL));
        CHECK(counter_wait_for(&forked, 2, 40000));

        forked.value = 0;
        where = "an event";
        target_client_hooks hooks;
        memset(&hooks, 0, sizeof hooks);
        hooks.size = sizeof hooks;
        hooks.on_event = fork_in_event;
        hooks.release = fork_in_release;
        target_client client;
        OK(target_client_create(edge.config, TARGET_NUL, &hooks, &client, NULL));
        CHECK(counter_wait_for(&forked, 1, 40000));
        where = "the release of hooks";
        OK(target_client_destroy(client));
        CHECK(counter_wait_for(&forked, 2, 40000));

        forked.value = 0;
        where = "a log function";
        OK(target_set_log(fork_in_log, NULL, fork_in_release, TARGET_LOG_TRACE));
        target_client noisy = create_client("{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"offline\":true,\"tiemout\":1}");
        CHECK(counter_wait_for(&forked, 1, 40000));
        where = "the release of a log";
        OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF));
        CHECK(counter_wait_for(&forked, 2, 40000));
        OK(target_client_destroy(noisy));
        (void)library_works();
    }
    end_world(&inherited);
}

/* ---- generations ---- */

static void generations(int depth) {
    inherited = live_world(edge.config); /* of this generation; older ones are tried before it */
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child > 0) {
        expect_clean(child, "generations");
        (void)library_works(); /* and the parent has not noticed */
        end_world(&inherited);
        return;
    }
    alarm(30);
    CHECK_EQ(live_threads(), 1);
    inherited_handles_are_refused();
    (void)library_works();
    if (depth > 1) generations(depth - 1);
    if (depth % 2) OK(target_shutdown(5000));
    exit(0);
}

/* ---- other programs ---- */

static void *start_programs(void *argument) {
    char *const command[] = {(char *)"true", NULL};
    for (int i = 0; i < *(int *)argument; i++) {
        pid_t child = 0;
        int status = 0;
        switch (i % 4) {
        case 0:
            child = fork();
            CHECK(child >= 0);
            if (child == 0) {
                execvp(command[0], command);
                _exit(99);
            }
            break;
        case 1:
            CHECK_EQ(posix_spawnp(&child, "true", NULL, NULL, command, environ), 0);
            break;
        case 2:
            child = vfork();
            CHECK(child >= 0);
            if (child == 0) {
                execvp(command[0], command);
                _exit(99);
            }
            break;
        default:
            CHECK_EQ(system("true"), 0);
            continue;
        }
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK_EQ(status, 0);
    }
    return NULL;
}

static void while_programs_start(int count) {
    target_client client = create_client(edge.config);
    pthread_t starters[2] = {start_thread(start_programs, &count), start_thread(start_programs, &count)};
    long answers = 0;
    while (answers < count || live_threads() > 2 + 3 + 2) {
        target_result answer = 0;
        OK(target_get_offers_sync(client, OFFERS, TARGET_NUL, 10000, &answer));
        OK(target_result_free(answer));
        if (++answers > count * 1000L) break;
        if (answers % 64 == 0 && answers > count * 4L) break;
    }
    for (int i = 0; i < 2; i++) join_thread(starters[i]);
    OK(target_client_destroy(client));
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    int count = argc > 2 ? atoi(argv[2]) : 10;
    owner = getpid();
    server_start(&edge, ",\"timeout\":20000");
    if (strcmp(what, "first") == 0) of_the_first_start(count);
    else if (strcmp(what, "busy") == 0) of_busy_threads(count);
    else if (strcmp(what, "callbacks") == 0) of_callbacks(count);
    else if (strcmp(what, "generations") == 0) generations(count);
    else if (strcmp(what, "programs") == 0) while_programs_start(count);
    else return 2;
    OK(target_shutdown(5000));
    server_stop(&edge);
    return 0;
}
