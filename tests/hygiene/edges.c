/* Texts, structs and out-parameters at the very end of what may be read and written: one byte further is a fault.
 * Every pointer parameter of every export gets: NULL, a length of 0, of more than there can be, text without NUL up to the
 * end of the page, text that is not UTF-8, text with a NUL inside. */
#include "exports.h"

#include <sys/mman.h>

static world alive;
static char *page_end; /* the byte after the last one that may be touched */
static long page_size;

/* `size` bytes that end where the page ends. */
static void *at_edge(const void *bytes, size_t size) {
    CHECK(size <= (size_t)page_size);
    char *place = page_end - size;
    if (bytes != NULL) memcpy(place, bytes, size);
    else memset(place, 0x5a, size);
    return place;
}

static const char *text_at_edge(const char *text) { return (const char *)at_edge(text, strlen(text)); }
static const char *string_at_edge(const char *text) { return (const char *)at_edge(text, strlen(text) + 1); }

typedef target_status (*text_and_length)(const char *text, size_t len);
typedef target_status (*only_text)(const char *text);

static counter done = COUNTER;
static long accepted;

static target_call done_call(void) { return callback_call(count_done, &done, NULL); }

static target_status taken(target_status status) {
    accepted += status == TARGET_OK;
    return status;
}

static target_status and_forget(target_status status, target_result out) {
    CHECK(out != JUNK);
    return and_free(status, out);
}

static target_status create(const char *text, size_t len) {
    target_client out = JUNK;
    target_result error = JUNK;
    target_status status = target_client_create(text, len, NULL, &out, &error);
    CHECK(out != JUNK && (out != 0) == (status == TARGET_OK));
    OK(target_client_destroy(out));
    return and_forget(status, error);
}
#define FORMS(name) \
    static target_status name##_simple(const char *text) { \
        return taken(target_##name(alive.client, text, count_done, &done)); \
    } \
    static target_status name##_full(const char *text, size_t len) { \
        target_call call = done_call(); \
        target_request out = JUNK; \
        target_status status = taken(target_##name##_ex(alive.client, text, len, &call, &out)); \
        CHECK((out != 0) == (status == TARGET_OK)); \
        return status; \
    } \
    static target_status name##_sync(const char *text, size_t len) { \
        target_result out = JUNK; \
        target_status status = target_##name##_sync(alive.client, text, len, 10000, &out); \
        return and_forget(status, out); \
    }
FORMS(get_offers)
FORMS(send_notifications)

static target_status names_simple(const char *text) {
    return taken(target_get_attributes(alive.client, text, NULL, count_done, &done));
}
static target_status names_full(const char *text, size_t len) {
    target_call call = done_call();
    target_request out = JUNK;
    return taken(target_get_attributes_ex(alive.client, text, len, NULL, 0, &call, &out));
}
static target_status names_sync(const char *text, size_t len) {
    target_result out = JUNK;
    target_status status = target_get_attributes_sync(alive.client, text, len, NULL, 0, 10000, &out);
    return and_forget(status, out);
}
/* The options may be NULL: then there are none. */
static target_status options_simple(const char *text) {
    if (text == NULL) OK(taken(target_get_attributes(alive.client, NAMES, text, count_done, &done)));
    return text == NULL ? TARGET_E_INVALID_ARG : taken(target_get_attributes(alive.client, NAMES, text, count_done, &done));
}
static target_status options_full(const char *text, size_t len) {
    target_call call = done_call();
    target_request out = JUNK;
    target_status status = taken(target_get_attributes_ex(alive.client, NAMES, TARGET_NUL, text, len, &call, &out));
    return text == NULL ? TARGET_E_INVALID_ARG : status;
}
static target_status options_sync(const char *text, size_t len) {
    target_result out = JUNK;
    target_status status = target_get_attributes_sync(alive.client, NAMES, TARGET_NUL, text, len, 10000, &out);
    return text == NULL ? (void)and_forget(status, out), TARGET_E_INVALID_ARG : and_forget(status, out);
}

