/* Every export, callable by its place in a table: what holds for all of them is tested with all of them. C99 and C++17.
 * The harness compares the names with tests/abi/symbols.txt, and makes documented.h out of the header's comments. */
#ifndef EXPORTS_H
#define EXPORTS_H

#include "server.h"

#include "documented.h"

/* What an export is called with. */
typedef struct world {
    target_client client;
    target_request request;
    target_queue queue;
    target_result result;
    uint32_t wait_ms;
    target_done_fn on_done; /* of calls in callback style */
    void *user_data;
    target_free_fn release;
} world;

#define EXPORT(name) static inline target_status call_##name(const world *w)
#define JUNK 0x5a5a5a5a5a5a5a5au

/* An owned result that came out of a call; 0 if none did. */
static inline target_status and_free(target_status status, target_result result) {
    if (result != 0) OK(target_result_free(result));
    return status;
}

EXPORT(target_abi_version) {
    (void)w;
    CHECK_EQ(target_abi_version(), TARGET_ABI_VERSION);
    return TARGET_OK;
}
EXPORT(target_version) {
    (void)w;
    CHECK(strchr(target_version(), '.') != NULL);
    return TARGET_OK;
}
EXPORT(target_status_name) {
    (void)w;
    CHECK(strcmp(target_status_name(TARGET_E_TIMEOUT), "TARGET_E_TIMEOUT") == 0);
    return TARGET_OK;
}
EXPORT(target_status_at) {
    (void)w;
    target_status out;
    return target_status_at(1, &out);
}
EXPORT(target_init) {
    (void)w;
    target_result error = JUNK;
    target_status status = target_init(NULL, &error);
    CHECK_EQ(error, 0);
    return status;
}
EXPORT(target_shutdown) { return target_shutdown(w->wait_ms); }
EXPORT(target_set_log) {
    (void)w;
    return target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF);
}
EXPORT(target_set_log_queue) {
    target_status status = target_set_log_queue(w->queue, TARGET_LOG_WARN);
    if (status == TARGET_OK) OK(target_set_log_queue(0, TARGET_LOG_OFF));
    return status;
}
EXPORT(target_cookie_name) {
    (void)w;
    CHECK(strcmp(target_cookie_name(), "mbox") == 0);
    return TARGET_OK;
}
EXPORT(target_location_hint_cookie_name) {
    (void)w;
    CHECK(strcmp(target_location_hint_cookie_name(), "mboxEdgeCluster") == 0);
    return TARGET_OK;
}
EXPORT(target_visitor_cookie_name) {
    (void)w;
    char name[16];
    return target_visitor_cookie_name("o", name, sizeof name, NULL);
}

EXPORT(target_client_create) {
    target_client_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.size = sizeof hooks;
    hooks.queue = w->queue;
    target_client made = JUNK;
    target_result error = JUNK;
    target_status status = target_client_create(OFFLINE, TARGET_NUL, &hooks, &made, &error);
    CHECK(error == 0 || status != TARGET_OK);
    CHECK((made != 0) == (status == TARGET_OK));
    if (made != 0) OK(target_client_destroy(made));
    return and_free(status, error);
}
EXPORT(target_client_state) {
    int32_t state = 77;
    target_status status = target_client_state(w->client, &state);
    CHECK(state >= TARGET_STATE_STARTING && state <= TARGET_STATE_CLOSED);
    return status;
}
EXPORT(target_client_wait_ready) { return target_client_wait_ready(w->client, w->wait_ms); }
EXPORT(target_client_flush) {
    target_result out = JUNK;
    target_status status = target_client_flush(w->client, w->wait_ms, &out);
    return and_free(status, out);
}
EXPORT(target_client_stats) {
    target_result out = JUNK;
    target_status status = target_client_stats(w->client, &out);
    return and_free(status, out);
}
EXPORT(target_client_artifact) {
    target_result out = JUNK;
    target_status status = target_client_artifact(w->client, &out);
    return and_free(status, out);
}
EXPORT(target_client_close) {
    target_result out = JUNK;
    target_status status = target_client_close(w->client, w->wait_ms, &out);
    return and_free(status, out);
}
EXPORT(target_client_destroy) { return target_client_destroy(w->client); }

