/* Callbacks: never inline, borrowed results, releases, and every export called from inside every kind of callback. */
#include "server.h"

static server edge;

/* ---- never inline ---- */

static pthread_mutex_t host_lock = PTHREAD_MUTEX_INITIALIZER; /* held across each submit, taken in each callback */

typedef struct answered {
    target_request expected; /* written by the submit */
    target_request seen;
    target_status status;
    counter done;
} answered;

static void take_lock(target_request request, target_result result, void *user_data) {
    answered *a = (answered *)user_data;
    pthread_mutex_lock(&host_lock);
    a->seen = request;
    a->status = target_result_status(result);
    pthread_mutex_unlock(&host_lock);
    counter_add(&a->done);
}

static void never_inline(int rounds) {
    target_client offline = create_client(OFFLINE); /* answers with an error at once */
    target_client online = create_client(edge.config);
    const target_client clients[] = {offline, online};
    const char *options[] = {OFFERS, "not JSON"};
    static answered call_state[2][2][3];
    for (int round = 0; round < rounds; round++) {
        memset(call_state, 0, sizeof call_state);
        for (int c = 0; c < 2; c++)
            for (int o = 0; o < 2; o++)
                for (int op = 0; op < 3; op++) {
                    answered *a = &call_state[c][o][op];
                    answered fresh = {0, 0, 99, COUNTER};
                    *a = fresh;
                    target_call call = callback_call(take_lock, a, NULL);
                    pthread_mutex_lock(&host_lock);
                    if (op == 0)
                        OK(target_get_offers_ex(clients[c], options[o], TARGET_NUL, &call, &a->expected));
                    else if (op == 1)
                        OK(target_send_notifications_ex(clients[c], options[o], TARGET_NUL, &call, &a->expected));
                    else
                        OK(target_get_attributes_ex(clients[c], "[\"a\"]", TARGET_NUL, options[o], TARGET_NUL, &call, &a->expected));
                    CHECK(a->expected != 0 && counter_get(&a->done) == 0);
                    pthread_mutex_unlock(&host_lock);
                }
        for (int c = 0; c < 2; c++)
            for (int o = 0; o < 2; o++)
                for (int op = 0; op < 3; op++) {
                    answered *a = &call_state[c][o][op];
                    counter_wait(&a->done, 1);
                    CHECK_EQ(a->seen, a->expected);
                    if (o == 1) CHECK_STATUS(a->status, TARGET_E_INVALID_JSON);
                }
        CHECK_STATUS(call_state[1][0][0].status, TARGET_OK);
        CHECK_STATUS(call_state[1][0][2].status, TARGET_OK);
    }
    /* The simple forms. */
    answered simple = {0, 0, 99, COUNTER};
    pthread_mutex_lock(&host_lock);
    OK(target_get_offers(online, OFFERS, take_lock, &simple));
    OK(target_send_notifications(offline, NOTIFICATIONS, take_lock, &simple));
    OK(target_get_attributes(online, "[\"a\"]", NULL, take_lock, &simple));
    CHECK_EQ(counter_get(&simple.done), 0);
    pthread_mutex_unlock(&host_lock);
    counter_wait(&simple.done, 3);
    OK(target_client_destroy(offline));
    OK(target_client_destroy(online));
}

/* ---- borrowed and retained results ---- */

typedef struct kept {
    target_result result;
    const char *json;
    size_t len;
    bool retain;
    counter done;
} kept;

static void keep(target_request request, target_result result, void *user_data) {
    kept *k = (kept *)user_data;
    (void)request;
    OK(target_result_json(result, &k->json, &k->len));
    CHECK_EQ(strlen(k->json), k->len);
    if (k->retain) OK(target_result_retain(result));
    k->result = result;
    counter_add(&k->done);
}

