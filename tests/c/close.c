/* Ends of clients: bounded, final, and without leftovers. */
#include "ends.h"

static int report_number(target_result report, const char *pointer) {
    const char *text;
    OK(target_result_get(report, pointer, &text, NULL));
    return atoi(text);
}

/* What is in flight finishes, when there is time. */
static void drains(void) {
    ATOMIC_SET(edge.delay_ms, 50);
    target_client client = online();
    tally t = empty;
    submit(client, &t, 20);
    target_result report = 0;
    long started = now_ms();
    OK(target_client_close(client, (uint32_t)(5000 * slowness()), &report));
    CHECK(now_ms() - started < 3000 * slowness());
    ATOMIC_SET(t.ended, 1);
    CHECK_EQ(counter_get(&t.done), 20);
    CHECK_EQ(counter_get(&t.released), 20);
    CHECK_EQ(t.ok, 20);
    CHECK_EQ(report_number(report, "/completed"), 20);
    CHECK_EQ(report_number(report, "/cancelled"), 0);
    OK(target_result_free(report));
    refuses_everything(client);

    /* Again: the same end, at once. */
    OK(target_client_close(client, 1000, &report));
    OK(target_result_free(report));
    OK(target_client_destroy(client));
    CHECK_STATUS(target_client_close(client, 1000, NULL), TARGET_E_BAD_HANDLE);
    CHECK_STATUS(target_client_destroy(client), TARGET_E_BAD_HANDLE);
    CHECK_EQ(t.late, 0);
    ATOMIC_SET(edge.delay_ms, 0);
}

static void *close_in_time(void *client) {
    OK(target_client_close(*(target_client *)client, (uint32_t)(5000 * slowness()), NULL));
    return NULL;
}

/* Nothing new is taken while it drains; another close waits for the same end. */
static void refuses_while_draining(void) {
    ATOMIC_SET(edge.delay_ms, (int)(300 * slowness()));
    target_client client = online();
    tally t = empty;
    submit(client, &t, 3);
    pthread_t closers[2] = {start_thread(close_in_time, &client), start_thread(close_in_time, &client)};
    int32_t state = 0;
    for (int i = 0; i < 100 && state != TARGET_STATE_DRAINING; i++) {
        sleep_ms(1);
        OK(target_client_state(client, &state));
    }
    CHECK_EQ(state, TARGET_STATE_DRAINING);
    CHECK_STATUS(target_get_offers(client, OFFERS, count_done, NULL), TARGET_E_CLOSED);
    CHECK_EQ(counter_get(&t.done), 0);
    for (int i = 0; i < 2; i++) {
        join_thread(closers[i]);
        CHECK_EQ(counter_get(&t.released), 3);
    }
    CHECK_EQ(t.ok, 3);
    refuses_everything(client);
    OK(target_client_destroy(client));
    ATOMIC_SET(edge.delay_ms, 0);
}

/* ---- others end it while one thread drains ---- */

typedef struct closing {
    target_client client;
    uint32_t drain_ms;
    target_status status;
    target_result report;
    long took;
} closing;

static void *close_and_report(void *argument) {
    closing *c = (closing *)argument;
    long started = now_ms();
    c->status = target_client_close(c->client, c->drain_ms, &c->report);
    c->took = now_ms() - started;
    return NULL;
}

/* A close that has begun: it waits for the calls in flight, which the silent server does not answer. */
static pthread_t start_closing(closing *c) {
    pthread_t thread = start_thread(close_and_report, c);
    int32_t state = 0;
    for (long until = now_ms() + 10000 * slowness(); state != TARGET_STATE_DRAINING && now_ms() < until; sleep_ms(1))
        OK(target_client_state(c->client, &state));
    CHECK_EQ(state, TARGET_STATE_DRAINING);
    return thread;
}

static void check_report(target_result report, int completed, int cancelled) {
    CHECK_EQ(report_number(report, "/completed"), completed);
    CHECK_EQ(report_number(report, "/cancelled"), cancelled);
    OK(target_result_free(report));
}

