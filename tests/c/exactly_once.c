/* Many threads submit, cancel, abandon, close and destroy at random: each accepted call is answered once and released once.
 * Arguments: threads, calls of each thread, seed, "shutdown" to also stop and start the library meanwhile. */
#include "server.h"

typedef struct one_call {
    struct life *client;
    int accepted, callbacks, releases;
    int callbacks_when_abandoned; /* -1: not abandoned */
    int in_callback;
    target_request out, seen;
    void *canary; /* freed by the release: touching it later is for valgrind to find */
} one_call;

/* One client from create to close or destroy. */
typedef struct life {
    target_client client;
    int closed; /* close has returned TARGET_OK */
    int stuck;  /* close gave up: the machine was too busy to make all callbacks in time; what was left is not made */
    struct life *next;
} life;

enum { CLIENTS = 4, AHEAD = 8 };

static server edge;
static pthread_mutex_t lives_lock = PTHREAD_MUTEX_INITIALIZER;
static life *lives[CLIENTS];
static life *ended;
static int threads, calls_each, shutdowns;
static uint64_t seed;
static one_call *all;
static long by_status[32];
static long closes, stuck, accepted, refused, released, answered, abandoned;

static void done(target_request request, target_result result, void *user_data) {
    one_call *c = (one_call *)user_data;
    CHECK_EQ(ATOMIC_ADD(c->callbacks, 1), 1);
    CHECK_EQ(ATOMIC_GET(c->releases), 0);
    CHECK_EQ(ATOMIC_GET(c->client->closed), 0);
    CHECK_EQ(ATOMIC_GET(c->callbacks_when_abandoned), -1); /* it has not begun after abandon returned */
    CHECK_EQ(*(char *)c->canary, 1);
    ATOMIC_SET(c->in_callback, 1);
    c->seen = request;
    target_status status = target_result_status(result);
    CHECK(status == TARGET_OK || status == TARGET_E_CANCELLED || status == TARGET_E_CLOSED || status == TARGET_E_TIMEOUT ||
          status == TARGET_E_NETWORK || status == TARGET_E_DECODE || status == TARGET_E_CIRCUIT_OPEN ||
          status == TARGET_E_QUEUE_FULL || status == TARGET_E_INVALID_JSON);
    ATOMIC_ADD(by_status[-status], 1);
    ATOMIC_SET(c->in_callback, 0);
    ATOMIC_ADD(answered, 1);
}

static void release(void *user_data) {
    one_call *c = (one_call *)user_data;
    CHECK_EQ(ATOMIC_ADD(c->releases, 1), 1);
    CHECK_EQ(ATOMIC_GET(c->in_callback), 0);
    free(c->canary);
    ATOMIC_ADD(released, 1);
}

static life *new_life(void) {
    life *l = (life *)calloc(1, sizeof *l);
    CHECK(l != NULL);
    target_status status;
    while ((status = target_client_create(edge.config, TARGET_NUL, NULL, &l->client, NULL)) == TARGET_E_CLOSED && shutdowns)
        sleep_ms(1); /* a shutdown is going on */
    OK(status);
    return l;
}

static life *borrow(int slot) {
    pthread_mutex_lock(&lives_lock);
    life *l = lives[slot];
    pthread_mutex_unlock(&lives_lock);
    return l;
}

/* Ends the client of a slot, in one of the ways there are, while others use it. */
static void replace(int slot, uint64_t random) {
    life *fresh = new_life();
    pthread_mutex_lock(&lives_lock);
    life *old = lives[slot];
    lives[slot] = fresh;
    old->next = ended; /* stays readable: others may have borrowed it */
    ended = old;
    pthread_mutex_unlock(&lives_lock);
    if (random % 3 != 0) {
        target_status status = target_client_close(old->client, (uint32_t)(random >> 8) % 20, NULL);
        if (status == TARGET_OK) ATOMIC_SET(old->closed, 1);
        else if (status == TARGET_E_CALLBACK_STUCK) ATOMIC_SET(old->stuck, 1), ATOMIC_ADD(stuck, 1);
        else CHECK_STATUS(status, TARGET_E_BAD_HANDLE);
        ATOMIC_ADD(closes, 1);
    }
    (void)target_client_destroy(old->client);
}

