/* Clients come and go: create, call, close, destroy, as often as the argument says. Nothing may be left behind. */
#include "server.h"

static server edge;

int main(int argc, char **argv) {
    int cycles = argc > 1 ? atoi(argv[1]) : 100;
    static const char artifact[] =
        "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"offline\":true,\"decisioningMethod\":\"on-device\","
        "\"artifactPayload\":{\"version\":\"1.0.0\",\"rules\":{\"mboxes\":{\"a\":[{\"condition\":true,\"consequence\":"
        "{\"name\":\"a\",\"options\":[{\"type\":\"json\",\"content\":{\"k\":1}}]}}]}}}}";
    server_start(&edge, "");
    int fds = 0, threads = 0;
    for (int i = 0; i < cycles; i++) {
        /* Every eighth goes over the network, and every hundredth stops the library. */
        target_client client;
        target_result result = 0, attributes = 0;
        OK(target_client_create(i % 8 == 0 ? edge.config : artifact, TARGET_NUL, NULL, &client, NULL));
        OK(target_get_offers_sync(client, OFFERS, TARGET_NUL, (uint32_t)(10000 * slowness()), &result));
        OK(target_get_attributes_sync(client, "[\"a\"]", TARGET_NUL, NULL, 0, (uint32_t)(10000 * slowness()), &attributes));
        int64_t number;
        OK(target_attributes_get_int64(attributes, "a", "k", &number));
        CHECK_EQ(number, 1);
        OK(target_result_free(attributes));
        OK(target_result_free(result));
        if (i % 2 == 0) OK(target_client_close(client, (uint32_t)(100 * slowness()), NULL));
        OK(target_client_destroy(client));
        if (i % 100 == 50) OK(target_shutdown((uint32_t)(10000 * slowness())));
        /* After a while there are as many descriptors and threads as there will ever be. */
        if (i == 250) fds = open_fds(), threads = live_threads();
        if (i > 250 && i % 100 == 50) {
            /* The server closes its end when it gets round to it. */
            for (long until = now_ms() + 10000 * slowness(); open_fds() > fds && now_ms() < until;) sleep_ms(1);
            CHECK(open_fds() <= fds);
            CHECK(threads_fall_to(threads));
        }
    }
    OK(target_shutdown((uint32_t)(10000 * slowness())));
    server_stop(&edge);
    return 0;
}
