/* The many ways in which a process ends while calls are in flight: each ends soon, with its own code, and no function of the
 * host is called after the exit gate has closed. Each case is a child of this process, which never starts the library.
 * Argument: rounds. */
#include "exports.h"

#include <sys/mman.h>
#include <sys/wait.h>

typedef struct shared {
    int port_known;
    char config[512];
    int gate_closed; /* set by a handler that is older than the library: it runs after the gate has closed */
    long late;       /* calls of the host's functions after that */
    long calls;
    long exit_began;
} shared;

static shared *all;
static target_client client;
static const char *how;
static int argument_of_case; /* 0, 1, 2, ...: other moments */

static void note_call(void) {
    ATOMIC_ADD(all->calls, 1);
    if (ATOMIC_GET(all->gate_closed)) ATOMIC_ADD(all->late, 1);
}

static bool is_how(const char *name) { return strcmp(how, name) == 0; }

static void end_with(int code) {
    ATOMIC_SET(all->exit_began, now_ms());
    if (is_how("_exit in a callback") || is_how("_exit")) _exit(code);
    if (is_how("quick_exit")) quick_exit(code);
    exit(code);
}

static void after_the_gate(void) { ATOMIC_SET(all->gate_closed, 1); }

/* Registered after the library has started: runs before the gate closes, and may do everything. */
static void before_the_gate(void) {
    if (!is_how("a handler that closes")) return;
    target_result report = 0;
    target_status status = target_client_close(client, 20, &report);
    CHECK(status == TARGET_OK || status == TARGET_E_CALLBACK_STUCK);
    OK(target_result_free(report));
    OK(target_client_destroy(client));
}

static bool once(void) {
    static int used;
    return !__atomic_exchange_n(&used, 1, __ATOMIC_SEQ_CST);
}

static void answered(target_request request, target_result result, void *user_data) {
    (void)request, (void)result, (void)user_data;
    note_call();
    if ((is_how("in a callback") || is_how("_exit in a callback")) && once()) end_with(7);
    if (is_how("while a callback runs")) sleep_ms(20), note_call();
}
static void released(void *user_data) {
    (void)user_data;
    note_call();
    if (is_how("in a release") && once()) end_with(7);
}
static void happened(target_client who, const char *json, size_t len, void *user_data) {
    (void)who, (void)json, (void)len, (void)user_data;
    note_call();
    if (is_how("in an event") && once()) end_with(7);
}
static void logged(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
    (void)level, (void)target, (void)message, (void)len, (void)user_data;
    note_call();
    if (is_how("in a log function") && once()) end_with(7);
}

static void *exit_here(void *unused) {
    (void)unused;
    sleep_ms(argument_of_case);
    end_with(7);
    return NULL;
}

static void *wait_for_answers(void *unused) {
    (void)unused;
    for (;;) {
        target_result answer = 0;
        (void)target_get_offers_sync(client, OFFERS, TARGET_NUL, 5000, &answer);
        (void)target_result_free(answer);
    }
    return NULL;
}

static void *wait_for_ever(void *unused) {
    (void)unused;
    target_queue queue;
    OK(target_queue_create(&queue));
    target_completion completion;
    (void)target_queue_poll(queue, &completion, 1, -1);
    return NULL;
}

static void *create_and_destroy(void *unused) {
    (void)unused;
    for (;;) (void)target_client_destroy(create_client(all->config));
    return NULL;
}

static void *start_and_stop(void *unused) {
    (void)unused;
    for (;;) {
        target_client made = 0;
        if (target_client_create(all->config, TARGET_NUL, NULL, &made, NULL) == TARGET_OK) (void)target_client_destroy(made);
        (void)target_shutdown(1000);
    }
    return NULL;
}