static void results(void) {
    target_client client = create_client(edge.config);
    kept borrowed = {0, NULL, 0, false, COUNTER}, retained = {0, NULL, 0, true, COUNTER};
    OK(target_get_offers(client, OFFERS, keep, &borrowed));
    counter_wait(&borrowed.done, 1);
    OK(target_get_attributes(client, "[\"a\"]", NULL, keep, &retained));
    counter_wait(&retained.done, 1);
    OK(target_client_close(client, 1000, NULL));
    CHECK_STATUS(target_result_status(borrowed.result), TARGET_E_BAD_HANDLE);
    OK(target_client_destroy(client));
    OK(target_shutdown(5000));

    /* The retained one outlives client and threads, where it was. */
    const char *json;
    size_t len;
    OK(target_result_json(retained.result, &json, &len));
    CHECK(json == retained.json && len == retained.len);
    OK(target_result_get(retained.result, "/response/execute/mboxes/0/options/0/content/k", &json, &len));
    CHECK(strcmp(json, "1") == 0);
    int64_t whole;
    double pi;
    bool on;
    OK(target_attributes_get_int64(retained.result, "a", "k", &whole));
    OK(target_attributes_get_double(retained.result, "a", "pi", &pi));
    OK(target_attributes_get_bool(retained.result, "a", "on", &on));
    CHECK(whole == 1 && pi == 3.25 && on);
    OK(target_attributes_get_value(retained.result, "a", "name", &json, &len));
    CHECK(strcmp(json, "\"Ada\"") == 0);
    OK(target_attributes_get_string(retained.result, "a", "name", &json, &len));
    CHECK(strcmp(json, "Ada") == 0 && len == 3);
    const char *again;
    OK(target_attributes_get_string(retained.result, "a", "name", &again, NULL));
    CHECK(again == json); /* asked twice, kept once */
    CHECK_STATUS(target_attributes_get_int64(retained.result, "a", "pi", &whole), TARGET_E_DECODE);
    CHECK_STATUS(target_attributes_get_bool(retained.result, "a", "k", &on), TARGET_E_DECODE);
    CHECK_STATUS(target_attributes_get_value(retained.result, "a", "missing", &json, &len), TARGET_E_NO_ATTRIBUTE);
    CHECK_STATUS(target_attributes_get_value(retained.result, "b", "k", &json, &len), TARGET_E_NO_ATTRIBUTE);
    OK(target_attributes_as_object(retained.result, NULL, &json, &len));
    CHECK(strncmp(json, "{\"a\":{", 6) == 0);
    OK(target_attributes_as_object(retained.result, "a", &json, &len));
    CHECK(strstr(json, "\"Ada\"") != NULL);
    OK(target_result_free(retained.result));
    CHECK_STATUS(target_result_free(retained.result), TARGET_E_BAD_HANDLE);
}

/* What is only borrowed cannot be given back, whoever tries and however often; it stays what it is. */
static void *free_from_elsewhere(void *result) {
    CHECK_STATUS(target_result_free(*(target_result *)result), TARGET_E_INVALID_ARG);
    return NULL;
}

static void free_borrowed(target_request request, target_result result, void *user_data) {
    const char *json, *again;
    size_t len;
    (void)request;
    OK(target_result_json(result, &json, &len));
    for (int i = 0; i < 3; i++) CHECK_STATUS(target_result_free(result), TARGET_E_INVALID_ARG);
    join_thread(start_thread(free_from_elsewhere, &result));
    OK(target_result_json(result, &again, NULL));
    CHECK(again == json && strlen(json) == len);
    /* Its own reference can be given back, once. */
    OK(target_result_retain(result));
    OK(target_result_free(result));
    CHECK_STATUS(target_result_free(result), TARGET_E_INVALID_ARG);
    if (((kept *)user_data)->retain) OK(target_result_retain(result));
    ((kept *)user_data)->result = result;
    counter_add(&((kept *)user_data)->done);
}

