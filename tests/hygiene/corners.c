/* Corner cases of clients, callbacks and logs that end each other. Argument: rounds. */
#include "exports.h"

static server edge;

/* ---- a client is destroyed inside the completion of its last call ---- */

typedef struct last_call {
    target_client client;
    counter done, released, hooks_released;
    int events_after_release;
} last_call;

static void destroy_it(target_request request, target_result result, void *user_data) {
    last_call *l = (last_call *)user_data;
    OK(target_result_status(result));
    OK(target_client_destroy(l->client));
    int32_t state;
    CHECK_STATUS(target_client_state(l->client, &state), TARGET_E_BAD_HANDLE);
    OK(target_result_status(result)); /* borrowed until this returns, whatever became of its client */
    OK(target_request_abandon(request)); /* of this very callback: nothing to wait for */
    CHECK_EQ(counter_get(&l->released), 0);
    counter_add(&l->done);
}
static void last_released(void *user_data) {
    last_call *l = (last_call *)user_data;
    CHECK_EQ(counter_get(&l->done), 1);
    counter_add(&l->released);
}
static void last_event(target_client client, const char *json, size_t len, void *user_data) {
    last_call *l = (last_call *)user_data;
    (void)client, (void)json, (void)len;
    if (counter_get(&l->hooks_released) > 0) l->events_after_release++;
}
static void last_hooks_released(void *user_data) { counter_add(&((last_call *)user_data)->hooks_released); }

static void destroyed_in_its_last_callback(int rounds) {
    for (int i = 0; i < rounds; i++) {
        last_call l = {0, COUNTER, COUNTER, COUNTER, 0};
        target_client_hooks hooks;
        memset(&hooks, 0, sizeof hooks);
        hooks.size = sizeof hooks;
        hooks.on_event = last_event;
        hooks.user_data = &l;
        hooks.release = last_hooks_released;
        OK(target_client_create(edge.config, TARGET_NUL, &hooks, &l.client, NULL));
        target_call call = callback_call(destroy_it, &l, last_released);
        OK(target_get_offers_ex(l.client, OFFERS, TARGET_NUL, &call, NULL));
        counter_wait(&l.released, 1);
        counter_wait(&l.hooks_released, 1);
        if (i % 8 == 0) OK(target_shutdown(10000));
        CHECK(counter_get(&l.released) == 1 && counter_get(&l.hooks_released) == 1 && l.events_after_release == 0);
    }
}

/* ---- a callback calls close while another thread is in it ---- */

static counter draining = COUNTER, tried = COUNTER;
static target_client closed_twice;

static void close_in_vain(target_request request, target_result result, void *user_data) {
    (void)request, (void)result, (void)user_data;
    counter_wait(&draining, 1);
    CHECK_STATUS(target_client_close(closed_twice, 0, NULL), TARGET_E_WOULD_DEADLOCK);
    CHECK_STATUS(target_shutdown(0), TARGET_E_WOULD_DEADLOCK);
    counter_add(&tried);
}

static void *close_in_time(void *unused) {
    (void)unused;
    OK(target_client_close(closed_twice, 20000, NULL));
    return NULL;
}

static void close_is_not_shortened(void) {
    ATOMIC_SET(edge.delay_ms, 250);
    closed_twice = create_client(edge.config);
    target_queue queue;
    OK(target_queue_create(&queue));
    target_call slow = queue_call(queue, 1);
    OK(target_get_offers_ex(closed_twice, OFFERS, TARGET_NUL, &slow, NULL));
    OK(target_get_offers(closed_twice, "{", close_in_vain, NULL));
    pthread_t closer = start_thread(close_in_time, NULL);
    for (int32_t state = 0; state != TARGET_STATE_DRAINING; sleep_ms(1)) OK(target_client_state(closed_twice, &state));
    counter_add(&draining);
    join_thread(closer);
    CHECK_EQ(counter_get(&tried), 1);
    target_completion completion;
    CHECK_EQ(target_queue_poll(queue, &completion, 1, 0), 1);
    OK(completion.status); /* it had the time that the first close gave it */
    OK(target_result_free(completion.result));
    OK(target_queue_destroy(queue));
    OK(target_client_destroy(closed_twice));
    ATOMIC_SET(edge.delay_ms, 0);
}

/* ---- a release submits to another client ---- */

static target_client second;
static counter submitted = COUNTER, second_done = COUNTER;

static void submit_to_second(void *user_data) {
    (void)user_data;
    target_call call = callback_call(count_done, &second_done, count_release);
    OK(target_get_offers_ex(second, OFFERS, TARGET_NUL, &call, NULL));
    counter_add(&submitted);
}

