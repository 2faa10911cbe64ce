/* Completion queues: the descriptor tells the truth, waits are bounded, nothing is lost and nothing is handed out twice. */
#include "server.h"

#include <sys/epoll.h>

static target_client client; /* offline: each call completes at once, with an error */

static bool readable(intptr_t fd) {
    struct pollfd polled = {(int)fd, POLLIN, 0};
    return poll(&polled, 1, 0) == 1;
}

static bool becomes_readable(intptr_t fd) {
    struct pollfd polled = {(int)fd, POLLIN, 0};
    return poll(&polled, 1, (int)(5000 * slowness())) == 1;
}

static target_queue create_queue(void) {
    target_queue queue = 0;
    OK(target_queue_create(&queue));
    CHECK(queue != 0);
    return queue;
}

static intptr_t fd_of(target_queue queue) {
    intptr_t fd = -1;
    OK(target_queue_fd(queue, &fd));
    CHECK(fd > 2);
    return fd;
}

static void submit(target_queue queue, uint64_t tag) {
    target_call call = queue_call(queue, tag);
    OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL));
}

static void take_one(target_queue queue, uint64_t tag) {
    target_completion completion;
    CHECK_EQ(target_queue_poll(queue, &completion, 1, (int)(5000 * slowness())), 1);
    if (tag != 0) CHECK_EQ(completion.tag, tag);
    CHECK_EQ(completion.kind, TARGET_KIND_CALL);
    CHECK_EQ(completion.status, target_result_status(completion.result));
    CHECK_STATUS(target_request_cancel(completion.request), TARGET_E_BAD_HANDLE); /* it has ended */
    OK(target_result_free(completion.result));
}

static void descriptor_is_level_triggered(void) {
    target_queue queue = create_queue();
    intptr_t fd = fd_of(queue);
    CHECK_EQ(fd_of(queue), fd);
    CHECK(fcntl((int)fd, F_GETFD) & FD_CLOEXEC);
    CHECK(!readable(fd));
    for (uint64_t tag = 1; tag <= 3; tag++) submit(queue, tag);
    CHECK(becomes_readable(fd));
    sleep_ms(50 * slowness());
    for (int i = 0; i < 3; i++) {
        CHECK(readable(fd));
        take_one(queue, 0);
    }
    CHECK(!readable(fd));
    target_completion completion;
    CHECK_EQ(target_queue_poll(queue, &completion, 1, 0), 0);

    /* Asked for after the completion came. */
    target_queue late = create_queue();
    submit(late, 9);
    sleep_ms(20 * slowness());
    CHECK(becomes_readable(fd_of(late)));
    take_one(late, 9);
    CHECK(!readable(fd_of(late)));
    OK(target_queue_destroy(late));
    OK(target_queue_destroy(queue));
    CHECK_EQ(fcntl((int)fd, F_GETFD), -1); /* closed */
}

static void epoll_finds_everything(uint32_t edge, int count) {
    target_queue queue = create_queue();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN | edge;
    CHECK_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, (int)fd_of(queue), &event), 0);
    int submitted = 0, taken = 0;
    while (taken < count) {
        for (int i = 0; i < 4 && submitted < count && submitted < taken + 200; i++) submit(queue, (uint64_t)++submitted);
        CHECK_EQ(epoll_wait(epoll, &event, 1, (int)(1000 * slowness())), 1); /* a lost wake-up ends here */
        if (!edge) { /* one for each time it is readable */
            take_one(queue, 0);
            taken++;
            continue;
        }
        for (;;) {
            target_completion completions[3];
            int got = target_queue_poll(queue, completions, 3, 0);
            CHECK(got >= 0);
            if (got == 0) break;
            for (int i = 0; i < got; i++) OK(target_result_free(completions[i].result));
            taken += got;
        }
    }
    CHECK_EQ(taken, count);
    close(epoll);
    OK(target_queue_destroy(queue));
}

static void standard_descriptors_are_left_alone(void) {
    int saved[3];
    for (int fd = 0; fd < 3; fd++) saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
    for (int fd = 0; fd < 3; fd++) close(fd);
    target_queue queue = create_queue();
    intptr_t fd = -1;
    target_status status = target_queue_fd(queue, &fd);
    bool taken = fcntl(0, F_GETFD) != -1 || fcntl(1, F_GETFD) != -1 || fcntl(2, F_GETFD) != -1;
    for (int i = 0; i < 3; i++)
        if (saved[i] >= 0) {
            dup2(saved[i], i);
            close(saved[i]);
        }
    OK(status);
    CHECK(fd > 2 && !taken);
    submit(queue, 1);
    CHECK(becomes_readable(fd));
    take_one(queue, 1);
    OK(target_queue_destroy(queue));
}