static void borrowed_is_not_freed(void) {
    target_client client = create_client(edge.config);
    kept borrowed = {0, NULL, 0, false, COUNTER}, retained = {0, NULL, 0, true, COUNTER};
    OK(target_get_offers(client, OFFERS, free_borrowed, &borrowed));
    OK(target_get_offers(client, "not JSON", free_borrowed, &retained));
    counter_wait(&borrowed.done, 1);
    counter_wait(&retained.done, 1);
    OK(target_client_close(client, 1000, NULL));
    CHECK_STATUS(target_result_free(borrowed.result), TARGET_E_BAD_HANDLE);
    CHECK_STATUS(target_result_status(retained.result), TARGET_E_INVALID_JSON);
    OK(target_result_free(retained.result));
    CHECK_STATUS(target_result_free(retained.result), TARGET_E_BAD_HANDLE);
    OK(target_client_destroy(client));
}

/* ---- releases ---- */

typedef struct owned {
    int callbacks, releases;
    bool callback_over;
    int error_in_order;
} owned;

static counter releases = COUNTER;

static void use_owned(target_request request, target_result result, void *user_data) {
    owned *o = (owned *)user_data;
    (void)request;
    (void)result;
    o->callbacks++;
    sleep_ms(1);
    o->callback_over = true;
}

static void release_owned(void *user_data) {
    owned *o = (owned *)user_data;
    o->releases++;
    if (o->callbacks > 0 && !o->callback_over) o->error_in_order = 1;
    counter_add(&releases);
}

static void release_comes_last(void) {
    target_client client = create_client(edge.config);
    static owned all[4][20];
    target_request requests[4];
    for (int i = 0; i < 20; i++) {
        for (int kind = 0; kind < 4; kind++) {
            target_call call = callback_call(use_owned, &all[kind][i], release_owned);
            OK(target_get_offers_ex(client, kind == 1 ? "not JSON" : OFFERS, TARGET_NUL, &call, &requests[kind]));
        }
        (void)target_request_cancel(requests[2]);
        (void)target_request_abandon(requests[3]);
    }
    counter_wait(&releases, 80);
    OK(target_client_close(client, 1000, NULL));
    OK(target_client_destroy(client));
    CHECK_EQ(counter_get(&releases), 80);
    for (int kind = 0; kind < 4; kind++)
        for (int i = 0; i < 20; i++) {
            owned *o = &all[kind][i];
            CHECK_EQ(o->releases, 1);
            CHECK_EQ(o->error_in_order, 0);
            CHECK(kind == 3 ? o->callbacks <= 1 : o->callbacks == 1);
        }
}

/* A refused submit keeps its hands off. */
static void refused_is_not_released(void) {
    counter untouched = COUNTER;
    target_client client = create_client(edge.config);
    OK(target_client_close(client, 0, NULL));
    target_call call = callback_call(count_done, &untouched, count_release);
    target_request request = 77;
    CHECK_STATUS(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, &request), TARGET_E_CLOSED);
    CHECK_EQ(request, 0);
    CHECK_STATUS(target_send_notifications_ex(client, NOTIFICATIONS, TARGET_NUL, &call, NULL), TARGET_E_CLOSED);
    CHECK_STATUS(target_get_attributes_ex(client, "[\"a\"]", 5, NULL, 0, &call, NULL), TARGET_E_CLOSED);
    CHECK_STATUS(target_get_offers(client, OFFERS, count_done, &untouched), TARGET_E_CLOSED);
    target_result result = 77;
    CHECK_STATUS(target_get_offers_sync(client, OFFERS, TARGET_NUL, 0, &result), TARGET_E_CLOSED);
    CHECK_EQ(result, 0);
    OK(target_client_destroy(client));
    CHECK_EQ(counter_get(&untouched), 0);
}

/* ---- abandon ---- */

static counter slow_runs = COUNTER;
static int slow_over;

static void slow(target_request request, target_result result, void *user_data) {
    (void)request, (void)result, (void)user_data;
    counter_add(&slow_runs);
    sleep_ms(60);
    ATOMIC_SET(slow_over, 1);
}