/* A second close has no say: what is in flight still has the first one's time. */
static void a_second_close_does_not_hasten_the_first(void) {
    ATOMIC_SET(edge.mode, SERVER_IS_SILENT);
    tally t = empty;
    closing first = {online(), 60000, 99, 0, 0}, second = {first.client, 0, 99, 0, 0};
    submit(first.client, &t, 3);
    pthread_t first_thread = start_closing(&first);
    close_and_report(&second);
    CHECK_EQ(second.status, TARGET_E_TIMEOUT);
    CHECK(second.took >= 200 && second.took < 200 + 5000 * slowness());
    CHECK_EQ(counter_get(&t.done), 0);
    ATOMIC_SET(edge.mode, SERVER_ANSWERS);
    join_thread(first_thread);
    OK(first.status);
    CHECK_EQ(t.ok, 3);
    CHECK_EQ(counter_get(&t.released), 3);
    check_report(first.report, 3, 0);
    check_report(second.report, 0, 0); /* nothing had ended */
    OK(target_client_destroy(first.client));
}

/* Nor does it put it off, and both say what became of the calls. */
static void a_second_close_does_not_put_off_the_first(void) {
    ATOMIC_SET(edge.mode, SERVER_IS_SILENT);
    tally t = empty;
    closing first = {online(), (uint32_t)(500 * slowness()), 99, 0, 0}, second = {first.client, 60000, 99, 0, 0};
    submit(first.client, &t, 3);
    pthread_t first_thread = start_closing(&first);
    close_and_report(&second);
    join_thread(first_thread);
    CHECK(second.took < 30000 * slowness());
    if (slowness() == 1) OK(first.status); /* 200 ms may not be enough for valgrind */
    counter_wait(&t.released, 3);
    CHECK_EQ(t.ok, 0);
    check_report(first.report, 0, 3);
    int seen = report_number(second.report, "/cancelled"); /* 0 if it came too late */
    CHECK(seen == 3 || second.took < 500);
    check_report(second.report, 0, seen);
    OK(target_client_destroy(first.client));
    ATOMIC_SET(edge.mode, SERVER_ANSWERS);
}

/* Destroying and shutting down end a drain at once, and its report does not take the calls they cut off for completed ones. */
static void destroy_and_shutdown_end_a_drain(void) {
    for (int how = 0; how < 2; how++) {
        ATOMIC_SET(edge.mode, SERVER_IS_SILENT);
        tally t = empty;
        closing c = {online(), 120000, 99, 0, 0};
        submit(c.client, &t, 3);
        target_queue queue;
        OK(target_queue_create(&queue));
        target_call call = queue_call(queue, 1);
        OK(target_get_offers_ex(c.client, OFFERS, TARGET_NUL, &call, NULL));
        pthread_t thread = start_closing(&c);
        if (how == 0) OK(target_client_destroy(c.client));
        else OK(target_shutdown((uint32_t)(10000 * slowness())));
        join_thread(thread);
        OK(c.status);
        CHECK(c.took < 60000);
        counter_wait(&t.released, 3);
        CHECK_EQ(t.closed, 3);
        check_report(c.report, 0, 4);
        target_completion completion;
        CHECK_EQ(target_queue_poll(queue, &completion, 1, 1000), 1);
        CHECK_STATUS(completion.status, TARGET_E_CLOSED);
        OK(target_result_free(completion.result));
        OK(target_queue_destroy(queue));
        if (how == 1) OK(target_client_destroy(c.client));
        ATOMIC_SET(edge.mode, SERVER_ANSWERS);
    }
}