static void *wake_soon(void *queue) {
    sleep_ms(30);
    OK(target_queue_wake(*(target_queue *)queue));
    return NULL;
}

static void waits_are_bounded(void) {
    target_queue queue = create_queue();
    target_completion completion;
    long started = now_ms();
    CHECK_EQ(target_queue_poll(queue, &completion, 1, 0), 0);
    CHECK(now_ms() - started <= slack_ms());
    started = now_ms();
    CHECK_EQ(target_queue_poll(queue, &completion, 1, 60), 0);
    long waited = now_ms() - started;
    CHECK(waited >= 59 && waited <= 60 + slack_ms());

    /* Woken: a poll that waits, without limit and with the longest. */
    const int32_t limits[] = {-1, INT32_MIN, INT32_MAX};
    for (int i = 0; i < 3; i++) {
        pthread_t waker = start_thread(wake_soon, &queue);
        started = now_ms();
        CHECK_EQ(target_queue_poll(queue, &completion, 1, limits[i]), 0);
        CHECK(now_ms() - started <= 30 + slack_ms());
        join_thread(waker);
    }
    /* Woken before: the next poll, once, and the descriptor says so. */
    intptr_t fd = fd_of(queue);
    OK(target_queue_wake(queue));
    CHECK(readable(fd));
    CHECK_EQ(target_queue_poll(queue, &completion, 1, -1), 0);
    CHECK(!readable(fd));
    started = now_ms();
    CHECK_EQ(target_queue_poll(queue, &completion, 1, 40), 0);
    CHECK(now_ms() - started >= 39);
    OK(target_queue_destroy(queue));
}

/* ---- many threads ---- */

#define CONSUMERS 4
static struct {
    target_queue queue;
    int count;
    int *seen;
    int taken;
} crowd;

static void *consume(void *unused) {
    (void)unused;
    target_completion completions[5];
    for (;;) {
        int got = target_queue_poll(crowd.queue, completions, 5, -1);
        if (got == TARGET_E_BAD_HANDLE) return NULL; /* destroyed while this waited */
        CHECK(got >= 0);
        for (int i = 0; i < got; i++) {
            ATOMIC_ADD(crowd.seen[completions[i].tag], 1);
            OK(target_result_free(completions[i].result));
        }
        ATOMIC_ADD(crowd.taken, got);
    }
}

static void *produce(void *first) {
    for (int tag = (int)(intptr_t)first; tag < crowd.count; tag += 2) {
        target_call call = queue_call(crowd.queue, (uint64_t)tag);
        target_status status;
        while ((status = target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL)) == TARGET_E_QUEUE_FULL) sleep_ms(1);
        OK(status);
    }
    return NULL;
}

static void every_completion_is_seen_once(int count) {
    crowd.queue = create_queue();
    crowd.count = count;
    crowd.taken = 0;
    crowd.seen = (int *)calloc((size_t)count, sizeof *crowd.seen);
    pthread_t consumers[CONSUMERS], producers[2];
    for (int i = 0; i < CONSUMERS; i++) consumers[i] = start_thread(consume, NULL);
    for (intptr_t i = 0; i < 2; i++) producers[i] = start_thread(produce, (void *)i);
    for (int i = 0; i < 2; i++) join_thread(producers[i]);
    for (long until = now_ms() + 20000 * slowness(); ATOMIC_GET(crowd.taken) < count && now_ms() < until;) sleep_ms(1);
    CHECK_EQ(ATOMIC_GET(crowd.taken), count);
    OK(target_queue_destroy(crowd.queue));
    for (int i = 0; i < CONSUMERS; i++) join_thread(consumers[i]);
    for (int i = 0; i < count; i++) CHECK_EQ(crowd.seen[i], 1);
    free(crowd.seen);
}

/* ---- the end of a queue ---- */

static void destroyed_with_completions_inside(void) {
    target_queue queue = create_queue();
    intptr_t fd = fd_of(queue);
    for (uint64_t i = 0; i < 50; i++) submit(queue, i);
    CHECK(becomes_readable(fd));
    OK(target_queue_destroy(queue)); /* some have arrived, some have not */
    target_completion completion;
    CHECK_EQ(target_queue_poll(queue, &completion, 1, 0), TARGET_E_BAD_HANDLE);
    OK(target_client_flush(client, 1000, NULL));
}