/* What the callback uses may go away when abandon has returned: that waits for a callback that runs. */
static void abandon_waits_for_the_callback(void) {
    target_client client = create_client(edge.config);
    counter gone = COUNTER;
    target_call call = callback_call(slow, &gone, count_release);
    target_request request;
    OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, &request));
    counter_wait(&slow_runs, 1);
    OK(target_request_abandon(request));
    CHECK_EQ(ATOMIC_GET(slow_over), 1);
    counter_wait(&gone, 1);
    CHECK_STATUS(target_request_abandon(request), TARGET_E_BAD_HANDLE);

    /* One that has not begun never begins: it is due, behind the slow one. */
    ATOMIC_SET(slow_over, 0);
    counter never = COUNTER;
    OK(target_get_offers_ex(client, "not JSON", TARGET_NUL, &call, NULL));
    counter_wait(&slow_runs, 2);
    call = callback_call(count_done, &never, NULL);
    OK(target_get_offers_ex(client, "not JSON", TARGET_NUL, &call, &request));
    sleep_ms(10);
    OK(target_request_abandon(request));
    counter_wait(&gone, 2);
    OK(target_client_close(client, 1000, NULL));
    CHECK_EQ(counter_get(&never), 0);
    OK(target_client_destroy(client));
}

/* ---- every export from every callback ---- */

static target_client other; /* a client that the matrix may use */

static void call_everything(target_request own_request, target_result borrowed, target_client own_client) {
    const bool dispatcher = on_dispatcher();
    const char *text;
    size_t len;
    intptr_t fd;
    int32_t state;
    bool flag;
    int64_t integer;
    double number;
    char name[64];
    target_status status;
    target_result result = 0;
    counter ignored = COUNTER;
    (void)ignored;

    CHECK_EQ(target_abi_version(), TARGET_ABI_VERSION);
    CHECK(target_version() && target_cookie_name() && target_location_hint_cookie_name());
    OK(target_status_at(0, &status));
    CHECK(target_status_name(status) != NULL);
    OK(target_visitor_cookie_name("o", name, sizeof name, &len));
    OK(target_init(NULL, &result));

    target_queue queue;
    OK(target_queue_create(&queue));
    OK(target_queue_fd(queue, &fd));
    target_client_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.size = sizeof hooks;
    hooks.queue = queue;
    target_client mine;
    OK(target_client_create(OFFLINE, TARGET_NUL, &hooks, &mine, &result));
    OK(target_client_wait_ready(mine, 1000));
    OK(target_client_state(mine, &state));
    OK(target_client_flush(mine, 100, &result));
    OK(target_result_free(result));
    OK(target_client_stats(mine, &result));
    OK(target_result_free(result));
    CHECK_STATUS(target_client_artifact(mine, &result), TARGET_E_NOT_READY);

    /* Queue style and synchronous: answered although the dispatcher is busy with this very callback. */
    target_call call = queue_call(queue, 5);
    target_request request;
    OK(target_get_offers_ex(other, OFFERS, TARGET_NUL, &call, &request));
    OK(target_send_notifications_ex(mine, NOTIFICATIONS, TARGET_NUL, &call, NULL));
    OK(target_get_attributes_ex(other, "[\"a\"]", 5, NULL, 0, &call, NULL));
    int calls = 0;
    while (calls < 3) {
        target_completion completion;
        CHECK_EQ(target_queue_poll(queue, &completion, 1, 4000), 1);
        calls += completion.kind == TARGET_KIND_CALL;
        OK(target_result_free(completion.result));
    }
    OK(target_queue_wake(queue));
    CHECK_STATUS(target_request_cancel(request), TARGET_E_BAD_HANDLE);
    OK(target_get_offers_sync(other, OFFERS, TARGET_NUL, 4000, &result));
    OK(target_result_status(result));
    OK(target_result_json(result, &text, &len));
    OK(target_result_get(result, "/status", &text, &len));
    OK(target_result_retain(result));
    OK(target_result_free(result));
    OK(target_result_free(result));
    CHECK(target_send_notifications_sync(mine, NOTIFICATIONS, TARGET_NUL, 4000, &result) != TARGET_E_WOULD_DEADLOCK);
    OK(target_result_free(result));
    OK(target_get_attributes_sync(other, "[\"a\"]", 5, NULL, 0, 4000, &result));
    OK(target_attributes_get_value(result, "a", "k", &text, &len));
    OK(target_attributes_get_string(result, "a", "name", &text, &len));
    OK(target_attributes_get_bool(result, "a", "on", &flag));
    OK(target_attributes_get_int64(result, "a", "k", &integer));
    OK(target_attributes_get_double(result, "a", "pi", &number));
    OK(target_attributes_as_object(result, "a", &text, &len));
    OK(target_result_free(result));

    /* Callback style: accepted here, called back later; ended here, called back never. */
    static counter later = COUNTER;
    OK(target_get_offers(other, OFFERS, count_done, &later));
    OK(target_send_notifications(other, NOTIFICATIONS, count_done, &later));
    OK(target_get_attributes(other, "[\"a\"]", NULL, count_done, &later));
    call = callback_call(count_done, &later, count_release);
    OK(target_get_offers_ex(other, OFFERS, TARGET_NUL, &call, &request));
    OK(target_request_cancel(request));
    OK(target_get_offers_ex(other, OFFERS, TARGET_NUL, &call, &request));
    OK(target_request_abandon(request));

    /* The very call that this is the callback of. */
    if (own_request != 0) {
        (void)target_request_cancel(own_request);
        (void)target_request_abandon(own_request);
        (void)target_result_status(borrowed);
    }
    if (own_client != 0) OK(target_client_state(own_client, &state));

    if (dispatcher) {
        CHECK_STATUS(target_client_close(mine, 1000, &result), TARGET_E_WOULD_DEADLOCK);
        CHECK_STATUS(target_client_close(other, 1000, NULL), TARGET_E_WOULD_DEADLOCK);
        CHECK_STATUS(target_shutdown(1000), TARGET_E_WOULD_DEADLOCK);
        CHECK_EQ(target_client_wait_ready(mine, 0), TARGET_OK); /* and nothing was closed by that */
    }
    OK(target_client_destroy(mine));
    OK(target_queue_destroy(queue));
}

