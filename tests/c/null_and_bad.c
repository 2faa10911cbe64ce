/* Every export with every argument that it must refuse: the right status, out-parameters cleared, nothing called back. */
#include "check.h"

#define JUNK 0x5a5a5a5a5a5a5a5au

static target_client client;
static target_queue queue;
static target_result document; /* an OK result */
static target_result failure;  /* an error result */
static counter done = COUNTER, released = COUNTER;

static const char *bad_texts[] = {"\xff\xfe", "{\"a\":\"\xed\xa0\x80\"}", "\xc0\xaf", "ok\xf5"};
enum { BAD_TEXTS = sizeof bad_texts / sizeof *bad_texts };

/* ---- handles ---- */

static void refuses_client(target_client bad) {
    int32_t state = 77;
    CHECK_STATUS(target_client_state(bad, &state), TARGET_E_BAD_HANDLE);
    CHECK_EQ(state, TARGET_STATE_CLOSED);
    target_result out = JUNK;
    CHECK_STATUS(target_client_wait_ready(bad, 1000), TARGET_E_BAD_HANDLE);
    CHECK_STATUS(target_client_flush(bad, 1000, &out), TARGET_E_BAD_HANDLE);
    CHECK_EQ(out, 0);
    out = JUNK;
    CHECK_STATUS(target_client_stats(bad, &out), TARGET_E_BAD_HANDLE);
    CHECK_EQ(out, 0);
    out = JUNK;
    CHECK_STATUS(target_client_artifact(bad, &out), TARGET_E_BAD_HANDLE);
    CHECK_EQ(out, 0);
    out = JUNK;
    CHECK_STATUS(target_client_close(bad, 1000, &out), TARGET_E_BAD_HANDLE);
    CHECK_EQ(out, 0);
    CHECK_STATUS(target_client_destroy(bad), bad == 0 ? TARGET_OK : TARGET_E_BAD_HANDLE);

    target_call call = callback_call(count_done, &done, count_release);
    CHECK_STATUS(target_get_offers(bad, OFFERS, count_done, &done), TARGET_E_BAD_HANDLE);
    CHECK_STATUS(target_send_notifications(bad, NOTIFICATIONS, count_done, &done), TARGET_E_BAD_HANDLE);
    CHECK_STATUS(target_get_attributes(bad, "[\"a\"]", NULL, count_done, &done), TARGET_E_BAD_HANDLE);
    target_request request = JUNK;
    CHECK_STATUS(target_get_offers_ex(bad, OFFERS, TARGET_NUL, &call, &request), TARGET_E_BAD_HANDLE);
    CHECK_EQ(request, 0);
    request = JUNK;
    CHECK_STATUS(target_send_notifications_ex(bad, NOTIFICATIONS, TARGET_NUL, &call, &request), TARGET_E_BAD_HANDLE);
    CHECK_EQ(request, 0);
    request = JUNK;
    CHECK_STATUS(target_get_attributes_ex(bad, "[\"a\"]", TARGET_NUL, NULL, 0, &call, &request), TARGET_E_BAD_HANDLE);
    CHECK_EQ(request, 0);
    out = JUNK;
    CHECK_STATUS(target_get_offers_sync(bad, OFFERS, TARGET_NUL, 0, &out), TARGET_E_BAD_HANDLE);
    CHECK_EQ(out, 0);
    out = JUNK;
    CHECK_STATUS(target_send_notifications_sync(bad, NOTIFICATIONS, TARGET_NUL, 0, &out), TARGET_E_BAD_HANDLE);
    CHECK_EQ(out, 0);
    out = JUNK;
    CHECK_STATUS(target_get_attributes_sync(bad, "[\"a\"]", TARGET_NUL, NULL, 0, 0, &out), TARGET_E_BAD_HANDLE);
    CHECK_EQ(out, 0);
}