static target_status init(const char *text) {
    /* NULL are the defaults. */
    target_result error = JUNK;
    if (text == NULL) return TARGET_E_INVALID_ARG;
    target_status status = target_init(text, &error);
    return and_forget(status, error);
}
static target_status cookie(const char *text) {
    char name[64];
    size_t needed = 77;
    return target_visitor_cookie_name(text, name, sizeof name, &needed);
}
static target_status get(const char *text) {
    const char *json = "x";
    size_t len = 7;
    return target_result_get(alive.result, text, &json, &len);
}
#define LOOK_UP(name, type, key) \
    static target_status name##_mbox(const char *text) { \
        type out; \
        return target_attributes_get_##name(alive.result, text, key, &out); \
    } \
    static target_status name##_key(const char *text) { \
        type out; \
        return target_attributes_get_##name(alive.result, "a", text, &out); \
    }
LOOK_UP(bool, bool, "on")
LOOK_UP(int64, int64_t, "k")
LOOK_UP(double, double, "pi")
#define LOOK_UP_TEXT(name) \
    static target_status name##_mbox(const char *text) { \
        const char *out; \
        return target_attributes_get_##name(alive.result, text, "name", &out, NULL); \
    } \
    static target_status name##_key(const char *text) { \
        const char *out; \
        return target_attributes_get_##name(alive.result, "a", text, &out, NULL); \
    }
LOOK_UP_TEXT(value)
LOOK_UP_TEXT(string)
static target_status object_mbox(const char *text) {
    const char *out;
    if (text == NULL) {
        OK(target_attributes_as_object(alive.result, NULL, &out, NULL)); /* all of them */
        return TARGET_E_INVALID_ARG;
    }
    return target_attributes_as_object(alive.result, text, &out, NULL);
}

static const char *const not_utf8[] = {"\xff", "{\"\xc3\"}", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "{}\xe2\x82"};
enum { NOT_UTF8 = sizeof not_utf8 / sizeof *not_utf8 };

static void with_length(text_and_length call, const char *good) {
    CHECK_STATUS(call(NULL, 0), TARGET_E_INVALID_ARG);
    CHECK_STATUS(call(NULL, TARGET_NUL), TARGET_E_INVALID_ARG);
    CHECK_STATUS(call(NULL, 7), TARGET_E_INVALID_ARG);
    CHECK(call(page_end, 0) != TARGET_E_INVALID_ARG); /* an empty text is one, though hardly what was meant */
    const size_t too_long[] = {SIZE_MAX - 1, SIZE_MAX / 2 + 1, (size_t)PTRDIFF_MAX + 1};
    for (int i = 0; i < 3; i++) CHECK_STATUS(call(text_at_edge(good), too_long[i]), TARGET_E_INVALID_ARG);
    for (int i = 0; i < NOT_UTF8; i++) {
        CHECK_STATUS(call(text_at_edge(not_utf8[i]), strlen(not_utf8[i])), TARGET_E_INVALID_ARG);
        CHECK_STATUS(call(string_at_edge(not_utf8[i]), TARGET_NUL), TARGET_E_INVALID_ARG);
    }
    CHECK_STATUS(call((const char *)at_edge("{}\0", 3), 3), TARGET_E_INVALID_ARG);
    CHECK(call(text_at_edge("\xef\xbb\xbf{}"), 5) != TARGET_E_INVALID_ARG); /* a byte order mark is UTF-8, and no JSON */
    OK(call(text_at_edge(good), strlen(good)));
    OK(call(string_at_edge(good), TARGET_NUL));
    /* Every shorter text, up to the edge as well. */
    for (size_t len = 0; len < strlen(good); len++) CHECK(call((const char *)at_edge(good, len), len) != TARGET_E_INVALID_ARG);
}

