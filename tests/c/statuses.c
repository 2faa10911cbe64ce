/* Every status and every constant of the header is there and means what it says. */
#include "check.h"

static const struct {
    target_status status;
    const char *name;
} expected[] = {
#define STATUS(name) {name, #name}
    STATUS(TARGET_OK),
    STATUS(TARGET_E_INVALID_ARG),
    STATUS(TARGET_E_BAD_HANDLE),
    STATUS(TARGET_E_INVALID_JSON),
    STATUS(TARGET_E_INVALID_OPTIONS),
    STATUS(TARGET_E_NOT_READY),
    STATUS(TARGET_E_TIMEOUT),
    STATUS(TARGET_E_CANCELLED),
    STATUS(TARGET_E_QUEUE_FULL),
    STATUS(TARGET_E_CLOSED),
    STATUS(TARGET_E_WOULD_DEADLOCK),
    STATUS(TARGET_E_NETWORK),
    STATUS(TARGET_E_TLS),
    STATUS(TARGET_E_HTTP),
    STATUS(TARGET_E_DECODE),
    STATUS(TARGET_E_ARTIFACT),
    STATUS(TARGET_E_NO_ATTRIBUTE),
    STATUS(TARGET_E_CIRCUIT_OPEN),
    STATUS(TARGET_E_FORKED),
    STATUS(TARGET_E_ALREADY_INIT),
    STATUS(TARGET_E_CALLBACK_STUCK),
    STATUS(TARGET_E_INTERNAL),
};
enum { STATUSES = sizeof expected / sizeof *expected };

static void enumerates(void) {
    for (size_t i = 0; i < STATUSES; i++) {
        target_status status = 99;
        OK(target_status_at(i, &status));
        CHECK_EQ(status, expected[i].status);
        CHECK(strcmp(target_status_name(status), expected[i].name) == 0);
        CHECK(i == 0 ? status == 0 : status < -2); /* -1 and -2 are the host's */
        for (size_t j = 0; j < i; j++) CHECK(expected[j].status != status);
    }
    for (size_t past = STATUSES; past < STATUSES + 3; past++) {
        target_status status = 99;
        CHECK_STATUS(target_status_at(past, &status), TARGET_E_INVALID_ARG);
        CHECK_EQ(status, 0);
    }
    target_status status = 99;
    CHECK_STATUS(target_status_at(SIZE_MAX, &status), TARGET_E_INVALID_ARG);
    const target_status unknown[] = {1, -1, -2, -99, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        CHECK(strcmp(target_status_name(unknown[i]), "unknown status") == 0);
}

static void constants(void) {
    CHECK_EQ(TARGET_ABI_VERSION, target_abi_version());
    CHECK(TARGET_NUL == SIZE_MAX);
    const int levels[] = {TARGET_LOG_OFF, TARGET_LOG_ERROR, TARGET_LOG_WARN, TARGET_LOG_INFO, TARGET_LOG_DEBUG, TARGET_LOG_TRACE};
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(levels[i], i);
        OK(target_set_log(NULL, NULL, NULL, levels[i]));
    }
    const int states[] = {TARGET_STATE_STARTING, TARGET_STATE_READY,    TARGET_STATE_DEGRADED,
                          TARGET_STATE_OFFLINE,  TARGET_STATE_DRAINING, TARGET_STATE_CLOSED};
    for (int i = 0; i < 6; i++) CHECK_EQ(states[i], i);
    const int kinds[] = {TARGET_KIND_CALL, TARGET_KIND_EVENT, TARGET_KIND_LOG};
    for (int i = 0; i < 3; i++) CHECK_EQ(kinds[i], i);
    CHECK_EQ(TARGET_CALL_DEFAULT, 0);
    CHECK(sizeof(target_status) == 4 && sizeof(target_client) == 8 && sizeof(target_request) == 8);
    CHECK(sizeof(target_queue) == 8 && sizeof(target_result) == 8);
}

static void names(void) {
    int major = -1, minor = -1, patch = -1;
    CHECK_EQ(sscanf(target_version(), "%d.%d.%d", &major, &minor, &patch), 3);
    CHECK(major >= 0 && minor >= 0 && patch >= 0);
    CHECK(strcmp(target_cookie_name(), "mbox") == 0);
    CHECK(strcmp(target_location_hint_cookie_name(), "mboxEdgeCluster") == 0);

    char buffer[64];
    size_t needed = 77;
    memset(buffer, 'x', sizeof buffer);
    CHECK_STATUS(target_visitor_cookie_name("1234@AdobeOrg", NULL, 0, &needed), TARGET_E_INVALID_ARG);
    CHECK_EQ(needed, sizeof "AMCV_1234@AdobeOrg");
    CHECK_STATUS(target_visitor_cookie_name("1234@AdobeOrg", buffer, needed - 1, &needed), TARGET_E_INVALID_ARG);
    CHECK_EQ(buffer[0], '\0'); /* cleared, rather than a part */
    CHECK_EQ(buffer[1], 'x');
    OK(target_visitor_cookie_name("1234@AdobeOrg", buffer, needed, &needed));
    CHECK(strcmp(buffer, "AMCV_1234@AdobeOrg") == 0);
    CHECK_EQ(buffer[needed], 'x');
    OK(target_visitor_cookie_name("1234@AdobeOrg", buffer, sizeof buffer, NULL));
}

static void init(void) {
    target_result error = 77;
    OK(target_init("{\"workerThreads\":1}", &error));
    CHECK_EQ(error, 0);
    OK(target_init("{\"workerThreads\":1}", NULL));
    CHECK_STATUS(target_init("{\"workerThreads\":2}", &error), TARGET_E_ALREADY_INIT);
    target_client client = create_client(OFFLINE);
    OK(target_init("{\"workerThreads\":1}", NULL));
    CHECK_STATUS(target_init(NULL, NULL), TARGET_E_ALREADY_INIT);
    OK(target_client_destroy(client));
    OK(target_shutdown(5000));

    /* Started without options is a choice, too. */
    client = create_client(OFFLINE);
    OK(target_init(NULL, NULL));
    OK(target_init("{}", NULL));
    CHECK_STATUS(target_init("{\"workerThreads\":7}", NULL), TARGET_E_ALREADY_INIT);
    OK(target_client_destroy(client));
    OK(target_shutdown(5000));
    OK(target_init("{\"workerThreads\":7}", NULL));
    OK(target_shutdown(0));
}

int main(void) {
    enumerates();
    constants();
    names();
    init();
    return 0;
}