static void live_and_end(void) {
    alarm(20);
    atexit(after_the_gate);
    if (is_how("while others start and stop")) { /* the very first start, too */
        pthread_t ignored = start_thread(start_and_stop, NULL);
        (void)ignored;
        sleep_ms(argument_of_case);
        end_with(7);
    }
    OK(target_set_log(logged, NULL, released, TARGET_LOG_TRACE));
    target_client_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.size = sizeof hooks;
    hooks.on_event = happened;
    hooks.release = released;
    OK(target_client_create(all->config, TARGET_NUL, &hooks, &client, NULL));
    atexit(before_the_gate);
    at_quick_exit(before_the_gate);
    target_call call = callback_call(answered, NULL, released);
    for (int i = 0; i < 64; i++) OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL));
    if (is_how("while others wait")) {
        (void)start_thread(wait_for_answers, NULL);
        (void)start_thread(wait_for_ever, NULL);
    } else if (is_how("while others create")) {
        (void)start_thread(create_and_destroy, NULL);
    } else if (is_how("main thread ends first")) {
        (void)start_thread(exit_here, NULL);
        pthread_exit(NULL);
    } else if (is_how("on another thread")) {
        join_thread(start_thread(exit_here, NULL));
    } else if (is_how("after shutdown")) {
        OK(target_shutdown(5000));
    } else if (strncmp(how, "in a", 4) == 0 || is_how("_exit in a callback")) {
        sleep_ms(15000); /* ended by the callback */
    } else {
        sleep_ms(argument_of_case);
    }
    if (is_how("abort")) {
        ATOMIC_SET(all->exit_began, now_ms());
        abort();
    }
    if (is_how("killed")) {
        ATOMIC_SET(all->exit_began, now_ms());
        signal(SIGTERM, SIG_DFL);  /* the runner may ignore it */
        raise(SIGTERM);
    }
    end_with(7);
}

static const char *const ways[] = {
    "plain", "in a callback", "in a release", "in an event", "in a log function", "on another thread",
    "while a callback runs", "while others wait", "while others create", "while others start and stop",
    "a handler that closes", "after shutdown", "main thread ends first", "_exit", "_exit in a callback", "quick_exit",
    "abort", "killed"};
enum { WAYS = sizeof ways / sizeof *ways };

static int compare(const void *a, const void *b) { return (int)(*(const long *)a - *(const long *)b); }

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 4;
    all = (shared *)mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(all != MAP_FAILED);

    /* The edge is a process of its own, so that the cases inherit no thread's memory. */
    int alive[2];
    CHECK_EQ(pipe(alive), 0);
    pid_t edge_process = fork();
    CHECK(edge_process >= 0);
    if (edge_process == 0) {
        close(alive[1]);
        static server edge;
        server_start(&edge, "");
        ATOMIC_SET(edge.delay_ms, 3);
        strcpy(all->config, edge.config);
        ATOMIC_SET(all->port_known, 1);
        char ignored;
        while (read(alive[0], &ignored, 1) < 0) {
        }
        _exit(0);
    }
    close(alive[0]);
    for (long until = now_ms() + 10000; !ATOMIC_GET(all->port_known) && now_ms() < until;) sleep_ms(1);
    CHECK(ATOMIC_GET(all->port_known));

    long calls = 0;
    for (int w = 0; w < WAYS; w++) {
        how = ways[w];
        long *took = (long *)calloc((size_t)rounds, sizeof *took);
        CHECK(took != NULL);
        for (int round = 0; round < rounds; round++) {
            argument_of_case = round % 9;
            all->gate_closed = 0;
            all->late = 0;
            all->calls = 0;
            all->exit_began = 0;
            fflush(NULL);
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0) {
                close(alive[1]);
                live_and_end();
            }
            int status = 0;
            CHECK_EQ(waitpid(child, &status, 0), child);
            took[round] = now_ms() - all->exit_began;
            int signal = is_how("abort") ? SIGABRT : is_how("killed") ? SIGTERM : 0;
            bool as_told = signal ? WIFSIGNALED(status) && WTERMSIG(status) == signal
                                  : WIFEXITED(status) && WEXITSTATUS(status) == 7;
            if (!as_told || all->late > 0)
                check_failed(__FILE__, __LINE__, "exit: %s (%d): status %x, %ld late calls", how, round, (unsigned)status,
                             all->late);
            calls += all->calls;
        }
        /* A shared machine delays some; what the library itself waits for delays all. */
        qsort(took, (size_t)rounds, sizeof *took, compare);
        long allowed = is_how("a handler that closes") ? 400 : 150;
        if (took[rounds / 2] > allowed)
            check_failed(__FILE__, __LINE__, "exit: %s took %ld ms", how, took[rounds / 2]);
        free(took);
    }
    CHECK(calls > 0);
    close(alive[1]);
    CHECK_EQ(waitpid(edge_process, NULL, 0), edge_process);
    return 0;
}
