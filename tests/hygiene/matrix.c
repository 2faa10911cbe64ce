/* Every export from inside every kind of callback: it returns what its documentation names, and nothing waits for itself. */
#include "exports.h"

static server edge;

typedef enum place { IN_DONE, IN_DONE_RELEASE, IN_EVENT, IN_EVENT_RELEASE, IN_LOG, IN_LOG_RELEASE, PLACES } place;
static const char *const place_names[] = {"a completion", "the release of a call", "an event",
                                          "the release of hooks", "a log function", "the release of a log"};

/* One case: an export in a place, once with handles of others and once with those that the callback was given. */
static const export_entry *what;
static place where;
static bool with_own;
static world others;
static intptr_t number; /* of this case: what comes late from another does not count */
static int entered; /* the case has begun: it runs once, whatever else is called back */
static counter over = COUNTER;

static void try_here(void *user_data, place here, target_client client, target_request request, target_result result) {
    if ((intptr_t)user_data != number || here != where || __atomic_exchange_n(&entered, 1, __ATOMIC_SEQ_CST)) return;
    world w = others;
    if (with_own) {
        if (client != 0) w.client = client;
        if (request != 0) w.request = request;
        if (result != 0) w.result = result;
    }
    CHECK(on_dispatcher());
    target_status status = call_export(what, &w);
    bool waits_for_callbacks = is(what, "target_client_close") || is(what, "target_shutdown");
    if (waits_for_callbacks && status != TARGET_E_WOULD_DEADLOCK)
        check_failed(__FILE__, __LINE__, "%s in %s returned %s", what->name, place_names[where], target_status_name(status));
    counter_add(&over);
}

static void in_done(target_request request, target_result result, void *user_data) {
    try_here(user_data, IN_DONE, 0, request, result);
}
static void in_done_release(void *user_data) {
    try_here(user_data, IN_DONE_RELEASE, 0, 0, 0);
}
static void in_event(target_client client, const char *json, size_t len, void *user_data) {
    CHECK(json[len] == 0);
    try_here(user_data, IN_EVENT, client, 0, 0);
}
static void in_event_release(void *user_data) {
    try_here(user_data, IN_EVENT_RELEASE, 0, 0, 0);
}
static void in_log(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
    (void)level, (void)target;
    CHECK(message[len] == 0);
    try_here(user_data, IN_LOG, 0, 0, 0);
}
static void in_log_release(void *user_data) {
    try_here(user_data, IN_LOG_RELEASE, 0, 0, 0);
}

#define NOISY "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"offline\":true,\"tiemout\":1}" /* worth a warning */

static void one_case(void) {
    number++;
    entered = 0;
    over.value = 0;
    alarm((unsigned)(10 * slowness())); /* a deadlock ends here, and the name of the case is on the screen */
    others = live_world(edge.config);
    target_client own = 0;
    target_client_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.size = sizeof hooks;
    hooks.on_event = in_event;
    hooks.release = in_event_release;
    hooks.user_data = (void *)number;
    target_call call = callback_call(in_done, (void *)number, in_done_release);
    switch (where) {
    case IN_DONE:
    case IN_DONE_RELEASE:
        OK(target_get_offers_ex(others.client, OFFERS, TARGET_NUL, &call, NULL));
        break;
    case IN_EVENT:
    case IN_EVENT_RELEASE:
        OK(target_client_create(edge.config, TARGET_NUL, &hooks, &own, NULL));
        if (where == IN_EVENT_RELEASE) OK(target_client_destroy(own));
        break;
    default:
        OK(target_set_log(in_log, (void *)number, in_log_release, TARGET_LOG_TRACE));
        if (where == IN_LOG) own = create_client(NOISY);
        else OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF));
        break;
    }
    if (!counter_wait_for(&over, 1, 10000 * slowness()))
        check_failed(__FILE__, __LINE__, "%s in %s did not end", what->name, place_names[where]);
    OK(target_set_log(NULL, NULL, NULL, TARGET_LOG_OFF));
    (void)target_client_destroy(own);
    end_world(&others);
    alarm(0);
}

int main(void) {
    server_start(&edge, ",\"timeout\":20000");
    for (int e = 0; e < EXPORTS; e++)
        for (int p = 0; p < PLACES; p++)
            for (int o = 0; o < 2; o++) {
                if (o == 1 && p != IN_DONE && p != IN_EVENT) continue; /* the others are given no handles */
                what = &exports[e];
                where = (place)p;
                with_own = o;
                one_case();
            }
    OK(target_shutdown(10000));
    CHECK(threads_fall_to(2));
    server_stop(&edge);
    return 0;
}
