/* Many threads start the library at once, with the same options and with others, while clients come and go and somebody
 * stops it again. Arguments: threads, calls of each thread. */
#include "server.h"

static int threads, calls_each;
static long accepted, refused;

static void *work(void *argument) {
    uint64_t state = (uint64_t)(intptr_t)argument;
    static const char config[] = "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"offline\":true}";
    for (int i = 0; i < calls_each; i++) {
        uint64_t random = random_next(&state);
        target_client client = 0;
        target_result error = 7;
        target_status status;
        switch (random % 8) {
        case 0:
            status = target_client_create(config, TARGET_NUL, NULL, &client, NULL);
            CHECK(status == TARGET_OK || status == TARGET_E_CLOSED);
            if (status == TARGET_OK) OK(target_client_destroy(client));
            break;
        case 1:
            if (random % 256 == 1) OK(target_shutdown((uint32_t)(10000 * slowness())));
            break;
        default:
            status = target_init(random % 3 == 0 ? "{\"workerThreads\":1}" : "{\"workerThreads\":2}", &error);
            CHECK(status == TARGET_OK || status == TARGET_E_ALREADY_INIT);
            if (status == TARGET_OK) ATOMIC_ADD(accepted, 1);
            else ATOMIC_ADD(refused, 1);
            OK(target_result_free(error));
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    threads = argc > 1 ? atoi(argv[1]) : 20;
    calls_each = argc > 2 ? atoi(argv[2]) : 2000;
    pthread_t *workers = (pthread_t *)calloc((size_t)threads, sizeof *workers);
    CHECK(workers != NULL);
    for (int i = 0; i < threads; i++) workers[i] = start_thread(work, (void *)(intptr_t)(i + 1));
    for (int i = 0; i < threads; i++) join_thread(workers[i]);
    OK(target_shutdown((uint32_t)(10000 * slowness())));
    CHECK(accepted > 0 && refused > 0);
    free(workers);
    return 0;
}