static void refuses_request(target_request bad) {
    CHECK_STATUS(target_request_cancel(bad), TARGET_E_BAD_HANDLE);
    CHECK_STATUS(target_request_abandon(bad), TARGET_E_BAD_HANDLE);
}

static void refuses_queue(target_queue bad) {
    intptr_t fd = 77;
    CHECK_STATUS(target_queue_fd(bad, &fd), TARGET_E_BAD_HANDLE);
    CHECK_EQ(fd, -1);
    target_completion completion;
    CHECK_EQ(target_queue_poll(bad, &completion, 1, 1000), TARGET_E_BAD_HANDLE);
    CHECK_STATUS(target_queue_wake(bad), TARGET_E_BAD_HANDLE);
    CHECK_STATUS(target_queue_destroy(bad), bad == 0 ? TARGET_OK : TARGET_E_BAD_HANDLE);
    if (bad == 0) return; /* 0 means "no queue" below */

    CHECK_STATUS(target_set_log_queue(bad, TARGET_LOG_TRACE), TARGET_E_BAD_HANDLE);
    target_call call = queue_call(bad, 1);
    target_request request = JUNK;
    CHECK_STATUS(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, &request), TARGET_E_BAD_HANDLE);
    CHECK_EQ(request, 0);
    target_client_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.size = sizeof hooks;
    hooks.queue = bad;
    target_client other = JUNK;
    CHECK_STATUS(target_client_create(OFFLINE, TARGET_NUL, &hooks, &other, NULL), TARGET_E_BAD_HANDLE);
    CHECK_EQ(other, 0);
}

static void refuses_result(target_result bad) {
    const char *text = "x";
    size_t len = 77;
#define CLEARED() do { CHECK(text == NULL); CHECK_EQ(len, 0); text = "x"; len = 77; } while (0)
    CHECK_STATUS(target_result_status(bad), TARGET_E_BAD_HANDLE);
    CHECK_STATUS(target_result_json(bad, &text, &len), TARGET_E_BAD_HANDLE);
    CLEARED();
    CHECK_STATUS(target_result_get(bad, "", &text, &len), TARGET_E_BAD_HANDLE);
    CLEARED();
    CHECK_STATUS(target_result_retain(bad), TARGET_E_BAD_HANDLE);
    CHECK_STATUS(target_result_free(bad), bad == 0 ? TARGET_OK : TARGET_E_BAD_HANDLE);
    CHECK_STATUS(target_attributes_get_value(bad, "m", "k", &text, &len), TARGET_E_BAD_HANDLE);
    CLEARED();
    CHECK_STATUS(target_attributes_get_string(bad, "m", "k", &text, &len), TARGET_E_BAD_HANDLE);
    CLEARED();
    CHECK_STATUS(target_attributes_as_object(bad, NULL, &text, &len), TARGET_E_BAD_HANDLE);
    CLEARED();
    bool flag = true;
    CHECK_STATUS(target_attributes_get_bool(bad, "m", "k", &flag), TARGET_E_BAD_HANDLE);
    CHECK(!flag);
    int64_t integer = 77;
    CHECK_STATUS(target_attributes_get_int64(bad, "m", "k", &integer), TARGET_E_BAD_HANDLE);
    CHECK_EQ(integer, 0);
    double number = 77;
    CHECK_STATUS(target_attributes_get_double(bad, "m", "k", &number), TARGET_E_BAD_HANDLE);
    CHECK(number == 0);
}

static void refuses_everywhere(uint64_t bad) {
    refuses_client(bad);
    refuses_request(bad);
    refuses_queue(bad);
    refuses_result(bad);
}