static void abandoned_is_not_handed_out(void) {
    target_queue queue = create_queue();
    target_call call = queue_call(queue, 1);
    target_request request;
    OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, &request));
    CHECK(becomes_readable(fd_of(queue))); /* arrived */
    OK(target_request_abandon(request));
    target_completion completion;
    CHECK_EQ(target_queue_poll(queue, &completion, 1, 30), 0);
    CHECK(!readable(fd_of(queue)));
    /* A wake-up is not lost among them. */
    OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, &request));
    CHECK(becomes_readable(fd_of(queue)));
    OK(target_request_abandon(request));
    OK(target_queue_wake(queue));
    CHECK_EQ(target_queue_poll(queue, &completion, 1, -1), 0);
    target_request kept;
    OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, &kept));
    CHECK_EQ(target_queue_poll(queue, &completion, 1, (int)(5000 * slowness())), 1);
    CHECK_EQ(completion.request, kept);
    OK(target_result_free(completion.result));
    CHECK_STATUS(target_request_abandon(request), TARGET_E_BAD_HANDLE);
    OK(target_queue_destroy(queue));
}

static void unpolled_completions_fill_the_client(void) {
    target_client small = create_client(
        "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"offline\":true,\"maxInFlight\":4,\"maxQueued\":4}");
    target_queue queue = create_queue();
    target_call call = queue_call(queue, 1);
    target_request request;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++) OK(target_get_offers_ex(small, OFFERS, TARGET_NUL, &call, NULL));
        sleep_ms(20);
        request = 77;
        CHECK_STATUS(target_get_offers_ex(small, OFFERS, TARGET_NUL, &call, &request), TARGET_E_QUEUE_FULL);
        CHECK_EQ(request, 0);
        for (int i = 0; i < 8; i++) take_one(queue, 1); /* each makes room for one */
    }
    OK(target_client_close(small, 100, NULL));
    OK(target_client_destroy(small));
    OK(target_queue_destroy(queue));
}

static void abandoned_takes_no_room(void) {
    target_client small = create_client(
        "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"offline\":true,\"maxInFlight\":4,\"maxQueued\":4}");
    target_queue queue = create_queue();
    intptr_t fd = fd_of(queue);
    target_call call = queue_call(queue, 1);
    target_request requests[8];
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 8; i++) OK(target_get_offers_ex(small, OFFERS, TARGET_NUL, &call, &requests[i]));
        if (round % 2) CHECK(becomes_readable(fd)); /* one has arrived */
        for (int i = 0; i < 8; i++) {
            OK(target_request_abandon(requests[i]));
            CHECK_STATUS(target_request_cancel(requests[i]), TARGET_E_BAD_HANDLE); /* it has ended, unpolled */
        }
    }
    OK(target_client_close(small, 5000, NULL)); /* answers that were just arriving have gone, too */
    CHECK(!readable(fd));
    OK(target_client_destroy(small));
    OK(target_queue_destroy(queue));
}

static void events_and_logs_come_as_completions(void) {
    target_queue queue = create_queue();
    OK(target_set_log_queue(queue, TARGET_LOG_TRACE));
    target_client_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    hooks.size = sizeof hooks;
    hooks.queue = queue;
    hooks.tag = 4711;
    target_client chatty;
    OK(target_client_create("{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"offline\":true,\"tiemout\":1}",
                            TARGET_NUL, &hooks, &chatty, NULL));
    bool event = false, log = false;
    while (!event || !log) {
        target_completion completion;
        const char *text;
        CHECK_EQ(target_queue_poll(queue, &completion, 1, (int)(5000 * slowness())), 1);
        CHECK_EQ(completion.request, 0);
        OK(completion.status);
        if (completion.kind == TARGET_KIND_EVENT) {
            CHECK_EQ(completion.tag, 4711);
            OK(target_result_get(completion.result, "/type", &text, NULL));
            event = true;
        } else {
            CHECK_EQ(completion.kind, TARGET_KIND_LOG);
            CHECK_EQ(completion.tag, 0);
            OK(target_result_get(completion.result, "/level", &text, NULL));
            OK(target_result_get(completion.result, "/message", &text, NULL));
            log = true;
        }
        OK(target_result_free(completion.result));
    }
    OK(target_client_destroy(chatty));
    OK(target_set_log_queue(0, TARGET_LOG_OFF));
    OK(target_queue_destroy(queue));
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 20000;
    client = create_client(OFFLINE);
    descriptor_is_level_triggered();
    epoll_finds_everything(0, count / 10);
    epoll_finds_everything(EPOLLET, count / 10);
    standard_descriptors_are_left_alone();
    waits_are_bounded();
    every_completion_is_seen_once(count);
    destroyed_with_completions_inside();
    abandoned_is_not_handed_out();
    unpolled_completions_fill_the_client();
    abandoned_takes_no_room();
    events_and_logs_come_as_completions();
    OK(target_client_destroy(client));
    OK(target_shutdown(5000));
    CHECK(threads_fall_to(1));
    return 0;
}