static void releases_submit(void) {
    target_client first = create_client(edge.config);
    second = create_client(edge.config);
    target_call call = callback_call(no_done, NULL, submit_to_second);
    OK(target_get_offers_ex(first, OFFERS, TARGET_NUL, &call, NULL));
    counter_wait(&second_done, 2);
    OK(target_get_offers_ex(first, OFFERS, TARGET_NUL, &call, NULL));
    OK(target_client_destroy(first)); /* released because its client ended */
    counter_wait(&second_done, 4);
    target_client_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.size = sizeof hooks;
    hooks.on_event = last_event;
    static last_call unused = {0, COUNTER, COUNTER, COUNTER, 0};
    hooks.user_data = &unused;
    hooks.release = submit_to_second;
    OK(target_client_create(edge.config, TARGET_NUL, &hooks, &first, NULL));
    OK(target_client_destroy(first));
    counter_wait(&second_done, 6);
    CHECK_EQ(counter_get(&submitted), 3);
    OK(target_client_destroy(second));
}

/* ---- logs ---- */

#define NOISY "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"offline\":true,\"tiemout\":1}" /* worth a warning */

static counter in_log = COUNTER, log_may_go_on = COUNTER;
static long lines, dropped;

static void wait_in_log(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
    (void)level, (void)target, (void)len, (void)user_data;
    counter_add(&in_log);
    counter_wait(&log_may_go_on, 1);
    ATOMIC_ADD(lines, 1);
    const char *count = strstr(message, " records before this one were dropped");
    while (count != NULL && count > message && count[-1] != '[') count--;
    if (count != NULL) ATOMIC_ADD(dropped, atol(count));
}

/* The last client goes, and everything ends, while a log function runs and far too many records wait for it. */
static void a_blocked_log(int records) {
    OK(target_set_log(wait_in_log, NULL, NULL, TARGET_LOG_TRACE));
    target_client last = create_client(NOISY);
    counter_wait(&in_log, 1);
    long started = now_ms();
    for (int i = 0; i < records; i++) OK(target_client_destroy(create_client(NOISY))); /* none waits for the log */
    CHECK(now_ms() - started < 10000 * slowness());
    target_result answer = 0;
    (void)target_get_offers_sync(last, OFFERS, TARGET_NUL, 10000, &answer); /* nor does an answer */
    OK(target_result_free(answer));
    OK(target_client_destroy(last));
    CHECK_STATUS(target_shutdown(20), TARGET_E_CALLBACK_STUCK);
    counter_add(&log_may_go_on);
    OK(target_shutdown(10000));
    /* Those that were dropped are counted in the next one that is not. */
    target_client next = create_client(NOISY);
    for (long until = now_ms() + 10000; ATOMIC_GET(dropped) == 0 && now_ms() < until;) sleep_ms(1);
    CHECK(ATOMIC_GET(lines) >= 1024 && ATOMIC_GET(lines) < records && ATOMIC_GET(dropped) >= records - ATOMIC_GET(lines) - 1024);
    OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF));
    OK(target_client_destroy(next));
}

static long warnings, left_out;

static void count_warning(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
    (void)level, (void)target, (void)len, (void)user_data;
    ATOMIC_ADD(warnings, 1);
    const char *more = strstr(message, " more from the same place were left out");
    while (more != NULL && more > message && more[-1] != '(') more--;
    if (more != NULL) ATOMIC_ADD(left_out, atol(more));
}

/* What goes wrong again and again is told ten times a second, and how often it was not told. */
static void a_flood_of_warnings(int count) {
    OK(target_set_log(count_warning, NULL, NULL, TARGET_LOG_INFO));
    long started = now_ms();
    for (int i = 0; i < count; i++) OK(target_client_destroy(create_client(NOISY)));
    long seconds = (now_ms() - started) / 1000 + 1;
    sleep_ms(1001); /* then it may be told again */
    OK(target_client_destroy(create_client(NOISY)));
    for (long until = now_ms() + 10000; ATOMIC_GET(warnings) + ATOMIC_GET(left_out) < count + 1 && now_ms() < until;) sleep_ms(1);
    CHECK_EQ(ATOMIC_GET(warnings) + ATOMIC_GET(left_out), count + 1);
    CHECK(ATOMIC_GET(warnings) <= 10 * (seconds + 1) + 1);
    OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF));
}

typedef struct one_log {
    int ended; /* set_log has said that this one does not run any more */
    int late;
    long lines;
    counter released;
} one_log;

static void note_line(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
    one_log *l = (one_log *)user_data;
    (void)level, (void)target, (void)message, (void)len;
    if (ATOMIC_GET(l->ended) || counter_get(&l->released) > 0) ATOMIC_ADD(l->late, 1);
    ATOMIC_ADD(l->lines, 1);
}
static void note_release(void *user_data) { counter_add(&((one_log *)user_data)->released); }

static int stop_noise;
static void *make_noise(void *unused) {
    (void)unused;
    while (!ATOMIC_GET(stop_noise)) {
        OK(target_client_destroy(create_client(NOISY)));
        sleep_ms(0);
    }
    return NULL;
}