static void bad_handles(int randoms) {
    const uint64_t never[] = {0, 1, 2, 0xff, UINT32_MAX, (uint64_t)1 << 32, (uint64_t)1 << 61, (uint64_t)1 << 63, UINT64_MAX, JUNK};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) refuses_everywhere(never[i]);
    uint64_t state = 42;
    for (int i = 0; i < randoms; i++) refuses_everywhere(random_next(&state));

    /* Of another type. */
    refuses_client(queue), refuses_client(document);
    refuses_request(client), refuses_request(queue), refuses_request(document);
    refuses_queue(client), refuses_queue(document);
    refuses_result(client), refuses_result(queue);

    /* One bit away from a live one. */
    for (int bit = 0; bit < 64; bit++) {
        uint64_t mask = (uint64_t)1 << bit;
        refuses_client(client ^ mask);
        refuses_queue(queue ^ mask);
        /* Two documents live: the slot of one may be a bit away from that of the other. */
        if ((document ^ mask) != failure) refuses_result(document ^ mask);
    }

    /* Ended: once, and every time after that. */
    target_client ended_client = create_client(OFFLINE);
    OK(target_client_destroy(ended_client));
    target_queue ended_queue = 0;
    OK(target_queue_create(&ended_queue));
    OK(target_queue_destroy(ended_queue));
    target_result ended_result = 0;
    OK(target_client_stats(client, &ended_result));
    OK(target_result_retain(ended_result));
    OK(target_result_free(ended_result));
    OK(target_result_status(ended_result));
    OK(target_result_free(ended_result));
    for (int i = 0; i < 2; i++) refuses_client(ended_client), refuses_queue(ended_queue), refuses_result(ended_result);
}

/* ---- pointers and texts ---- */

static void library_arguments(void) {
    CHECK_STATUS(target_status_at(0, NULL), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_set_log(NULL, NULL, NULL, -1), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_set_log(NULL, &released, count_release, 6), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_set_log_queue(queue, -1), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_set_log_queue(queue, 6), TARGET_E_INVALID_ARG);
    OK(target_set_log_queue(0, TARGET_LOG_TRACE));

    char name[64];
    size_t needed = 77;
    CHECK_STATUS(target_visitor_cookie_name(NULL, name, sizeof name, &needed), TARGET_E_INVALID_ARG);
    CHECK_EQ(needed, 0);
    CHECK_STATUS(target_visitor_cookie_name("", name, sizeof name, &needed), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_visitor_cookie_name("\xff", name, sizeof name, NULL), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_visitor_cookie_name("org", NULL, 64, NULL), TARGET_E_INVALID_ARG);

    const struct {
        const char *json;
        target_status status;
    } options[] = {{"", TARGET_E_INVALID_JSON},
                   {"{", TARGET_E_INVALID_JSON},
                   {"[]", TARGET_E_INVALID_OPTIONS},
                   {"{\"workerThreads\":0}", TARGET_E_INVALID_OPTIONS},
                   {"{\"workerThreads\":65}", TARGET_E_INVALID_OPTIONS},
                   {"{\"workerThreads\":\"2\"}", TARGET_E_INVALID_OPTIONS},
                   {"{\"workers\":2}", TARGET_E_INVALID_OPTIONS}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        target_result error = JUNK;
        CHECK_STATUS(target_init(options[i].json, &error), options[i].status);
        CHECK(error != 0 && error != JUNK);
        CHECK_STATUS(target_result_status(error), options[i].status);
        OK(target_result_free(error));
        CHECK_STATUS(target_init(options[i].json, NULL), options[i].status);
    }
    target_result error = JUNK;
    CHECK_STATUS(target_init("\xff", &error), TARGET_E_INVALID_ARG);
    CHECK_EQ(error, 0);
}