/* What does not finish in time is cancelled, within the bound. */
static void cancels_what_is_left(uint32_t drain_ms, int calls) {
    ATOMIC_SET(edge.mode, SERVER_IS_SILENT);
    target_client client = online();
    tally t = empty;
    submit(client, &t, calls);
    target_result report = 0;
    long started = now_ms();
    target_status status = target_client_close(client, drain_ms, &report);
    long took = now_ms() - started;
    if (status == TARGET_E_CALLBACK_STUCK && slowness() > 1) {
        /* 200 ms are not much under valgrind on a busy machine: the callbacks that had no turn are released without it. */
        OK(target_result_free(report));
        counter_wait(&t.released, calls);
        OK(target_client_destroy(client));
        ATOMIC_SET(edge.mode, SERVER_ANSWERS);
        return;
    }
    OK(status);
    ATOMIC_SET(t.ended, 1);
    CHECK(took >= (long)drain_ms - 1 && took <= (long)drain_ms + 200 + slack_ms());
    CHECK_EQ(counter_get(&t.done), calls);
    CHECK_EQ(counter_get(&t.released), calls);
    CHECK_EQ(t.cancelled, calls);
    CHECK_EQ(report_number(report, "/cancelled"), calls);
    CHECK_EQ(report_number(report, "/completed"), 0);
    OK(target_result_free(report));
    refuses_everything(client);
    OK(target_client_destroy(client));
    sleep_ms(20);
    CHECK_EQ(t.late, 0);
    ATOMIC_SET(edge.mode, SERVER_ANSWERS);
}

/* ---- a callback that does not return ---- */

static void gives_up_on_a_stuck_callback(void) {
    target_client client = online(), innocent = online();
    tally t = empty;
    target_call call = callback_call(stick, &stuck_released, count_release);
    OK(target_get_offers_ex(client, "not JSON", TARGET_NUL, &call, NULL));
    counter_wait(&stuck_runs, 1);
    submit(client, &t, 10);
    long started = now_ms();
    CHECK_STATUS(target_client_close(client, 50, NULL), TARGET_E_CALLBACK_STUCK);
    long took = now_ms() - started;
    CHECK(took >= 249 && took <= 250 + slack_ms());
    ATOMIC_SET(t.ended, 1);

    /* The rest of the library goes on: queues, synchronous calls, and new callbacks once the stuck one returns. */
    target_result result;
    OK(target_get_offers_sync(innocent, OFFERS, TARGET_NUL, 0, &result));
    OK(target_result_free(result));
    tally other = empty;
    submit(innocent, &other, 5);
    sleep_ms(30);
    CHECK_EQ(counter_get(&other.done), 0);
    counter_add(&stuck_may_go_on);
    counter_wait(&other.done, 5);
    counter_wait(&stuck_released, 1);
    counter_wait(&t.released, 10); /* released, though not called */
    CHECK_EQ(counter_get(&t.done), 0);
    CHECK_EQ(t.late, 0);
    OK(target_client_close(innocent, 1000, NULL));
    OK(target_client_destroy(innocent));
    OK(target_client_destroy(client));
}

/* ---- destroy ---- */

static void destroy_does_not_block(void) {
    ATOMIC_SET(edge.mode, SERVER_IS_SILENT);
    target_client client = online();
    tally t = empty;
    submit(client, &t, 100);
    long started = now_ms();
    OK(target_client_destroy(client));
    CHECK(now_ms() - started <= slack_ms());
    counter_wait(&t.released, 100);
    CHECK_EQ(counter_get(&t.done), 100);
    CHECK_EQ(t.closed, 100);
    int32_t state;
    CHECK_STATUS(target_client_state(client, &state), TARGET_E_BAD_HANDLE);
    ATOMIC_SET(edge.mode, SERVER_ANSWERS);

    /* Not by a callback that runs either. */
    client = online();
    counter_wait(&stuck_may_go_on, 1);
    stuck_may_go_on.value = 0;
    stuck_runs.value = 0;
    target_call call = callback_call(stick, NULL, NULL);
    OK(target_get_offers_ex(client, "not JSON", TARGET_NUL, &call, NULL));
    counter_wait(&stuck_runs, 1);
    started = now_ms();
    OK(target_client_destroy(client));
    CHECK(now_ms() - started <= slack_ms());
    counter_add(&stuck_may_go_on);
}

typedef struct race {
    target_client client;
    counter *start;
    int close;
    target_status status;
} race;

static void *end_client(void *argument) {
    race *r = (race *)argument;
    counter_wait(r->start, 1);
    r->status = r->close ? target_client_close(r->client, 5, NULL) : target_client_destroy(r->client);
    return NULL;
}