static void no_line_after_the_end(int rounds) {
    pthread_t noise[2] = {start_thread(make_noise, NULL), start_thread(make_noise, NULL)};
    one_log *logs = (one_log *)calloc((size_t)rounds, sizeof *logs);
    CHECK(logs != NULL);
    target_queue queue;
    OK(target_queue_create(&queue));
    long seen = 0;
    for (int i = 0; i < rounds; i++) {
        one_log fresh = {0, 0, 0, COUNTER};
        logs[i] = fresh;
        OK(target_set_log(note_line, &logs[i], note_release, TARGET_LOG_TRACE));
        struct timespec nap = {0, i % 7 * 100000};
        nanosleep(&nap, NULL);
        if (i % 3 == 0) OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF));
        else if (i % 3 == 1) OK(target_set_log_queue(queue, TARGET_LOG_TRACE));
        else OK(target_set_log(wait_in_log, NULL, NULL, TARGET_LOG_ERROR)); /* replaced: the same holds */
        ATOMIC_SET(logs[i].ended, 1);
    }
    OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF));
    ATOMIC_SET(stop_noise, 1);
    for (int i = 0; i < 2; i++) join_thread(noise[i]);
    for (int i = 0; i < rounds; i++) {
        counter_wait(&logs[i].released, 1);
        seen += logs[i].lines;
    }
    OK(target_shutdown(10000));
    for (int i = 0; i < rounds; i++) CHECK(logs[i].late == 0 && counter_get(&logs[i].released) == 1);
    CHECK(seen > 0);
    OK(target_queue_destroy(queue));
    free(logs);
}

/* ---- a callback that blocks delays other callbacks, and nothing else ---- */

static counter blocked = COUNTER, may_return = COUNTER;

static void block(target_request request, target_result result, void *user_data) {
    (void)request, (void)result, (void)user_data;
    counter_add(&blocked);
    counter_wait(&may_return, 1);
}

static void a_blocked_callback(int calls) {
    target_client client = create_client(edge.config);
    target_queue queue;
    OK(target_queue_create(&queue));
    OK(target_get_offers(client, OFFERS, block, NULL));
    counter_wait(&blocked, 1);
    counter later = COUNTER;
    OK(target_get_offers(client, OFFERS, count_done, &later));
    target_call call = queue_call(queue, 1);
    for (int i = 0; i < calls; i++) {
        OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL));
        target_completion completion;
        CHECK_EQ(target_queue_poll(queue, &completion, 1, 10000), 1);
        OK(completion.status);
        OK(target_result_free(completion.result));
    }
    target_result answer = 0;
    OK(target_get_offers_sync(client, OFFERS, TARGET_NUL, 10000, &answer));
    OK(target_result_free(answer));
    ATOMIC_SET(edge.mode, SERVER_IS_SILENT); /* timers go on */
    CHECK_STATUS(target_get_offers_sync(client, OFFERS, TARGET_NUL, 30, &answer), TARGET_E_TIMEOUT);
    OK(target_result_free(answer));
    target_request request;
    OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, &request)); /* and so do cancels */
    OK(target_request_cancel(request));
    target_completion completion;
    CHECK_EQ(target_queue_poll(queue, &completion, 1, 10000), 1);
    CHECK_STATUS(completion.status, TARGET_E_CANCELLED);
    OK(target_result_free(completion.result));
    ATOMIC_SET(edge.mode, SERVER_ANSWERS);
    CHECK_EQ(counter_get(&later), 0);
    counter_add(&may_return);
    counter_wait(&later, 1);
    OK(target_queue_destroy(queue));
    OK(target_client_close(client, 1000, NULL));
    OK(target_client_destroy(client));
}

/* ---- ten thousand completions that nobody polls ---- */

static void queue_destroyed_full(int count) {
    char config[700];
    snprintf(config, sizeof config, "%.*s,\"maxInFlight\":100,\"maxQueued\":%d}", (int)strlen(OFFLINE) - 1, OFFLINE, count);
    target_client client = create_client(config);
    target_queue queue;
    intptr_t fd;
    OK(target_queue_create(&queue));
    OK(target_queue_fd(queue, &fd));
    target_call call = queue_call(queue, 1);
    static target_request requests[100000];
    CHECK(count <= 100000);
    for (int i = 0; i < count; i++) OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, &requests[i]));
    OK(target_queue_destroy(queue));
    /* Their calls end, unheard, and make room for others. */
    for (int i = 0; i < count; i++)
        for (long until = now_ms() + 10000; target_request_cancel(requests[i]) != TARGET_E_BAD_HANDLE; sleep_ms(1)) CHECK(now_ms() < until);
    OK(target_queue_create(&queue));
    call.queue = queue;
    OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL));
    target_completion completion;
    CHECK_EQ(target_queue_poll(queue, &completion, 1, 10000), 1);
    OK(target_result_free(completion.result));
    OK(target_queue_destroy(queue));
    OK(target_client_close(client, 1000, NULL));
    OK(target_client_destroy(client));
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 20;
    server_start(&edge, ",\"timeout\":20000");
    destroyed_in_its_last_callback(rounds);
    close_is_not_shortened();
    releases_submit();
    a_blocked_log(3000);
    a_flood_of_warnings(1000);
    no_line_after_the_end(rounds * 10);
    a_blocked_callback(1000);
    queue_destroyed_full(10000);
    OK(target_shutdown(10000));
    CHECK(threads_fall_to(2));
    server_stop(&edge);
    return 0;
}