static void create_arguments(void) {
    target_client out = JUNK;
    target_result error = JUNK;
#define REFUSED(config, len, hooks, expected) \
    do { \
        out = JUNK, error = JUNK; \
        CHECK_STATUS(target_client_create(config, len, hooks, &out, &error), expected); \
        CHECK_EQ(out, 0); \
        CHECK(error != JUNK); \
        if (error != 0) OK(target_result_free(error)); \
    } while (0)
    REFUSED(NULL, TARGET_NUL, NULL, TARGET_E_INVALID_ARG);
    REFUSED(NULL, 0, NULL, TARGET_E_INVALID_ARG);
    REFUSED(OFFLINE, SIZE_MAX - 1, NULL, TARGET_E_INVALID_ARG);
    REFUSED(OFFLINE, (size_t)PTRDIFF_MAX + 1, NULL, TARGET_E_INVALID_ARG);
    REFUSED("{}\0{}", 5, NULL, TARGET_E_INVALID_ARG);
    REFUSED(OFFLINE, sizeof OFFLINE, NULL, TARGET_E_INVALID_ARG); /* its NUL is not part of the text */
    for (int i = 0; i < BAD_TEXTS; i++) REFUSED(bad_texts[i], TARGET_NUL, NULL, TARGET_E_INVALID_ARG);
    REFUSED("", 0, NULL, TARGET_E_INVALID_JSON);
    REFUSED("{", 1, NULL, TARGET_E_INVALID_JSON);
    REFUSED(OFFLINE, 5, NULL, TARGET_E_INVALID_JSON);
    REFUSED("[]", 2, NULL, TARGET_E_INVALID_OPTIONS);
    /* What cannot be used as what it is for is a wrong option, too: not a failure of TLS or of the artifact. */
#define ACME "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\","
    REFUSED(ACME "\"decisioningMethod\":\"on-device\",\"artifactPayload\":{\"version\":\"9.9.9\"}}", TARGET_NUL, NULL,
            TARGET_E_INVALID_OPTIONS);
    REFUSED(ACME "\"tlsRoots\":{\"pem\":\"no certificate\"}}", TARGET_NUL, NULL, TARGET_E_INVALID_OPTIONS);
    REFUSED(ACME "\"tlsRoots\":{\"pemFile\":\"/nowhere\"}}", TARGET_NUL, NULL, TARGET_E_INVALID_OPTIONS);
    CHECK_STATUS(target_client_create(OFFLINE, TARGET_NUL, NULL, NULL, NULL), TARGET_E_INVALID_ARG);
    error = JUNK;
    CHECK_STATUS(target_client_create(OFFLINE, TARGET_NUL, NULL, NULL, &error), TARGET_E_INVALID_ARG);
    CHECK_EQ(error, 0);
    CHECK_STATUS(target_client_create("{", TARGET_NUL, NULL, &out, NULL), TARGET_E_INVALID_JSON);

    target_client_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.user_data = &released;
    const uint32_t small[] = {0, 1, 4, sizeof hooks - 1};
    for (int i = 0; i < 4; i++) {
        hooks.size = small[i];
        REFUSED(OFFLINE, TARGET_NUL, &hooks, TARGET_E_INVALID_ARG);
    }
    hooks.size = sizeof hooks;
    hooks.queue = queue;
    hooks.release = count_release; /* a release is a callback */
    REFUSED(OFFLINE, TARGET_NUL, &hooks, TARGET_E_INVALID_ARG);
    hooks.queue = 0; /* of a user_data that nobody is called with */
    REFUSED(OFFLINE, TARGET_NUL, &hooks, TARGET_E_INVALID_ARG);
#undef REFUSED

    /* A struct of a later version is cut to what this one knows. */
    struct {
        target_client_hooks known;
        uint64_t later[4];
    } larger;
    memset(&larger, 0, sizeof larger);
    larger.known.size = sizeof larger;
    OK(target_client_create(OFFLINE, sizeof OFFLINE - 1, &larger.known, &out, &error));
    OK(target_client_destroy(out));
}

static void client_arguments(void) {
    CHECK_STATUS(target_client_state(client, NULL), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_client_stats(client, NULL), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_client_artifact(client, NULL), TARGET_E_INVALID_ARG);
    target_result out = JUNK;
    CHECK_STATUS(target_client_artifact(client, &out), TARGET_E_NOT_READY);
    CHECK_EQ(out, 0);
    OK(target_client_flush(client, 1000, NULL));
}