static void ends_race(int rounds) {
    for (int round = 0; round < rounds; round++) {
        counter start = COUNTER;
        target_client client = online();
        tally t = empty;
        submit(client, &t, 4);
        race racers[4];
        pthread_t workers[4];
        for (int i = 0; i < 4; i++) {
            race r = {client, &start, i < 2, 99};
            racers[i] = r;
            workers[i] = start_thread(end_client, &racers[i]);
        }
        counter_add(&start);
        int destroyed = 0;
        for (int i = 0; i < 4; i++) {
            join_thread(workers[i]);
            CHECK(racers[i].status == TARGET_OK || racers[i].status == TARGET_E_BAD_HANDLE);
            destroyed += !racers[i].close && racers[i].status == TARGET_OK;
        }
        CHECK_EQ(destroyed, 1);
        counter_wait(&t.released, 4);
        CHECK_EQ(counter_get(&t.done), 4);
    }
}

/* ---- hooks ---- */

static counter events = COUNTER, hooks_released = COUNTER;
static int events_after_release;

static void count_event(target_client client, const char *json, size_t len, void *user_data) {
    (void)client, (void)user_data;
    CHECK(len == strlen(json) && json[0] == '{');
    if (counter_get(&hooks_released) > 0) ATOMIC_ADD(events_after_release, 1);
    counter_add(&events);
}

static void release_hooks(void *user_data) {
    (void)user_data;
    counter_add(&hooks_released);
}

static void hooks_are_released_once(void) {
    for (int destroy_only = 0; destroy_only < 2; destroy_only++) {
        hooks_released.value = 0;
        events.value = 0;
        target_client_hooks hooks;
        memset(&hooks, 0, sizeof hooks);
        hooks.size = sizeof hooks;
        hooks.on_event = count_event;
        hooks.release = release_hooks;
        target_client client;
        OK(target_client_create(edge.config, TARGET_NUL, &hooks, &client, NULL));
        counter_wait(&events, 1);
        if (!destroy_only) {
            OK(target_client_close(client, 100, NULL));
            CHECK_EQ(counter_get(&hooks_released), 1);
        }
        OK(target_client_destroy(client));
        counter_wait(&hooks_released, 1);
        sleep_ms(10);
        CHECK_EQ(counter_get(&hooks_released), 1);
        CHECK_EQ(events_after_release, 0);
    }
}

/* ---- connections ---- */

static void close_ends_connections(void) {
    int before = open_fds();
    target_client client = online();
    target_queue queue;
    OK(target_queue_create(&queue));
    target_call call = queue_call(queue, 1);
    for (int i = 0; i < 8; i++) OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL));
    target_completion completion;
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(target_queue_poll(queue, &completion, 1, (int)(10000 * slowness())), 1);
        OK(completion.status);
        OK(target_result_free(completion.result));
    }
    OK(target_queue_destroy(queue));
    CHECK(open_fds() >= before + 2); /* both ends of a connection at least, kept for the next call */
    OK(target_client_close(client, 100, NULL));
    long until = now_ms() + 10000 * slowness();
    while (open_fds() > before && now_ms() < until) sleep_ms(1);
    CHECK_EQ(open_fds(), before);
    OK(target_client_destroy(client));
}

/* ---- the last event ---- */

static void *call_often(void *client) {
    target_result answer;
    for (int i = 0; i < 20; i++)
        if (target_get_offers_sync(*(target_client *)client, OFFERS, TARGET_NUL, 200, &answer) != TARGET_E_CLOSED)
            OK(target_result_free(answer));
    return NULL;
}

