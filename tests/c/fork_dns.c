/* Fork while names are looked up: the child can look up names, too. The system's resolver is replaced by one whose lock is
 * not given back to a child, as that of the C library is not. */
#include "check.h"

#include <netdb.h>
#include <sys/wait.h>

/* How long the parent waits for look-ups under way, by contract. */
#define BOUND_MS 50

static pthread_mutex_t resolver = PTHREAD_MUTEX_INITIALIZER;
static long looked_up;
static uint64_t delays = 1;

/* In the place of the C library's: the linker exports it to the library, too. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out) {
    (void)node, (void)service, (void)hints;
    *out = NULL;
    pthread_mutex_lock(&resolver);
    struct timespec delay = {0, (long)(random_next(&delays) % 40000000)};
    nanosleep(&delay, NULL);
    pthread_mutex_unlock(&resolver);
    ATOMIC_ADD(looked_up, 1);
    return EAI_NONAME;
}

static int stop;

/* Each client looks up its own name, once. */
static void *keep_looking_up(void *first) {
    for (long n = (long)(intptr_t)first; !ATOMIC_GET(stop); n += 2) {
        char config[256];
        snprintf(config, sizeof config,
                 "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"serverDomain\":\"n%ld.example\",\"maxRetries\":0,"
                 "\"pinServerDomain\":true,\"secure\":false}", n);
        target_client client = create_client(config);
        target_result answer;
        CHECK_STATUS(target_get_offers_sync(client, OFFERS, TARGET_NUL, 10000, &answer), TARGET_E_NETWORK);
        OK(target_result_free(answer));
        OK(target_client_destroy(client));
    }
    return NULL;
}

int main(int argc, char **argv) {
    int forks = argc > 1 ? atoi(argv[1]) : 200, in_time = 0;
    pthread_t threads[2];
    for (intptr_t i = 0; i < 2; i++) threads[i] = start_thread(keep_looking_up, (void *)i);
    for (long until = now_ms() + 10000; ATOMIC_GET(looked_up) < 4 && now_ms() < until;) sleep_ms(1);
    CHECK(ATOMIC_GET(looked_up) >= 4);
    uint64_t state = 7;
    for (int i = 0; i < forks; i++) {
        struct timespec nap = {0, (long)(random_next(&state) % 10000000)};
        nanosleep(&nap, NULL);
        long began = now_ms();
        pid_t child = fork();
        CHECK(child >= 0);
        bool late = now_ms() - began >= BOUND_MS; /* a busy machine: the fork did not wait any longer */
        if (child == 0) {
            if (late) _exit(0);
            alarm(10);
            struct addrinfo *found;
            _exit(getaddrinfo("child.example", NULL, NULL, &found) == EAI_NONAME ? 0 : 1);
        }
        in_time += !late;
        int status;
        CHECK_EQ(waitpid(child, &status, 0), child);
        if (WIFSIGNALED(status)) check_failed(__FILE__, __LINE__, "fork %d: the look-up of the child hangs", i);
        CHECK_EQ(WEXITSTATUS(status), 0);
    }
    CHECK(in_time >= forks / 10);
    long before = ATOMIC_GET(looked_up);
    for (long until = now_ms() + 10000; ATOMIC_GET(looked_up) == before && now_ms() < until;) sleep_ms(1);
    CHECK(ATOMIC_GET(looked_up) > before); /* the parent looks up names as before */
    ATOMIC_SET(stop, 1);
    for (int i = 0; i < 2; i++) join_thread(threads[i]);
    OK(target_shutdown(5000));
    return 0;
}
