/* Fork: the child finds its inherited handles refused and can start afresh; the parent does not notice. */
#include "server.h"

#include <sys/wait.h>

static server edge;
static target_client client;
static target_queue queue;
static target_request pending; /* never answered before the fork */
static target_result result;
static counter done = COUNTER; /* of callbacks and of releases */
static pid_t owner; /* the process that the callbacks above belong to */

static void done_at_home(target_request request, target_result answer, void *user_data) {
    CHECK_EQ(getpid(), owner);
    count_done(request, answer, user_data);
}

static void release_at_home(void *user_data) {
    CHECK_EQ(getpid(), owner);
    count_release(user_data);
}

/* Ends within its time, with 0. */
static void expect_clean(pid_t child) {
    int status = 0;
    for (long until = now_ms() + 20000; now_ms() < until; sleep_ms(1)) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        CHECK(ended >= 0);
        if (ended == child) {
            CHECK(WIFEXITED(status));
            CHECK_EQ(WEXITSTATUS(status), 0);
            return;
        }
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    check_failed(__FILE__, __LINE__, "a child hangs");
}

static void inherited_handles_are_refused(void) {
    int32_t state;
    target_result out;
    target_request request;
    target_completion completion;
    intptr_t fd;
    const char *text;
    size_t len;
    bool flag;
    int64_t integer;
    double number;
    target_call call = callback_call(count_done, &done, count_release);
    CHECK_STATUS(target_client_state(client, &state), TARGET_E_FORKED);
    CHECK_STATUS(target_client_wait_ready(client, 1000), TARGET_E_FORKED);
    CHECK_STATUS(target_client_flush(client, 1000, &out), TARGET_E_FORKED);
    CHECK_STATUS(target_client_stats(client, &out), TARGET_E_FORKED);
    CHECK_STATUS(target_client_artifact(client, &out), TARGET_E_FORKED);
    CHECK_STATUS(target_client_close(client, 1000, &out), TARGET_E_FORKED);
    CHECK_STATUS(target_get_offers(client, OFFERS, count_done, NULL), TARGET_E_FORKED);
    CHECK_STATUS(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, &request), TARGET_E_FORKED);
    CHECK_EQ(request, 0);
    CHECK_STATUS(target_get_offers_sync(client, OFFERS, TARGET_NUL, 0, &out), TARGET_E_FORKED);
    CHECK_EQ(out, 0);
    CHECK_STATUS(target_send_notifications(client, NOTIFICATIONS, count_done, NULL), TARGET_E_FORKED);
    CHECK_STATUS(target_send_notifications_ex(client, NOTIFICATIONS, TARGET_NUL, &call, &request), TARGET_E_FORKED);
    CHECK_STATUS(target_send_notifications_sync(client, NOTIFICATIONS, TARGET_NUL, 0, &out), TARGET_E_FORKED);
    CHECK_STATUS(target_get_attributes(client, "[]", NULL, count_done, NULL), TARGET_E_FORKED);
    CHECK_STATUS(target_get_attributes_ex(client, "[]", TARGET_NUL, NULL, 0, &call, &request), TARGET_E_FORKED);
    CHECK_STATUS(target_get_attributes_sync(client, "[]", TARGET_NUL, NULL, 0, 0, &out), TARGET_E_FORKED);
    CHECK_STATUS(target_request_cancel(pending), TARGET_E_FORKED);
    CHECK_STATUS(target_request_abandon(pending), TARGET_E_FORKED);
    CHECK_STATUS(target_queue_fd(queue, &fd), TARGET_E_FORKED);
    CHECK_EQ(target_queue_poll(queue, &completion, 1, 1000), TARGET_E_FORKED);
    CHECK_STATUS(target_queue_wake(queue), TARGET_E_FORKED);
    CHECK_STATUS(target_set_log_queue(queue, TARGET_LOG_TRACE), TARGET_E_FORKED);
    CHECK_STATUS(target_result_status(result), TARGET_E_FORKED);
    CHECK_STATUS(target_result_json(result, &text, &len), TARGET_E_FORKED);
    CHECK(text == NULL);
    CHECK_STATUS(target_result_get(result, "", &text, &len), TARGET_E_FORKED);
    CHECK_STATUS(target_result_retain(result), TARGET_E_FORKED);
    CHECK_STATUS(target_attributes_get_value(result, "a", "k", &text, &len), TARGET_E_FORKED);
    CHECK_STATUS(target_attributes_get_string(result, "a", "k", &text, &len), TARGET_E_FORKED);
    CHECK_STATUS(target_attributes_get_bool(result, "a", "k", &flag), TARGET_E_FORKED);
    CHECK_STATUS(target_attributes_get_int64(result, "a", "k", &integer), TARGET_E_FORKED);
    CHECK_STATUS(target_attributes_get_double(result, "a", "k", &number), TARGET_E_FORKED);
    CHECK_STATUS(target_attributes_as_object(result, NULL, &text, &len), TARGET_E_FORKED);
    target_client_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.size = sizeof hooks;
    hooks.queue = queue;
    target_client other = 77;
    CHECK_STATUS(target_client_create(OFFLINE, TARGET_NUL, &hooks, &other, NULL), TARGET_E_FORKED);
    CHECK_EQ(other, 0);
    /* Ending them changes nothing either. */
    CHECK_STATUS(target_result_free(result), TARGET_E_FORKED);
    CHECK_STATUS(target_queue_destroy(queue), TARGET_E_FORKED);
    CHECK_STATUS(target_client_destroy(client), TARGET_E_FORKED);
    CHECK_STATUS(target_client_destroy(client), TARGET_E_FORKED);
}

