/* Handles that never were, that have ended, and that two threads end at once. Argument: how many calls. */
#include "exports.h"

static world alive;

/* Of `count` calls each with a handle that stands for nothing. */
static void random_handles(long count, uint64_t seed) {
    uint64_t state = seed;
    for (long n = 0; n < count;) {
        uint64_t random = random_next(&state);
        switch (n % 4) { /* all bits; those of a live handle but for a few; another process; another generation */
        case 0: break;
        case 1: random = alive.client ^ ((uint64_t)1 << random % 64) ^ ((uint64_t)1 << (random >> 8) % 64); break;
        case 2: random = (alive.result & ~((uint64_t)31 << 56)) | (random & ((uint64_t)31 << 56)); break;
        default: random = (alive.queue & ~(uint64_t)0xffffffff) | (random & 0xffffffff); break;
        }
        if (random == 0 || random == alive.client || random == alive.request || random == alive.queue || random == alive.result) continue;
        if (random >> 32 == alive.request >> 32) continue; /* the slots of calls that this test has made meanwhile */
        world w = {random, random, random, random, 0, no_done, NULL, NULL};
        const export_entry *e = &exports[random_next(&state) % EXPORTS];
        n++;
        if (e->about == NONE) continue;
        target_status status = call_export(e, &w);
        if (status != TARGET_E_BAD_HANDLE)
            check_failed(__FILE__, __LINE__, "%s with %llx returned %s", e->name, (unsigned long long)random,
                         target_status_name(status));
    }
}

static void *random_handles_here(void *argument) {
    random_handles(*(long *)argument, (uint64_t)(uintptr_t)&argument ^ (uint64_t)now_ms());
    return NULL;
}

/* ---- two threads end one thing: one of them has done it ---- */

typedef struct pair {
    pthread_barrier_t start;
    uint64_t handle;
    target_status (*end)(uint64_t);
    int rounds;
    int successes;
    int failures;
    int stop;
} pair;

static void *end_together(void *argument) {
    pair *p = (pair *)argument;
    for (;;) {
        pthread_barrier_wait(&p->start);
        if (p->stop) return NULL;
        target_status status = p->end(p->handle);
        if (status == TARGET_OK) ATOMIC_ADD(p->successes, 1);
        else if (status == TARGET_E_BAD_HANDLE) ATOMIC_ADD(p->failures, 1);
        else CHECK_STATUS(status, TARGET_OK);
        pthread_barrier_wait(&p->start);
    }
}

static uint64_t new_client(void) { return create_client(OFFLINE); }
static uint64_t new_queue(void) {
    target_queue queue;
    OK(target_queue_create(&queue));
    return queue;
}
static uint64_t new_result(void) {
    target_result result;
    OK(target_client_stats(alive.client, &result));
    return result;
}

static void ended_twice(uint64_t (*make)(void), target_status (*end)(uint64_t), int rounds) {
    pair p;
    memset(&p, 0, sizeof p);
    p.end = end;
    CHECK_EQ(pthread_barrier_init(&p.start, NULL, 3), 0);
    pthread_t threads[2] = {start_thread(end_together, &p), start_thread(end_together, &p)};
    for (int i = 0; i < rounds; i++) {
        p.handle = make();
        pthread_barrier_wait(&p.start);
        pthread_barrier_wait(&p.start);
        CHECK_EQ(p.successes, i + 1);
        CHECK_EQ(p.failures, i + 1);
        CHECK_STATUS(end(p.handle), TARGET_E_BAD_HANDLE);
    }
    p.stop = 1;
    pthread_barrier_wait(&p.start);
    for (int i = 0; i < 2; i++) join_thread(threads[i]);
    pthread_barrier_destroy(&p.start);
}

/* ---- a slot is used again, a handle is not ---- */

static void ended_handles_stay_ended(int rounds) {
    enum { KEPT = 64 };
    static target_queue old[KEPT];
    for (int i = 0; i < rounds; i++) {
        target_queue made = new_queue();
        for (int k = 0; k < KEPT; k++) CHECK(old[k] != made);
        for (int k = 0; k < KEPT && old[k] != 0; k += 7) {
            CHECK_STATUS(target_queue_wake(old[k]), TARGET_E_BAD_HANDLE);
            CHECK_STATUS(target_queue_destroy(old[k]), TARGET_E_BAD_HANDLE);
        }
        OK(target_queue_wake(made));
        OK(target_queue_destroy(made));
        old[i % KEPT] = made;
    }
}

int main(int argc, char **argv) {
    long count = argc > 1 ? atol(argv[1]) : 100000;
    server edge;
    server_start(&edge, "");
    alive = live_world(edge.config);
    target_completion first;
    CHECK_EQ(target_queue_poll(alive.queue, &first, 1, 10000), 1); /* its request has ended */
    OK(target_result_free(first.result));

    long each = count / 2;
    pthread_t other = start_thread(random_handles_here, &each);
    random_handles(each, 1);
    join_thread(other);
    /* What is alive has not noticed. */
    target_result answer;
    OK(target_get_offers_sync(alive.client, OFFERS, TARGET_NUL, 10000, &answer));
    OK(target_result_free(answer));
    OK(target_queue_wake(alive.queue));
    OK(target_result_status(alive.result));

    int rounds = (int)(count / 500);
    ended_twice(new_client, target_client_destroy, rounds / 4);
    ended_twice(new_queue, target_queue_destroy, rounds);
    ended_twice(new_result, target_result_free, rounds);
    ended_handles_stay_ended(rounds * 10);
    end_world(&alive);
    OK(target_shutdown(10000));
    server_stop(&edge);
    return 0;
}