#define NAMES "[\"a\"]"
static inline target_call call_of(const world *w) { return callback_call(w->on_done, w->user_data, w->release); }
#define EX(name, ...) \
    EXPORT(name) { \
        target_call call = call_of(w); \
        target_request request = JUNK; \
        target_status status = name(w->client, __VA_ARGS__, TARGET_NUL, &call, &request); \
        CHECK((request != 0) == (status == TARGET_OK)); \
        return status; \
    }
#define SYNC(name, ...) \
    EXPORT(name) { \
        target_result out = JUNK; \
        target_status status = name(w->client, __VA_ARGS__, TARGET_NUL, w->wait_ms, &out); \
        if (out != 0) CHECK_STATUS(target_result_status(out), status); \
        return and_free(status, out); \
    }
EXPORT(target_get_offers) { return target_get_offers(w->client, OFFERS, w->on_done, w->user_data); }
EX(target_get_offers_ex, OFFERS)
SYNC(target_get_offers_sync, OFFERS)
EXPORT(target_send_notifications) { return target_send_notifications(w->client, NOTIFICATIONS, w->on_done, w->user_data); }
EX(target_send_notifications_ex, NOTIFICATIONS)
SYNC(target_send_notifications_sync, NOTIFICATIONS)
EXPORT(target_get_attributes) { return target_get_attributes(w->client, NAMES, NULL, w->on_done, w->user_data); }
EX(target_get_attributes_ex, NAMES, TARGET_NUL, OFFERS)
SYNC(target_get_attributes_sync, NAMES, TARGET_NUL, OFFERS)
EXPORT(target_request_cancel) { return target_request_cancel(w->request); }
EXPORT(target_request_abandon) { return target_request_abandon(w->request); }

EXPORT(target_queue_create) {
    (void)w;
    target_queue made = JUNK;
    target_status status = target_queue_create(&made);
    CHECK((made != 0) == (status == TARGET_OK));
    if (made != 0) OK(target_queue_destroy(made));
    return status;
}
EXPORT(target_queue_fd) {
    intptr_t fd = 77;
    target_status status = target_queue_fd(w->queue, &fd);
    CHECK(status == TARGET_OK ? fd > 2 : fd == -1);
    return status;
}
EXPORT(target_queue_poll) {
    target_completion out;
    int32_t count = target_queue_poll(w->queue, &out, 1, 0);
    if (count == 1) return and_free(TARGET_OK, out.result);
    return count;
}
EXPORT(target_queue_wake) { return target_queue_wake(w->queue); }
EXPORT(target_queue_destroy) { return target_queue_destroy(w->queue); }

EXPORT(target_result_status) { return target_result_status(w->result); }
#define TEXT(name, ...) \
    EXPORT(name) { \
        const char *text = "junk"; \
        size_t len = 77; \
        target_status status = name(w->result, __VA_ARGS__); \
        CHECK(status == TARGET_OK ? strlen(text) == len : text == NULL && len == 0); \
        return status; \
    }
EXPORT(target_result_json) {
    const char *text = "junk";
    size_t len = 77;
    target_status status = target_result_json(w->result, &text, &len);
    CHECK(status == TARGET_OK ? strlen(text) == len : text == NULL && len == 0);
    return status;
}
TEXT(target_result_get, "/status", &text, &len)
EXPORT(target_result_retain) {
    target_status status = target_result_retain(w->result);
    if (status == TARGET_OK) OK(target_result_free(w->result));
    return status;
}
EXPORT(target_result_free) { return target_result_free(w->result); }
TEXT(target_attributes_get_value, "a", "k", &text, &len)
TEXT(target_attributes_get_string, "a", "name", &text, &len)
TEXT(target_attributes_as_object, "a", &text, &len)
EXPORT(target_attributes_get_bool) {
    bool out = true;
    return target_attributes_get_bool(w->result, "a", "on", &out);
}
EXPORT(target_attributes_get_int64) {
    int64_t out = 77;
    return target_attributes_get_int64(w->result, "a", "k", &out);
}
EXPORT(target_attributes_get_double) {
    double out = 77;
    return target_attributes_get_double(w->result, "a", "pi", &out);
}

/* The handle that an export is about: a bad one must make it fail. */
typedef enum subject { NONE, CLIENT, REQUEST, QUEUE, RESULT } subject;

typedef struct export_entry {
    const char *name;
    target_status (*call)(const world *);
    subject about;
} export_entry;