static void *work(void *argument) {
    int thread = (int)(intptr_t)argument;
    uint64_t state = seed + (uint64_t)thread * 7919;
    for (int i = 0; i < calls_each; i++) {
        one_call *c = &all[thread * calls_each + i];
        uint64_t random = random_next(&state);
        c->callbacks_when_abandoned = -1;
        c->client = borrow((int)(random % CLIENTS));
        c->canary = malloc(1);
        *(char *)c->canary = 1;
        target_call call = callback_call(done, c, release);
        call.deadline_ms = (random >> 8) % 4 == 0 ? 1 + (uint32_t)(random >> 16) % 20 : 0;
        const char *options = (random >> 24) % 10 == 0 ? "not JSON" : OFFERS;
        target_status status = target_get_offers_ex(c->client->client, options, TARGET_NUL, &call, &c->out);
        if (status != TARGET_OK) {
            CHECK(status == TARGET_E_BAD_HANDLE || status == TARGET_E_CLOSED || status == TARGET_E_QUEUE_FULL);
            CHECK_EQ(c->out, 0);
            free(c->canary);
            c->canary = NULL;
            ATOMIC_ADD(refused, 1);
            if (status == TARGET_E_QUEUE_FULL) sleep_ms(1);
            if (status == TARGET_E_CLOSED && shutdowns && (random >> 40) % 8 == 0) replace((int)(random % CLIENTS), random >> 20);
            continue;
        }
        c->accepted = 1;
        ATOMIC_ADD(accepted, 1);
        switch ((random >> 32) % 8) {
        case 0:
        case 1:
            status = target_request_cancel(c->out);
            CHECK(status == TARGET_OK || status == TARGET_E_BAD_HANDLE);
            break;
        case 2:
            status = target_request_abandon(c->out);
            CHECK(status == TARGET_OK || status == TARGET_E_BAD_HANDLE);
            if (status == TARGET_OK) {
                ATOMIC_ADD(abandoned, 1);
                CHECK_EQ(ATOMIC_GET(c->in_callback), 0);
                if (ATOMIC_GET(c->callbacks) == 0) ATOMIC_SET(c->callbacks_when_abandoned, 0);
            }
            break;
        default:
            break;
        }
        if ((random >> 48) % 1000 == 0) replace((int)(random % CLIENTS), random >> 20);
        /* Not further ahead of the server than it can follow, or most calls would end by the end of their client. */
        if (i >= AHEAD && c[-AHEAD].accepted)
            for (int ms = 0; ms < 500 && ATOMIC_GET(c[-AHEAD].releases) == 0; ms++) sleep_ms(1);
    }
    return NULL;
}

static int stop_shutting_down;

static void *shut_down_now_and_then(void *unused) {
    (void)unused;
    while (!ATOMIC_GET(stop_shutting_down)) {
        sleep_ms(2 * slowness());
        OK(target_shutdown((uint32_t)(10000 * slowness())));
    }
    return NULL;
}

int main(int argc, char **argv) {
    threads = argc > 1 ? atoi(argv[1]) : 50;
    calls_each = argc > 2 ? atoi(argv[2]) : 2000;
    seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    shutdowns = argc > 4 && strcmp(argv[4], "shutdown") == 0;
    server_start(&edge, ",\"timeout\":2000");
    ATOMIC_SET(edge.delay_ms, 2);
    all = (one_call *)calloc((size_t)threads * (size_t)calls_each, sizeof *all);
    CHECK(all != NULL);
    for (int i = 0; i < CLIENTS; i++) lives[i] = new_life();
    pthread_t *workers = (pthread_t *)calloc((size_t)threads, sizeof *workers), stopper;
    for (int i = 0; i < threads; i++) workers[i] = start_thread(work, (void *)(intptr_t)i);
    if (shutdowns) stopper = start_thread(shut_down_now_and_then, NULL);
    for (int i = 0; i < threads; i++) join_thread(workers[i]);
    if (shutdowns) {
        ATOMIC_SET(stop_shutting_down, 1);
        join_thread(stopper);
    }
    for (int i = 0; i < CLIENTS; i++) (void)target_client_destroy(lives[i]->client);
    OK(target_shutdown((uint32_t)(20000 * slowness())));

    long once = 0;
    for (int i = 0; i < threads * calls_each; i++) {
        one_call *c = &all[i];
        CHECK_EQ(c->releases, c->accepted);
        if (!c->accepted) CHECK_EQ(c->callbacks, 0);
        else if (c->callbacks_when_abandoned >= 0) CHECK_EQ(c->callbacks, 0);
        else if (c->client->stuck) CHECK(c->callbacks <= 1);
        else CHECK_EQ(c->callbacks, 1);
        if (c->callbacks) CHECK_EQ(c->seen, c->out);
        once += c->callbacks;
    }
    CHECK_EQ(released, accepted);
    CHECK_EQ(once, answered);
    CHECK(slowness() > 1 || stuck * 10 <= closes + 10);
    CHECK_EQ(accepted + refused, (long)threads * calls_each);
    /* A run that found the client full or closed all the time would prove nothing. */
    CHECK(accepted * 10 > refused && answered > 0 && (abandoned > 0 || threads * calls_each < 100));
    if (getenv("CHECK_VERBOSE")) {
        for (int i = 0; i < 32; i++)
            if (by_status[i] > 0) printf("%s %ld\n", target_status_name(-i), by_status[i]);
        printf("closes %ld stuck %ld ", closes, stuck);
        printf("accepted %ld refused %ld answered %ld abandoned %ld served %ld\n", accepted, refused, answered, abandoned,
               ATOMIC_GET(edge.requests));
    }
    while (ended != NULL) {
        life *next = ended->next;
        free(ended);
        ended = next;
    }
    for (int i = 0; i < CLIENTS; i++) free(lives[i]);
    free(workers);
    free(all);
    server_stop(&edge);
    return 0;
}
