/* Ends of the library: bounded, final, and without leftovers. */
#include "ends.h"

static int look_up_threads(void) {
    DIR *dir = opendir("/proc/self/task");
    CHECK(dir != NULL);
    int count = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file == NULL) continue;
        if (fgets(name, sizeof name, file) != NULL) count += strncmp(name, "target-dns", 10) == 0;
        fclose(file);
    }
    closedir(dir);
    return count;
}

/* Well before the ten seconds after which idle ones leave by themselves. */
static bool look_up_threads_end(void) {
    for (long until = now_ms() + 5000; look_up_threads() > 0 && now_ms() < until;) sleep_ms(1);
    return look_up_threads() == 0;
}

/* They end with their client; and with the library, which waits for them. */
static void look_ups_leave_no_thread(void) {
    char config[512];
    snprintf(config, sizeof config,
             "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"serverDomain\":\"localhost:%d\","
             "\"pinServerDomain\":true,\"secure\":false,\"telemetryEnabled\":false,\"timeout\":20000,\"connectTimeout\":10000}",
             edge.port);
    enum { DESTROYED, SHUT_DOWN, BOTH, ENDS };
    for (int end = 0; end < ENDS; end++) {
        CHECK(look_up_threads_end());
        target_client client = create_client(config);
        target_result answer = 0;
        OK(target_get_offers_sync(client, OFFERS, TARGET_NUL, 0, &answer));
        OK(target_result_free(answer));
        CHECK_EQ(look_up_threads(), 1);
        if (end != SHUT_DOWN) {
            OK(target_client_close(client, 3000, NULL));
            OK(target_client_destroy(client));
        }
        if (end == DESTROYED) CHECK(look_up_threads_end());
        long started = now_ms();
        OK(target_shutdown((uint32_t)(3000 * slowness())));
        CHECK(now_ms() - started < 3000 * slowness());
        CHECK(threads_fall_to(2)); /* the kernel lists a thread that was joined for another moment */
        if (end == SHUT_DOWN) OK(target_client_destroy(client));
    }
}

static void shutdown_and_again(void) {
    ATOMIC_SET(edge.mode, SERVER_IS_SILENT);
    target_client client = online();
    tally t = empty;
    submit(client, &t, 30);
    target_queue queue;
    OK(target_queue_create(&queue));
    target_call call = queue_call(queue, 1);
    OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL));
    OK(target_shutdown((uint32_t)(5000 * slowness())));
    ATOMIC_SET(t.ended, 1);
    CHECK_EQ(counter_get(&t.done), 30);
    CHECK_EQ(counter_get(&t.released), 30);
    CHECK_EQ(t.closed, 30);
    CHECK(threads_fall_to(2)); /* this one and the server's */

    /* What it has left behind: handles that answer, a queue with its completion. */
    refuses_everything(client);
    OK(target_client_close(client, 1000, NULL));
    target_completion completion;
    CHECK_EQ(target_queue_poll(queue, &completion, 1, 1000), 1);
    CHECK_STATUS(completion.status, TARGET_E_CLOSED);
    OK(target_result_free(completion.result));
    OK(target_queue_destroy(queue));
    OK(target_client_destroy(client));
    OK(target_shutdown(0)); /* nothing to stop */

    ATOMIC_SET(edge.mode, SERVER_ANSWERS);
    client = online();
    target_result result;
    OK(target_get_offers_sync(client, OFFERS, TARGET_NUL, 0, &result));
    OK(target_result_free(result));
    OK(target_client_destroy(client));
    OK(target_shutdown(5000));
}