typedef target_status (*simple_form)(target_client, const char *, target_done_fn, void *);
typedef target_status (*full_form)(target_client, const char *, size_t, const target_call *, target_request *);
typedef target_status (*sync_form)(target_client, const char *, size_t, uint32_t, target_result *);

static target_status attributes_by_names(target_client c, const char *names, target_done_fn callback, void *user_data) {
    return target_get_attributes(c, names, NULL, callback, user_data);
}
static target_status attributes_by_options(target_client c, const char *json, target_done_fn callback, void *user_data) {
    /* NULL options are fine: they have no such case. */
    return json ? target_get_attributes(c, "[\"a\"]", json, callback, user_data) : TARGET_E_INVALID_ARG;
}
static target_status attributes_ex_by_names(target_client c, const char *names, size_t len, const target_call *call,
                                            target_request *out) {
    return target_get_attributes_ex(c, names, len, NULL, 0, call, out);
}
static target_status attributes_sync_by_names(target_client c, const char *names, size_t len, uint32_t ms, target_result *out) {
    return target_get_attributes_sync(c, names, len, NULL, TARGET_NUL, ms, out);
}

static void refuses_simple(simple_form submit) {
    CHECK_STATUS(submit(client, NULL, count_done, &done), TARGET_E_INVALID_ARG);
    CHECK_STATUS(submit(client, "{}", NULL, &done), TARGET_E_INVALID_ARG);
    for (int i = 0; i < BAD_TEXTS; i++) CHECK_STATUS(submit(client, bad_texts[i], count_done, &done), TARGET_E_INVALID_ARG);
}

static void refuses_full(full_form submit) {
    target_request out;
    target_call call = callback_call(count_done, &done, count_release);
    call.user_data = &released;
#define REFUSED(json, len, call, expected) \
    do { \
        out = JUNK; \
        CHECK_STATUS(submit(client, json, len, call, &out), expected); \
        CHECK_EQ(out, 0); \
        CHECK_STATUS(submit(client, json, len, call, NULL), expected); \
    } while (0)
    REFUSED("{}", 2, NULL, TARGET_E_INVALID_ARG);
    REFUSED(NULL, 2, &call, TARGET_E_INVALID_ARG);
    REFUSED(NULL, TARGET_NUL, &call, TARGET_E_INVALID_ARG);
    REFUSED("{}", SIZE_MAX - 1, &call, TARGET_E_INVALID_ARG);
    REFUSED("{}", 3, &call, TARGET_E_INVALID_ARG);
    for (int i = 0; i < BAD_TEXTS; i++) REFUSED(bad_texts[i], TARGET_NUL, &call, TARGET_E_INVALID_ARG);

    target_call wrong = call;
    const uint32_t small[] = {0, 1, 4, sizeof wrong - 1};
    for (int i = 0; i < 4; i++) {
        wrong.size = small[i];
        REFUSED("{}", 2, &wrong, TARGET_E_INVALID_ARG);
    }
    wrong = call, wrong.flags = 1;
    REFUSED("{}", 2, &wrong, TARGET_E_INVALID_ARG);
    wrong = call, wrong.flags = 0x80000000u;
    REFUSED("{}", 2, &wrong, TARGET_E_INVALID_ARG);
    wrong = call, wrong.queue = queue; /* both */
    REFUSED("{}", 2, &wrong, TARGET_E_INVALID_ARG);
    wrong = call, wrong.on_done = NULL; /* neither */
    REFUSED("{}", 2, &wrong, TARGET_E_INVALID_ARG);
    wrong.queue = queue; /* a release is a callback */
    REFUSED("{}", 2, &wrong, TARGET_E_INVALID_ARG);
    wrong = queue_call(client, 1);
    REFUSED("{}", 2, &wrong, TARGET_E_BAD_HANDLE);
#undef REFUSED
}

