/* Synchronous calls from unusual threads, and their deadlines. */
#include "server.h"

#include <limits.h>
#include <sys/time.h>

static server edge;
static target_client client;

static void answered(void) {
    target_result result = 0;
    OK(target_get_offers_sync(client, OFFERS, TARGET_NUL, 5000, &result));
    CHECK(result != 0);
    OK(target_result_status(result));
    const char *text;
    OK(target_result_get(result, "/response/execute/mboxes/0/name", &text, NULL));
    CHECK(strcmp(text, "\"a\"") == 0);
    OK(target_result_free(result));
    OK(target_get_attributes_sync(client, "[\"a\"]", TARGET_NUL, NULL, 0, 5000, &result));
    OK(target_result_free(result));
    OK(target_send_notifications_sync(client, NOTIFICATIONS, TARGET_NUL, 5000, &result));
    OK(target_result_free(result));
}

static void times_out(uint32_t deadline_ms, long expected_ms) {
    target_result result = 0;
    long started = now_ms();
    CHECK_STATUS(target_get_offers_sync(client, OFFERS, TARGET_NUL, deadline_ms, &result), TARGET_E_TIMEOUT);
    long took = now_ms() - started;
    if (took < expected_ms - 1 || took > expected_ms + 50 + slack_ms())
        check_failed(__FILE__, __LINE__, "a deadline of %ld ms was over after %ld ms", expected_ms, took);
    CHECK_STATUS(target_result_status(result), TARGET_E_TIMEOUT);
    const char *text;
    OK(target_result_get(result, "/code", &text, NULL));
    CHECK_EQ(atoi(text), TARGET_E_TIMEOUT);
    OK(target_result_free(result));
}

static void *on_small_stack(void *unused) {
    (void)unused;
    answered();
    ATOMIC_SET(edge.mode, SERVER_IS_SILENT);
    times_out(50, 50);
    ATOMIC_SET(edge.mode, SERVER_ANSWERS);
    return NULL;
}

static void from_a_small_stack(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    size_t size = 64 * 1024;
    if (size < (size_t)PTHREAD_STACK_MIN) size = (size_t)PTHREAD_STACK_MIN;
    CHECK_EQ(pthread_attr_setstacksize(&attributes, size), 0);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, &attributes, on_small_stack, NULL), 0);
    join_thread(thread);
    pthread_attr_destroy(&attributes);
}

static int alarms; /* any thread may get the signal */

static void count_alarm(int signal) {
    (void)signal;
    ATOMIC_ADD(alarms, 1);
}

static void interrupted_all_the_time(void) {
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    action.sa_handler = count_alarm; /* without SA_RESTART: every system call here may end with EINTR */
    CHECK_EQ(sigaction(SIGALRM, &action, &before), 0);
    struct itimerval each_ms = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    CHECK_EQ(setitimer(ITIMER_REAL, &each_ms, NULL), 0);
    for (int i = 0; i < 20; i++) answered();
    ATOMIC_SET(edge.mode, SERVER_IS_SILENT);
    times_out(100, 100);
    target_queue queue;
    target_completion completion;
    OK(target_queue_create(&queue));
    long started = now_ms();
    CHECK_EQ(target_queue_poll(queue, &completion, 1, 100), 0);
    CHECK(now_ms() - started >= 99);
    OK(target_queue_destroy(queue));
    ATOMIC_SET(edge.mode, SERVER_ANSWERS);
    CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
    CHECK(ATOMIC_GET(alarms) > 50);
    CHECK_EQ(sigaction(SIGALRM, &before, NULL), 0);
}

static void deadlines(void) {
    ATOMIC_SET(edge.mode, SERVER_IS_SILENT);
    times_out(1, 1);
    times_out(50, 50);
    times_out(300, 300);
    times_out(0, 400); /* the client's own */
    ATOMIC_SET(edge.mode, SERVER_ANSWERS);
    target_result result;
    OK(target_get_offers_sync(client, OFFERS, TARGET_NUL, UINT32_MAX, &result));
    OK(target_result_free(result));
}

static void errors_have_documents(void) {
    target_result result = 0;
    ATOMIC_SET(edge.mode, SERVER_BREAKS_OFF);
    target_status status = target_get_offers_sync(client, OFFERS, TARGET_NUL, 3000, &result);
    CHECK(status == TARGET_E_NETWORK || status == TARGET_E_DECODE);
    CHECK_STATUS(target_result_status(result), status);
    OK(target_result_free(result));
    ATOMIC_SET(edge.mode, SERVER_ANSWERS);
    CHECK_STATUS(target_get_offers_sync(client, "{\"request\":7}", TARGET_NUL, 0, &result), TARGET_E_INVALID_OPTIONS);
    const char *text;
    OK(target_result_get(result, "/path", &text, NULL));
    CHECK(strcmp(text, "\"/request\"") == 0);
    OK(target_result_free(result));
}

/* A close and a destroy end calls that wait, with an answer. */
static void *wait_for_answer(void *argument) {
    target_result result = 0;
    target_status status = target_get_offers_sync(*(target_client *)argument, OFFERS, TARGET_NUL, 20000, &result);
    CHECK(status == TARGET_E_CLOSED || status == TARGET_E_CANCELLED);
    CHECK_STATUS(target_result_status(result), status);
    OK(target_result_free(result));
    return NULL;
}

static void ended_while_waiting(void) {
    ATOMIC_SET(edge.mode, SERVER_IS_SILENT);
    for (int how = 0; how < 3; how++) {
        target_client other = create_client(edge.config);
        pthread_t waiters[4];
        for (int i = 0; i < 4; i++) waiters[i] = start_thread(wait_for_answer, &other);
        sleep_ms(50);
        long started = now_ms();
        if (how == 0) OK(target_client_close(other, 0, NULL));
        else if (how == 2) OK(target_shutdown(5000));
        if (how != 0) OK(target_client_destroy(other));
        for (int i = 0; i < 4; i++) join_thread(waiters[i]);
        CHECK(now_ms() - started <= 200 + slack_ms());
        if (how == 0) OK(target_client_destroy(other));
    }
    ATOMIC_SET(edge.mode, SERVER_ANSWERS);
}

int main(void) {
    server_start(&edge, ",\"timeout\":400");
    client = create_client(edge.config);
    answered();
    from_a_small_stack();
    interrupted_all_the_time();
    deadlines();
    errors_have_documents();
    ended_while_waiting();
    OK(target_client_destroy(client));
    OK(target_shutdown(5000));
    server_stop(&edge);
    return 0;
}