/* Closed while other threads tell events (each failed call is one): "closed" comes, comes once, and is the last. */
static void closed_is_the_last_event(int rounds) {
    target_queue queue;
    OK(target_queue_create(&queue));
    for (int round = 0; round < rounds; round++) {
        target_client_hooks hooks;
        memset(&hooks, 0, sizeof hooks);
        hooks.size = sizeof hooks;
        hooks.queue = queue;
        hooks.tag = (uint64_t)round;
        target_client client;
        /* Refused at once: nobody listens on port 1. */
        OK(target_client_create(
            "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"serverDomain\":\"127.0.0.1:1\",\"secure\":false,"
            "\"pinServerDomain\":true,\"maxRetries\":0}",
            TARGET_NUL, &hooks, &client, NULL));
        pthread_t callers[2];
        for (int i = 0; i < 2; i++) callers[i] = start_thread(call_often, &client);
        struct timespec nap = {0, (round % 8) * 500000};
        nanosleep(&nap, NULL);
        target_status status = target_client_close(client, round % 2 ? 0 : 100, NULL);
        if (slowness() > 1) /* 200 ms may not be enough for valgrind on a busy machine */
            for (int again = 0; again < 20 && status == TARGET_E_CALLBACK_STUCK; again++)
                status = target_client_close(client, 100, NULL);
        OK(status);
        /* After close has returned, all events are there. */
        int last = 0;
        target_completion completion;
        while (target_queue_poll(queue, &completion, 1, 0) == 1) {
            const char *type, *sequence;
            CHECK_EQ(completion.tag, round);
            OK(target_result_get(completion.result, "/type", &type, NULL));
            OK(target_result_get(completion.result, "/sequence", &sequence, NULL));
            CHECK(!last);
            last = strcmp(type, "\"closed\"") == 0;
            OK(target_result_free(completion.result));
        }
        CHECK(last);
        for (int i = 0; i < 2; i++) join_thread(callers[i]);
        OK(target_client_destroy(client));
        CHECK_EQ(target_queue_poll(queue, &completion, 1, 0), 0);
    }
    OK(target_queue_destroy(queue));
}

/* A host that does not poll for events loses some, is told how many, and still hears of the end. */
static void events_are_bounded(void) {
    target_queue queue;
    OK(target_queue_create(&queue));
    target_client_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.size = sizeof hooks;
    hooks.queue = queue;
    target_client client;
    OK(target_client_create(
        "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"serverDomain\":\"127.0.0.1:1\",\"secure\":false,"
        "\"pinServerDomain\":true,\"maxRetries\":0}",
        TARGET_NUL, &hooks, &client, NULL));
    const int failures = 1500;
    target_result answer;
    for (int i = 0; i < failures; i++) {
        CHECK(target_get_offers_sync(client, OFFERS, TARGET_NUL, 5000, &answer) != TARGET_OK);
        OK(target_result_free(answer));
    }
    OK(target_client_close(client, 100, NULL));
    OK(target_client_destroy(client));
    long taken = 0, dropped = 0, expected = 1;
    bool closed = false;
    target_completion completion;
    while (target_queue_poll(queue, &completion, 1, 0) == 1) {
        const char *text;
        long lost = 0;
        if (target_result_get(completion.result, "/dropped", &text, NULL) == TARGET_OK) lost = atol(text);
        dropped += lost;
        OK(target_result_get(completion.result, "/sequence", &text, NULL));
        CHECK_EQ(atol(text), expected + lost); /* no gap that is not told */
        expected = atol(text) + 1;
        OK(target_result_get(completion.result, "/type", &text, NULL));
        closed = strcmp(text, "\"closed\"") == 0;
        OK(target_result_free(completion.result));
        taken++;
    }
    CHECK(closed);
    CHECK_EQ(taken, 1024 + 1);
    CHECK(taken + dropped > failures);
    OK(target_queue_destroy(queue));
}

int main(int argc, char **argv) {
    int scale = argc > 1 ? atoi(argv[1]) : 200;
    server_start(&edge, ",\"timeout\":20000");
    drains();
    refuses_while_draining();
    a_second_close_does_not_hasten_the_first();
    a_second_close_does_not_put_off_the_first();
    destroy_and_shutdown_end_a_drain();
    cancels_what_is_left(0, scale / 4);
    cancels_what_is_left(100, scale / 4);
    gives_up_on_a_stuck_callback();
    destroy_does_not_block();
    ends_race(scale / 4);
    hooks_are_released_once();
    close_ends_connections();
    closed_is_the_last_event(scale / 2);
    events_are_bounded();
    OK(target_shutdown(5000));
    server_stop(&edge);
    CHECK(threads_fall_to(1));
    return 0;
}