static void refuses_sync(sync_form submit) {
    CHECK_STATUS(submit(client, "{}", 2, 100, NULL), TARGET_E_INVALID_ARG);
    const struct {
        const char *json;
        size_t len;
    } bad[] = {{NULL, 2}, {NULL, TARGET_NUL}, {"{}", SIZE_MAX - 1}, {"{}", 3}, {"\xff", 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        target_result out = JUNK;
        CHECK_STATUS(submit(client, bad[i].json, bad[i].len, 100, &out), TARGET_E_INVALID_ARG);
        CHECK_EQ(out, 0);
    }
}

static void operation_arguments(void) {
    const simple_form simple[] = {target_get_offers, target_send_notifications, attributes_by_names, attributes_by_options};
    const full_form full[] = {target_get_offers_ex, target_send_notifications_ex, attributes_ex_by_names};
    const sync_form sync[] = {target_get_offers_sync, target_send_notifications_sync, attributes_sync_by_names};
    for (int i = 0; i < 4; i++) refuses_simple(simple[i]);
    for (int i = 0; i < 3; i++) refuses_full(full[i]), refuses_sync(sync[i]);

    /* The second text of get_attributes. */
    target_call call = callback_call(count_done, &released, count_release);
    target_request request = JUNK;
    CHECK_STATUS(target_get_attributes_ex(client, "[\"a\"]", 5, "\xff", 1, &call, &request), TARGET_E_INVALID_ARG);
    CHECK_EQ(request, 0);
    CHECK_STATUS(target_get_attributes_ex(client, "[\"a\"]", 5, "{}", SIZE_MAX - 1, &call, &request), TARGET_E_INVALID_ARG);
    target_result result = JUNK;
    CHECK_STATUS(target_get_attributes_sync(client, "[\"a\"]", 5, "\xff", 1, 0, &result), TARGET_E_INVALID_ARG);
    CHECK_EQ(result, 0);
}

static void queue_arguments(void) {
    CHECK_STATUS(target_queue_create(NULL), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_queue_fd(queue, NULL), TARGET_E_INVALID_ARG);
    target_completion completion;
    CHECK_EQ(target_queue_poll(queue, NULL, 1, 1000), TARGET_E_INVALID_ARG);
    CHECK_EQ(target_queue_poll(queue, &completion, 0, 1000), TARGET_E_INVALID_ARG);
}

static void result_arguments(void) {
    const char *text = "x";
    size_t len = 77;
    CHECK_STATUS(target_result_json(document, NULL, &len), TARGET_E_INVALID_ARG);
    CHECK_EQ(len, 0);
    OK(target_result_json(document, &text, NULL));
    CHECK_EQ(text[strlen(text) - 1], '}');
    CHECK_STATUS(target_result_get(document, "", NULL, &len), TARGET_E_INVALID_ARG);
    const char *pointers[] = {NULL, "x", "x/y", "/\xff"};
    for (int i = 0; i < 4; i++) {
        text = "x", len = 77;
        CHECK_STATUS(target_result_get(document, pointers[i], &text, &len), TARGET_E_INVALID_ARG);
        CHECK(text == NULL);
        CHECK_EQ(len, 0);
    }
    CHECK_STATUS(target_result_get(document, "/no such member", &text, NULL), TARGET_E_NO_ATTRIBUTE);

    /* Of a result that is an error: its status; and its members are JSON. */
    target_status status = target_result_status(failure);
    CHECK(status != TARGET_OK && status != TARGET_E_BAD_HANDLE);
    char code[16];
    snprintf(code, sizeof code, "%d", (int)status);
    OK(target_result_get(failure, "/code", &text, &len));
    CHECK(strcmp(text, code) == 0 && len == strlen(code));
    OK(target_result_get(failure, "/name", &text, &len));
    CHECK(len == strlen(target_status_name(status)) + 2 && strstr(text, target_status_name(status)) == text + 1);
    OK(target_result_get(failure, "/message", &text, &len));
    CHECK(text[0] == '"' && len > 4);
    CHECK_STATUS(target_attributes_get_value(failure, "m", "k", &text, &len), status);
    CHECK_STATUS(target_attributes_as_object(failure, NULL, &text, &len), status);

    bool flag = true;
    int64_t integer = 77;
    double number = 77;
    const char *const names[][2] = {{NULL, "k"}, {"m", NULL}, {"\xff", "k"}, {"m", "\xff"}};
    for (int i = 0; i < 4; i++) {
        const char *mbox = names[i][0], *key = names[i][1];
        text = "x", len = 77;
        CHECK_STATUS(target_attributes_get_value(document, mbox, key, &text, &len), TARGET_E_INVALID_ARG);
        CHECK(text == NULL);
        CHECK_EQ(len, 0);
        CHECK_STATUS(target_attributes_get_string(document, mbox, key, &text, NULL), TARGET_E_INVALID_ARG);
        CHECK_STATUS(target_attributes_get_bool(document, mbox, key, &flag), TARGET_E_INVALID_ARG);
        CHECK_STATUS(target_attributes_get_int64(document, mbox, key, &integer), TARGET_E_INVALID_ARG);
        CHECK_STATUS(target_attributes_get_double(document, mbox, key, &number), TARGET_E_INVALID_ARG);
    }
    CHECK(!flag && integer == 0 && number == 0);
    CHECK_STATUS(target_attributes_get_value(document, "m", "k", NULL, &len), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_attributes_get_string(document, "m", "k", NULL, &len), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_attributes_get_bool(document, "m", "k", NULL), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_attributes_get_int64(document, "m", "k", NULL), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_attributes_get_double(document, "m", "k", NULL), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_attributes_as_object(document, NULL, NULL, &len), TARGET_E_INVALID_ARG);
    CHECK_STATUS(target_attributes_as_object(document, "\xff", &text, &len), TARGET_E_INVALID_ARG);
}

/* ---- content: taken, and answered with an error ---- */

static void bad_content_is_a_completion(void) {
    const struct {
        const char *json;
        target_status status;
    } bad[] = {{"", TARGET_E_INVALID_JSON}, {"{", TARGET_E_INVALID_JSON}, {"nonsense", TARGET_E_INVALID_JSON}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        target_result result = 0;
        CHECK_STATUS(target_get_offers_sync(client, bad[i].json, TARGET_NUL, 0, &result), bad[i].status);
        CHECK_STATUS(target_result_status(result), bad[i].status);
        OK(target_result_free(result));
        target_call call = queue_call(queue, 7);
        OK(target_get_offers_ex(client, bad[i].json, TARGET_NUL, &call, NULL));
        target_completion completion;
        CHECK_EQ(target_queue_poll(queue, &completion, 1, 5000), 1);
        CHECK_STATUS(completion.status, bad[i].status);
        CHECK_EQ(completion.tag, 7);
        CHECK_EQ(completion.kind, TARGET_KIND_CALL);
        OK(target_result_free(completion.result));
    }
}

int main(int argc, char **argv) {
    client = create_client(OFFLINE);
    OK(target_queue_create(&queue));
    OK(target_client_stats(client, &document));
    CHECK(target_get_offers_sync(client, "{", 1, 0, &failure) != TARGET_OK);

    bad_handles(argc > 1 ? atoi(argv[1]) : 20000);
    library_arguments();
    create_arguments();
    client_arguments();
    operation_arguments();
    queue_arguments();
    result_arguments();
    bad_content_is_a_completion();

    target_completion completion;
    CHECK_EQ(target_queue_poll(queue, &completion, 1, 50), 0);
    OK(target_result_free(document));
    OK(target_result_free(failure));
    OK(target_queue_destroy(queue));
    OK(target_client_destroy(client));
    OK(target_shutdown(5000));
    CHECK_EQ(counter_get(&done), 0);
    CHECK_EQ(counter_get(&released), 0);
    return 0;
}