#define E(name, about) {#name, call_##name, about}
static const export_entry exports[] = {
    E(target_abi_version, NONE),
    E(target_attributes_as_object, RESULT),
    E(target_attributes_get_bool, RESULT),
    E(target_attributes_get_double, RESULT),
    E(target_attributes_get_int64, RESULT),
    E(target_attributes_get_string, RESULT),
    E(target_attributes_get_value, RESULT),
    E(target_client_artifact, CLIENT),
    E(target_client_close, CLIENT),
    E(target_client_create, QUEUE), /* of its hooks; a 0 there is none */
    E(target_client_destroy, CLIENT),
    E(target_client_flush, CLIENT),
    E(target_client_state, CLIENT),
    E(target_client_stats, CLIENT),
    E(target_client_wait_ready, CLIENT),
    E(target_cookie_name, NONE),
    E(target_get_attributes, CLIENT),
    E(target_get_attributes_ex, CLIENT),
    E(target_get_attributes_sync, CLIENT),
    E(target_get_offers, CLIENT),
    E(target_get_offers_ex, CLIENT),
    E(target_get_offers_sync, CLIENT),
    E(target_init, NONE),
    E(target_location_hint_cookie_name, NONE),
    E(target_queue_create, NONE),
    E(target_queue_destroy, QUEUE),
    E(target_queue_fd, QUEUE),
    E(target_queue_poll, QUEUE),
    E(target_queue_wake, QUEUE),
    E(target_request_abandon, REQUEST),
    E(target_request_cancel, REQUEST),
    E(target_result_free, RESULT),
    E(target_result_get, RESULT),
    E(target_result_json, RESULT),
    E(target_result_retain, RESULT),
    E(target_result_status, RESULT),
    E(target_send_notifications, CLIENT),
    E(target_send_notifications_ex, CLIENT),
    E(target_send_notifications_sync, CLIENT),
    E(target_set_log, NONE),
    E(target_set_log_queue, QUEUE), /* a 0 there is none */
    E(target_shutdown, NONE),
    E(target_status_at, NONE),
    E(target_status_name, NONE),
    E(target_version, NONE),
    E(target_visitor_cookie_name, NONE),
};
#undef E
enum { EXPORTS = sizeof exports / sizeof *exports };

static inline bool is(const export_entry *e, const char *name) { return strcmp(e->name, name) == 0; }

/* Calls an export; what it returns is in its documentation, and errno is what it was. */
static inline target_status call_export(const export_entry *e, const world *w) {
    errno = 4711;
    target_status status = e->call(w);
    if (errno != 4711) check_failed(__FILE__, __LINE__, "%s changed errno to %d", e->name, errno);
    for (size_t i = 0; i < sizeof documented / sizeof *documented; i++) {
        if (strcmp(documented[i].name, e->name) != 0) continue;
        if (documented[i].any_status) return status;
        for (const target_status *s = documented[i].statuses; *s != 1; s++)
            if (*s == status) return status;
        check_failed(__FILE__, __LINE__, "%s returned %s, which its documentation does not name", e->name,
                     target_status_name(status));
    }
    if (status != TARGET_OK) check_failed(__FILE__, __LINE__, "%s is not in documented.h", e->name);
    return status;
}

static inline void no_done(target_request request, target_result result, void *user_data) {
    (void)request, (void)result, (void)user_data;
}

/* A world in which everything is alive. `config` is the client's. */
static inline world live_world(const char *config) {
    world w;
    memset(&w, 0, sizeof w);
    w.wait_ms = 1000;
    w.on_done = no_done;
    w.client = create_client(config);
    OK(target_queue_create(&w.queue));
    target_status status = target_get_offers_sync(w.client, OFFERS, TARGET_NUL, 10000, &w.result);
    if (strcmp(config, OFFLINE) != 0) OK(status);
    CHECK(w.result != 0);
    target_call call = queue_call(w.queue, 1);
    OK(target_get_offers_ex(w.client, OFFERS, TARGET_NUL, &call, &w.request));
    return w;
}

/* Whatever was ended meanwhile. */
static inline void end_world(const world *w) {
    (void)target_result_free(w->result);
    (void)target_client_destroy(w->client);
    (void)target_queue_destroy(w->queue);
}

/* Whether an export ends something that others need, or waits for everything. */
static inline bool ends_something(const export_entry *e) {
    return is(e, "target_client_destroy") || is(e, "target_client_close") || is(e, "target_queue_destroy") ||
           is(e, "target_result_free") || is(e, "target_shutdown") || is(e, "target_request_abandon") ||
           is(e, "target_request_cancel");
}

#endif /* EXPORTS_H */