static void gives_up_on_shutdown(void) {
    stuck_may_go_on.value = 0;
    stuck_runs.value = 0;
    stuck_released.value = 0;
    target_client client = online();
    target_call call = callback_call(stick, &stuck_released, count_release);
    OK(target_get_offers_ex(client, "not JSON", TARGET_NUL, &call, NULL));
    counter_wait(&stuck_runs, 1);
    long started = now_ms();
    CHECK_STATUS(target_shutdown(100), TARGET_E_CALLBACK_STUCK);
    long took = now_ms() - started;
    CHECK(took >= 99 && took <= 100 + slack_ms());
    /* Beside the thread left behind, a new start works. */
    target_client next = online();
    tally t = empty;
    submit(next, &t, 3);
    counter_wait(&t.done, 3);
    OK(target_client_destroy(next));
    OK(target_client_destroy(client));
    counter_add(&stuck_may_go_on);
    counter_wait(&stuck_released, 1);
    OK(target_shutdown(5000));
}

static void *start_and_stop(void *rounds) {
    for (int i = 0; i < *(int *)rounds; i++) {
        OK(target_init("{}", NULL));
        target_client client = 0;
        target_status status = target_client_create(edge.config, TARGET_NUL, NULL, &client, NULL);
        if (status != TARGET_OK) {
            CHECK_STATUS(status, TARGET_E_CLOSED); /* while another thread shuts down */
            continue;
        }
        tally t = empty;
        target_call call = callback_call(tally_done, &t, tally_release);
        status = target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL);
        int accepted = status == TARGET_OK;
        if (!accepted) CHECK_STATUS(status, TARGET_E_CLOSED);
        target_result result;
        status = target_get_offers_sync(client, OFFERS, TARGET_NUL, 0, &result);
        if (status != TARGET_OK) CHECK_STATUS(status, TARGET_E_CLOSED);
        OK(target_result_free(result));
        if (i % 3 == 0) OK(target_shutdown((uint32_t)(5000 * slowness())));
        OK(target_client_close(client, 1000, NULL));
        CHECK_EQ(counter_get(&t.done), accepted);
        CHECK_EQ(counter_get(&t.released), accepted);
        OK(target_client_destroy(client));
    }
    return NULL;
}

static void everybody_starts_and_stops(int rounds) {
    pthread_t workers[16];
    for (int i = 0; i < 16; i++) workers[i] = start_thread(start_and_stop, &rounds);
    for (int i = 0; i < 16; i++) join_thread(workers[i]);
    OK(target_shutdown(5000));
    CHECK(threads_fall_to(2));
}

static void cycles(int count) {
    int fds = 0;
    CHECK(threads_fall_to(2));
    for (int i = 0; i < count; i++) {
        if (i == 5) {
            sleep_ms(30); /* the server has noticed the end of its connections */
            fds = open_fds();
        }
        target_client client = online();
        target_queue queue;
        OK(target_queue_create(&queue));
        intptr_t fd;
        OK(target_queue_fd(queue, &fd));
        target_call call = queue_call(queue, 1);
        OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL));
        if (i % 2) {
            target_completion completion;
            CHECK_EQ(target_queue_poll(queue, &completion, 1, 5000), 1);
            OK(completion.status);
            OK(target_result_free(completion.result));
        }
        if (i % 3) OK(target_client_destroy(client));
        OK(target_shutdown(5000));
        CHECK(threads_fall_to(2));
        if (i % 3 == 0) OK(target_client_destroy(client));
        OK(target_queue_destroy(queue));
    }
    if (count > 5) {
        for (long until = now_ms() + 2000; open_fds() > fds && now_ms() < until;) sleep_ms(5);
        CHECK_EQ(open_fds(), fds);
    }
}

int main(int argc, char **argv) {
    int scale = argc > 1 ? atoi(argv[1]) : 200;
    server_start(&edge, ",\"timeout\":20000");
    look_ups_leave_no_thread();
    shutdown_and_again();
    if (slowness() == 1) gives_up_on_shutdown(); /* for valgrind the thread left behind is a leak, and it is right */
    everybody_starts_and_stops(scale / 8);
    cycles(scale);
    server_stop(&edge);
    CHECK(threads_fall_to(1));
    return 0;
}