static counter matrix = COUNTER;
static counter matrix_releases = COUNTER;

static void everything_in_done(target_request request, target_result result, void *user_data) {
    (void)user_data;
    CHECK(on_dispatcher());
    call_everything(request, result, 0);
    OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF));
    OK(target_set_log_queue(0, TARGET_LOG_OFF));
    counter_add(&matrix);
}

static void everything_in_release(void *user_data) {
    (void)user_data;
    call_everything(0, 0, 0);
    counter_add(&matrix_releases);
}

static void everything_in_event(target_client client, const char *json, size_t len, void *user_data) {
    (void)user_data;
    CHECK(on_dispatcher() && json[len] == 0);
    static bool once;
    if (!once) {
        once = true;
        call_everything(0, 0, client);
        counter_add(&matrix);
    }
}

static void everything_in_log(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
    (void)user_data;
    CHECK(on_dispatcher() && level >= TARGET_LOG_ERROR && level <= TARGET_LOG_TRACE);
    CHECK(strncmp(target, "target_sdk", 10) == 0 && message[len] == 0);
    static bool once;
    if (!once) {
        once = true;
        call_everything(0, 0, 0);
        OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF)); /* ends itself, from inside */
        counter_add(&matrix);
    }
}

static void logs_nothing(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
    (void)level, (void)target, (void)message, (void)len, (void)user_data;
}

static void everything_from_everywhere(void) {
    alarm((unsigned)(10 * slowness())); /* a deadlock ends here */
    other = create_client(edge.config);

    target_call call = callback_call(everything_in_done, NULL, everything_in_release);
    OK(target_get_offers_ex(other, OFFERS, TARGET_NUL, &call, NULL));
    counter_wait(&matrix, 1);
    counter_wait(&matrix_releases, 1);

    target_client_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.size = sizeof hooks;
    hooks.on_event = everything_in_event;
    hooks.release = everything_in_release;
    target_client client;
    OK(target_client_create(edge.config, TARGET_NUL, &hooks, &client, NULL));
    counter_wait(&matrix, 2);
    OK(target_client_destroy(client));
    counter_wait(&matrix_releases, 2);

    OK(target_set_log(everything_in_log, NULL, everything_in_release, TARGET_LOG_TRACE));
    /* A misspelt option is worth a warning. */
    target_client noisy = create_client("{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"offline\":true,\"tiemout\":1}");
    counter_wait(&matrix, 3);
    counter_wait(&matrix_releases, 3);
    OK(target_client_destroy(noisy));

    /* Replaced from a thread of the host's. */
    OK(target_set_log(logs_nothing, NULL, everything_in_release, TARGET_LOG_TRACE));
    OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF));
    counter_wait(&matrix_releases, 4);
    OK(target_client_close(other, 1000, NULL));
    OK(target_client_destroy(other));
    alarm(0);
}