static void without_length(only_text call, const char *good) {
    CHECK_STATUS(call(NULL), TARGET_E_INVALID_ARG);
    for (int i = 0; i < NOT_UTF8; i++) CHECK_STATUS(call(string_at_edge(not_utf8[i])), TARGET_E_INVALID_ARG);
    target_status empty = call(string_at_edge(""));
    CHECK(empty != TARGET_E_INTERNAL);
    OK(call(string_at_edge(good)));
}

/* ---- structs and out-parameters ---- */

static void structs(void) {
    target_call call = done_call();
    target_request request;
    for (uint32_t size = 4; size < sizeof call; size++) { /* older than the first version: not even the size is trusted */
        call.size = size;
        CHECK_STATUS(target_get_offers_ex(alive.client, OFFERS, TARGET_NUL, (target_call *)at_edge(&call, size), &request),
                     TARGET_E_INVALID_ARG);
        CHECK_EQ(request, 0);
    }
    call.size = sizeof call;
    OK(taken(target_get_offers_ex(alive.client, OFFERS, TARGET_NUL, (target_call *)at_edge(&call, sizeof call), &request)));

    target_client_hooks hooks;
    target_client client;
    memset(&hooks, 0, sizeof hooks);
    for (uint32_t size = 4; size < sizeof hooks; size++) {
        hooks.size = size;
        CHECK_STATUS(target_client_create(OFFLINE, TARGET_NUL, (target_client_hooks *)at_edge(&hooks, size), &client, NULL),
                     TARGET_E_INVALID_ARG);
        CHECK_EQ(client, 0);
    }
    hooks.size = sizeof hooks;
    OK(target_client_create(OFFLINE, TARGET_NUL, (target_client_hooks *)at_edge(&hooks, sizeof hooks), &client, NULL));
    OK(target_client_destroy(client));

    /* Of a later version, with members that this one does not know, set. */
    struct {
        target_call known;
        uint8_t later[40];
    } later_call;
    memset(&later_call, 0xa5, sizeof later_call);
    later_call.known = call;
    later_call.known.size = sizeof later_call;
    OK(taken(target_get_offers_ex(alive.client, OFFERS, TARGET_NUL, (target_call *)at_edge(&later_call, sizeof later_call), NULL)));
    struct {
        target_client_hooks known;
        uint8_t later[40];
    } later_hooks;
    memset(&later_hooks, 0xa5, sizeof later_hooks);
    later_hooks.known = hooks;
    later_hooks.known.size = sizeof later_hooks;
    OK(target_client_create(OFFLINE, TARGET_NUL, (target_client_hooks *)at_edge(&later_hooks, sizeof later_hooks), &client, NULL));
    OK(target_client_destroy(client));
}

