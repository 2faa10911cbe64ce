/* Every export on a thread with a stack of 64 KiB, before main, after main, and in static constructors and destructors.
 * Arguments: a rules artifact, for decisions that are made on the calling thread; KiB of stack for the deepest documents. */
#include "exports.h"

#include <limits.h>

static server edge;
static char *on_device;

static void read_artifact(const char *path) {
    FILE *file = fopen(path, "re");
    CHECK(file != NULL);
    size_t room = 1 << 20;
    char *artifact = (char *)malloc(room);
    CHECK(artifact != NULL);
    size_t size = fread(artifact, 1, room - 1, file);
    artifact[size] = 0;
    fclose(file);
    on_device = (char *)malloc(room + 1024);
    CHECK(on_device != NULL);
    snprintf(on_device, room + 1024,
             "{\"client\":\"demo\",\"organizationId\":\"0123456789ABCDEF01234567@AdobeOrg\",\"decisioningMethod\":\"on-device\","
             "\"offline\":true,\"pollingInterval\":0,\"artifactPayload\":%s}", artifact);
    free(artifact);
}

/* Every export; those that end something last. */
static void everything(const char *config, bool shut_down) {
    world w = live_world(config);
    for (int ends = 0; ends < 2; ends++)
        for (int i = 0; i < EXPORTS; i++) {
            const export_entry *e = &exports[i];
            if (ends_something(e) != ends || (is(e, "target_shutdown") && !shut_down)) continue;
            (void)call_export(e, &w);
        }
    end_world(&w);
}

static char *deep(int levels, const char *open, const char *close, const char *inner) {
    char *text = (char *)malloc((size_t)levels * (strlen(open) + strlen(close)) + strlen(inner) + 1), *end = text;
    CHECK(text != NULL);
    for (int i = 0; i < levels; i++) end += sprintf(end, "%s", open);
    end += sprintf(end, "%s", inner);
    for (int i = 0; i < levels; i++) end += sprintf(end, "%s", close);
    return text;
}

static void *on_a_small_stack(void *unused) {
    (void)unused;
    everything(edge.config, false);
    everything(OFFLINE, false);

    /* Decided right here. */
    target_client client = create_client(on_device);
    OK(target_client_wait_ready(client, 10000));
    target_result answer = 0;
    OK(target_get_offers_sync(client,
                              "{\"request\":{\"context\":{\"channel\":\"web\",\"address\":{\"url\":\"https://example.com/?a=b\"},"
                              "\"userAgent\":\"Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/120.0.0.0 Safari/537.36\"},"
                              "\"prefetch\":{\"views\":[{}]},\"execute\":{\"pageLoad\":{},\"mboxes\":["
                              "{\"index\":0,\"name\":\"demo-engineering-flags\"},{\"index\":1,\"name\":\"a1-serverside-ab\"},"
                              "{\"index\":2,\"name\":\"homepage-hero\",\"parameters\":{\"a\":\"b\"}},"
                              "{\"index\":3,\"name\":\"checkout-banner\"}]}}}",
                              TARGET_NUL, 10000, &answer));
    OK(target_result_free(answer));

    OK(target_client_destroy(client));
    return NULL;
}

static void *deep_documents(void *unused) {
    (void)unused;
    target_client client = create_client(on_device);
    OK(target_client_wait_ready(client, 10000));
    target_result answer = 0;
    /* As deep as a document may be and far deeper, in every place that takes one. */
    const int depths[] = {10, 60, 65, 200, 100000, 1000000};
    for (int i = 0; i < 6; i++)
        for (int kind = 0; kind < 2; kind++) {
            char *text = kind ? deep(depths[i], "{\"a\":", "}", "1") : deep(depths[i], "[", "]", "1");
            const target_client both[] = {client, create_client(edge.config)};
            for (int c = 0; c < 2; c++) {
                target_status status = target_get_offers_sync(both[c], text, TARGET_NUL, 10000, &answer);
                CHECK(status == TARGET_E_INVALID_JSON || (status == TARGET_E_INVALID_OPTIONS && depths[i] < 65));
                OK(target_result_free(answer));
                status = target_get_attributes_sync(both[c], text, TARGET_NUL, text, TARGET_NUL, 10000, &answer);
                CHECK(status == TARGET_E_INVALID_JSON || (status == TARGET_E_INVALID_OPTIONS && depths[i] < 65));
                OK(target_result_free(answer));
            }
            OK(target_client_destroy(both[1]));
            target_client refused = 0;
            CHECK(target_client_create(text, TARGET_NUL, NULL, &refused, &answer) != TARGET_OK);
            OK(target_result_free(answer));
            CHECK(target_init(text, &answer) != TARGET_OK);
            OK(target_result_free(answer));
            /* Inside of what is passed on to the server. */
            size_t room = strlen(text) + 200;
            char *options = (char *)malloc(room);
            CHECK(options != NULL);
            snprintf(options, room, "{\"request\":{\"execute\":{\"mboxes\":[{\"index\":0,\"name\":\"a\",\"later\":%s}]}}}", text);
            target_status status = target_get_offers_sync(client, options, TARGET_NUL, 10000, &answer);
            CHECK(status == TARGET_OK || status == TARGET_E_INVALID_JSON);
            OK(target_result_free(answer));
            free(options);
            free(text);
        }
    OK(target_client_destroy(client));
    return NULL;
}

__attribute__((constructor)) static void before_main(void) {
    if (getenv("HYGIENE_STATIC") == NULL) return;
    everything(OFFLINE, true);
    everything(OFFLINE, false);
}

__attribute__((destructor)) static void after_main(void) {
    if (getenv("HYGIENE_STATIC") == NULL) return;
    alarm(20);
    everything(OFFLINE, false);
    everything(OFFLINE, true);
    everything(OFFLINE, true); /* a new start, so late */
    OK(target_shutdown(5000));
}

static void run_with_stack(void *(*body)(void *), int kib) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(PTHREAD_STACK_MIN <= 64 * 1024);
    CHECK_EQ(pthread_attr_setstacksize(&attributes, (size_t)kib * 1024), 0);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, &attributes, body, NULL), 0);
    join_thread(thread);
    pthread_attr_destroy(&attributes);
}

int main(int argc, char **argv) {
    alarm(100);
    if (argc < 2) return 0; /* before and after main only */
    read_artifact(argv[1]);
    server_start(&edge, ",\"timeout\":20000");
    run_with_stack(on_a_small_stack, 64);
    run_with_stack(deep_documents, argc > 2 ? atoi(argv[2]) : 64);
    OK(target_shutdown(10000));
    server_stop(&edge);
    free(on_device);
    return 0;
}