/* A release without a function would never run: refused, and nothing is replaced. */
static void no_log_to_release(void) {
    counter gone = COUNTER;
    OK(target_set_log(logs_nothing, &gone, count_release, TARGET_LOG_WARN));
    CHECK_STATUS(target_set_log(NULL, &gone, count_release, TARGET_LOG_WARN), TARGET_E_INVALID_ARG);
    CHECK_EQ(counter_get(&gone), 0);
    OK(target_set_log(NULL, &gone, NULL, TARGET_LOG_OFF));
    counter_wait(&gone, 1);
}

/* Without threads of the library the release runs in the call that ends the log. */
static void a_log_is_released_without_threads(void) {
    OK(target_shutdown(5000));
    counter gone = COUNTER;
    OK(target_set_log(logs_nothing, &gone, count_release, TARGET_LOG_WARN));
    OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF));
    CHECK_EQ(counter_get(&gone), 1);
    OK(target_set_log(logs_nothing, &gone, count_release, TARGET_LOG_WARN));
    OK(target_set_log_queue(0, TARGET_LOG_OFF));
    CHECK_EQ(counter_get(&gone), 2);
}

static void count_line(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
    (void)level, (void)target, (void)message, (void)len;
    counter_add((counter *)user_data);
}

/* Many places of the library have something to say; what it keeps of them is not lost when the process ends. */
static void warnings_are_limited_without_a_trace(void) {
    static counter lines = COUNTER;
    OK(target_set_log(count_line, &lines, NULL, TARGET_LOG_INFO));
    target_client noisy = create_client("{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"offline\":true,\"tiemout\":1}");
    counter_wait(&lines, 1);
    OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF));
    OK(target_client_destroy(noisy));
}

/* Logs that a host's function ends after a shutdown gave up on it. */
static counter log_runs = COUNTER, log_may_go_on = COUNTER, log_over = COUNTER, log_released = COUNTER;

static void stuck_log(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
    (void)level, (void)target, (void)message, (void)len, (void)user_data;
    if (counter_get(&log_runs) > 0) return;
    counter_add(&log_runs);
    counter_wait(&log_may_go_on, 1);
    OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF));
    counter_add(&log_over);
}

static void log_ended_by_a_left_behind_thread(void) {
    OK(target_set_log(stuck_log, &log_released, count_release, TARGET_LOG_TRACE));
    target_client client = create_client("{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"offline\":true,\"tiemout\":1}");
    counter_wait(&log_runs, 1);
    OK(target_client_destroy(client));
    CHECK_STATUS(target_shutdown(20), TARGET_E_CALLBACK_STUCK);
    counter_add(&log_may_go_on);
    counter_wait(&log_over, 1);
    counter_wait(&log_released, 1);
}

int main(int argc, char **argv) {
    server_start(&edge, ",\"timeout\":20000");
    never_inline(argc > 1 ? atoi(argv[1]) : 100);
    results();
    borrowed_is_not_freed();
    release_comes_last();
    refused_is_not_released();
    abandon_waits_for_the_callback();
    everything_from_everywhere();
    no_log_to_release();
    a_log_is_released_without_threads();
    warnings_are_limited_without_a_trace();
    OK(target_shutdown(5000));
    if (slowness() == 1) log_ended_by_a_left_behind_thread(); /* for valgrind that thread is a leak, and it is right */
    OK(target_shutdown(5000));
    server_stop(&edge);
    CHECK(threads_fall_to(1));
    return 0;
}