/* Each is written as a whole, and nothing behind it is. */
static void out_parameters(void) {
    OK(target_queue_create((target_queue *)at_edge(NULL, sizeof(target_queue))));
    target_queue queue = *(target_queue *)(page_end - sizeof queue);
    OK(target_queue_fd(queue, (intptr_t *)at_edge(NULL, sizeof(intptr_t))));
    target_call call = queue_call(queue, 4);
    for (int i = 0; i < 3; i++) OK(target_get_offers_ex(alive.client, OFFERS, TARGET_NUL, &call, NULL));
    for (int got = 0; got < 3;) {
        int32_t count = target_queue_poll(queue, (target_completion *)at_edge(NULL, 2 * sizeof(target_completion)), 2, 10000);
        CHECK(count == 1 || count == 2);
        target_completion *taken_now = (target_completion *)(page_end - 2 * sizeof(target_completion));
        for (int i = 0; i < count; i++) OK(target_result_free(taken_now[i].result));
        got += count;
    }
    OK(target_queue_destroy(queue));
    target_client client = create_client(OFFLINE);
    OK(target_client_state(client, (int32_t *)at_edge(NULL, sizeof(int32_t))));
    OK(target_client_stats(client, (target_result *)at_edge(NULL, sizeof(target_result))));
    OK(target_result_free(*(target_result *)(page_end - sizeof(target_result))));
    OK(target_client_close(client, 10, (target_result *)at_edge(NULL, sizeof(target_result))));
    OK(target_result_free(*(target_result *)(page_end - sizeof(target_result))));
    OK(target_client_destroy(client));
    OK(target_status_at(0, (target_status *)at_edge(NULL, sizeof(target_status))));
    OK(target_result_json(alive.result, (const char **)at_edge(NULL, sizeof(char *)), NULL));
    const char *text;
    OK(target_result_json(alive.result, &text, (size_t *)at_edge(NULL, sizeof(size_t))));
    OK(target_attributes_get_bool(alive.result, "a", "on", (bool *)at_edge(NULL, sizeof(bool))));
    OK(target_attributes_get_int64(alive.result, "a", "k", (int64_t *)at_edge(NULL, sizeof(int64_t))));
    OK(target_attributes_get_double(alive.result, "a", "pi", (double *)at_edge(NULL, sizeof(double))));

    /* A buffer of exactly the size, of one byte less, and of none. */
    size_t needed = 0;
    CHECK_STATUS(target_visitor_cookie_name("1234@AdobeOrg", NULL, 0, &needed), TARGET_E_INVALID_ARG);
    CHECK_EQ(needed, strlen("AMCV_1234@AdobeOrg") + 1);
    for (size_t cap = 0; cap < needed; cap++)
        CHECK_STATUS(target_visitor_cookie_name("1234@AdobeOrg", (char *)at_edge(NULL, cap), cap, NULL), TARGET_E_INVALID_ARG);
    OK(target_visitor_cookie_name("1234@AdobeOrg", (char *)at_edge(NULL, needed), needed, NULL));
    CHECK(strcmp(page_end - needed, "AMCV_1234@AdobeOrg") == 0);
}

int main(void) {
    page_size = sysconf(_SC_PAGESIZE);
    char *pages = (char *)mmap(NULL, 3 * (size_t)page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED);
    CHECK_EQ(mprotect(pages + page_size, (size_t)page_size, PROT_READ | PROT_WRITE), 0);
    page_end = pages + 2 * page_size;

    server edge;
    server_start(&edge, ",\"timeout\":20000,\"maxInFlight\":64,\"maxQueued\":100000");
    alive = live_world(edge.config);
    with_length(create, OFFLINE);
    with_length(get_offers_full, OFFERS), with_length(get_offers_sync, OFFERS);
    with_length(send_notifications_full, NOTIFICATIONS), with_length(send_notifications_sync, NOTIFICATIONS);
    with_length(names_full, NAMES), with_length(names_sync, NAMES);
    with_length(options_full, OFFERS), with_length(options_sync, OFFERS);
    without_length(get_offers_simple, OFFERS), without_length(send_notifications_simple, NOTIFICATIONS);
    without_length(names_simple, NAMES), without_length(options_simple, OFFERS);
    without_length(init, "{}"), without_length(cookie, "1234@AdobeOrg"), without_length(get, "/status");
    without_length(bool_mbox, "a"), without_length(int64_mbox, "a"), without_length(double_mbox, "a");
    without_length(value_mbox, "a"), without_length(string_mbox, "a"), without_length(object_mbox, "a");
    without_length(bool_key, "on"), without_length(int64_key, "k"), without_length(double_key, "pi");
    without_length(value_key, "k"), without_length(string_key, "name");
    structs();
    out_parameters();
    counter_wait(&done, accepted);
    end_world(&alive);
    OK(target_shutdown(10000));
    CHECK_EQ(counter_get(&done), accepted);
    server_stop(&edge);
    munmap(pages, 3 * (size_t)page_size);
    return 0;
}