static void library_works(void) {
    target_client fresh = create_client(edge.config);
    target_result answer;
    OK(target_get_offers_sync(fresh, OFFERS, TARGET_NUL, 5000, &answer));
    OK(target_result_free(answer));
    counter called = COUNTER;
    OK(target_get_offers(fresh, OFFERS, count_done, &called));
    counter_wait(&called, 1);
    target_queue own;
    OK(target_queue_create(&own));
    target_call call = queue_call(own, 3);
    OK(target_get_offers_ex(fresh, OFFERS, TARGET_NUL, &call, NULL));
    target_completion completion;
    CHECK_EQ(target_queue_poll(own, &completion, 1, 5000), 1);
    OK(target_result_free(completion.result));
    OK(target_queue_destroy(own));
    OK(target_client_close(fresh, 1000, NULL));
    OK(target_client_destroy(fresh));
}

/* A child, its child, and so on; each checks what it inherited, works, and ends in one of the ways there are. */
static void generations(int depth) {
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child > 0) {
        expect_clean(child);
        return;
    }
    alarm(15);
    CHECK_EQ(live_threads(), 1);
    inherited_handles_are_refused();
    library_works();
    if (depth > 1) generations(depth - 1);
    long started = now_ms();
    if (depth % 2) {
        OK(target_shutdown(5000));
        CHECK(threads_fall_to(1));
    } else {
        target_client left_open = create_client(edge.config);
        OK(target_get_offers(left_open, OFFERS, count_done, &done));
    }
    CHECK(now_ms() - started < 2000);
    exit(0); /* runs the exit handlers that were inherited */
}

/* ---- forks while everything is busy ---- */

static int stop_busy;
static long busy_answers;

static void *be_busy(void *unused) {
    (void)unused;
    target_client mine = create_client(edge.config);
    while (!ATOMIC_GET(stop_busy)) {
        target_result answer = 0;
        OK(target_get_offers_sync(mine, OFFERS, TARGET_NUL, 10000, &answer));
        OK(target_result_free(answer));
        target_queue q;
        OK(target_queue_create(&q));
        target_client short_lived = create_client(OFFLINE);
        target_call call = queue_call(q, 1);
        OK(target_get_offers_ex(short_lived, OFFERS, TARGET_NUL, &call, NULL));
        OK(target_client_destroy(short_lived));
        OK(target_queue_destroy(q));
        ATOMIC_ADD(busy_answers, 1);
    }
    OK(target_client_destroy(mine));
    return NULL;
}

static void forks_at_any_moment(int count) {
    pthread_t workers[4];
    for (int i = 0; i < 4; i++) workers[i] = start_thread(be_busy, NULL);
    uint64_t state = 1;
    for (int i = 0; i < count; i++) {
        struct timespec nap = {0, (long)(random_next(&state) % 3000000)};
        nanosleep(&nap, NULL);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(15);
            int32_t client_state;
            CHECK_STATUS(target_client_state(client, &client_state), TARGET_E_FORKED);
            if (i % 2) library_works();
            if (i % 3) exit(0);
            _exit(0);
        }
        expect_clean(child);
    }
    ATOMIC_SET(stop_busy, 1);
    for (int i = 0; i < 4; i++) join_thread(workers[i]);
    CHECK(busy_answers >= count / 4);
}

/* ---- a fork inside a callback ---- */

static counter forked_in_callback = COUNTER;

static void fork_in_callback(target_request request, target_result answer, void *user_data) {
    (void)user_data;
    OK(target_result_status(answer));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(15);
        CHECK_STATUS(target_result_status(answer), TARGET_E_FORKED);
        CHECK_STATUS(target_request_abandon(request), TARGET_E_FORKED);
        library_works(); /* closing is allowed: this process is in no callback */
        OK(target_shutdown(5000));
        exit(0);
    }
    expect_clean(child);
    counter_add(&forked_in_callback);
}

int main(int argc, char **argv) {
    owner = getpid();
    server_start(&edge, ",\"timeout\":20000");
    client = create_client(edge.config);
    OK(target_queue_create(&queue));
    intptr_t fd;
    OK(target_queue_fd(queue, &fd));
    OK(target_get_offers_sync(client, OFFERS, TARGET_NUL, 0, &result));

    /* In flight across all of the first forks, with callbacks that must run once, here. */
    ATOMIC_SET(edge.delay_ms, 1500);
    target_call call = callback_call(done_at_home, &done, release_at_home);
    for (int i = 0; i < 8; i++) OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, &pending));
    target_call queued = queue_call(queue, 9);
    OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &queued, NULL));
    sleep_ms(100); /* the server has them */
    ATOMIC_SET(edge.delay_ms, 0);
    generations(3);
    counter_wait(&done, 16);
    CHECK_EQ(counter_get(&done), 16);
    target_completion completion;
    CHECK_EQ(target_queue_poll(queue, &completion, 1, 5000), 1);
    OK(completion.status);
    OK(target_result_free(completion.result));

    forks_at_any_moment(argc > 1 ? atoi(argv[1]) : 100);

    OK(target_get_offers(client, OFFERS, fork_in_callback, NULL));
    CHECK(counter_wait_for(&forked_in_callback, 1, 30000));

    library_works();
    OK(target_result_free(result));
    OK(target_queue_destroy(queue));
    OK(target_client_close(client, 1000, NULL));
    OK(target_client_destroy(client));
    OK(target_shutdown(5000));
    server_stop(&edge);
    return 0;
}
