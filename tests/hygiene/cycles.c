/* The library starts and stops again and again; clients come and go. Threads, descriptors and memory are what they were.
 * Argument: how many times. */
#include "exports.h"

#include <malloc.h>

static server edge;

static long resident_kib(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    long size = 0, resident = 0;
    CHECK(file != NULL && fscanf(file, "%ld %ld", &size, &resident) == 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static bool fds_fall_to(int count) {
    for (long until = now_ms() + 5000; open_fds() > count && now_ms() < until;) sleep_ms(1);
    return open_fds() <= count;
}

static void start_and_stop(int i) {
    OK(target_init(i % 3 ? NULL : "{\"workerThreads\":4}", NULL));
    world w = live_world(edge.config);
    counter called = COUNTER;
    target_call call = callback_call(count_done, &called, count_release);
    for (int n = 0; n < 4; n++) OK(target_get_offers_ex(w.client, n % 2 ? OFFERS : "{", TARGET_NUL, &call, NULL));
    if (i % 2) {
        OK(target_client_close(w.client, 1000, NULL));
        end_world(&w);
        OK(target_shutdown(10000));
    } else { /* calls in flight, and the client outlives the threads */
        OK(target_shutdown(10000));
        end_world(&w);
    }
    CHECK_EQ(counter_get(&called), 8);
    CHECK(threads_fall_to(2));
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 100;
    server_start(&edge, ",\"timeout\":20000");
    for (int i = 0; i < 20 + count / 5; i++) start_and_stop(i); /* caches and arenas fill */
    sleep_ms(50);
    malloc_trim(0);
    int fds = open_fds();
    long kib = resident_kib();
    for (int i = 0; i < count; i++) start_and_stop(i);
    CHECK(fds_fall_to(fds));
    malloc_trim(0);
    long grown = resident_kib() - kib;
    /* A thread's stack or a client that is left behind each time would be far more. */
    if (slowness() == 1 && grown > 512 + count) check_failed(__FILE__, __LINE__, "%ld KiB more after %d starts", grown, count);

    /* Clients only. */
    world w = live_world(edge.config);
    for (int i = 0; i < 100; i++) OK(target_client_destroy(create_client(edge.config)));
    sleep_ms(50);
    malloc_trim(0);
    fds = open_fds();
    kib = resident_kib();
    for (int i = 0; i < count * 10; i++) {
        target_client client = create_client(i % 2 ? edge.config : OFFLINE);
        if (i % 8 == 1) {
            target_result answer = 0;
            OK(target_get_offers_sync(client, OFFERS, TARGET_NUL, 10000, &answer));
            OK(target_result_free(answer));
        }
        if (i % 3 == 0) OK(target_client_close(client, 100, NULL));
        OK(target_client_destroy(client));
    }
    CHECK(fds_fall_to(fds));
    malloc_trim(0);
    grown = resident_kib() - kib;
    if (slowness() == 1 && grown > 512 + count) check_failed(__FILE__, __LINE__, "%ld KiB more after %d clients", grown, count * 10);
    end_world(&w);
    OK(target_shutdown(10000));
    server_stop(&edge);
    return 0;
}
