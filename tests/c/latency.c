/* Nobody waits for others: a call at a time is answered at once while another client floods the library with decisions, and
 * while a callback does not return. */
#include "check.h"

#define ON_DEVICE(more) \
    "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"decisioningMethod\":\"on-device\",\"offline\":true," \
    "\"pollingInterval\":0,\"artifactPayload\":{\"version\":\"1.0.0\",\"globalMbox\":\"target-global-mbox\"," \
    "\"geoTargetingEnabled\":false,\"responseTokens\":[],\"remoteMboxes\":[],\"remoteViews\":[],\"localMboxes\":[\"a\"]," \
    "\"localViews\":[],\"meta\":{\"clientCode\":\"acme\",\"environment\":\"production\"},\"rules\":{\"mboxes\":{\"a\":[]}," \
    "\"views\":{}}}" more "}"

static target_client fast, flooding;
static int stop;
static long answered; /* of the flood */

static void flood_answered(target_request request, target_result result, void *user_data) {
    (void)request;
    (void)user_data;
    OK(target_result_status(result));
    ATOMIC_ADD(answered, 1);
}

/* As many decisions at a time as the client takes, into a queue or to a callback. */
static void *flood(void *with_queue) {
    target_queue queue;
    OK(target_queue_create(&queue));
    target_call call = with_queue ? queue_call(queue, 1) : callback_call(flood_answered, NULL, NULL);
    target_completion completions[64];
    while (!ATOMIC_GET(stop)) {
        target_status status = target_get_offers_ex(flooding, OFFERS, TARGET_NUL, &call, NULL);
        if (status == TARGET_OK) continue;
        CHECK_STATUS(status, TARGET_E_QUEUE_FULL);
        if (!with_queue) {
            sleep_ms(1);
            continue;
        }
        int got = target_queue_poll(queue, completions, 64, 10);
        CHECK(got >= 0);
        for (int i = 0; i < got; i++) {
            OK(completions[i].status);
            OK(target_result_free(completions[i].result));
        }
        ATOMIC_ADD(answered, got);
    }
    OK(target_queue_destroy(queue));
    return NULL;
}

/* One call at a time; returns the longest that one took. */
static long longest_wait(target_queue queue, int calls) {
    long longest = 0;
    for (int i = 0; i < calls; i++) {
        target_call call = queue_call(queue, (uint64_t)i);
        target_completion completion;
        long started = now_ms();
        OK(target_get_offers_ex(fast, OFFERS, TARGET_NUL, &call, NULL));
        CHECK_EQ(target_queue_poll(queue, &completion, 1, (int)(10000 * slowness())), 1);
        long took = now_ms() - started;
        if (took > longest) longest = took;
        CHECK_EQ(completion.tag, i);
        OK(completion.status);
        OK(target_result_free(completion.result));
    }
    return longest;
}

static void a_flood_starves_nobody(target_queue queue) {
    pthread_t threads[3];
    for (intptr_t i = 0; i < 3; i++) threads[i] = start_thread(flood, i == 0 ? NULL : (void *)i);
    for (long until = now_ms() + 10000 * slowness(); ATOMIC_GET(answered) < 2000 && now_ms() < until;) sleep_ms(1);
    long before = ATOMIC_GET(answered);
    CHECK(longest_wait(queue, 300) < 1000 * slowness());
    CHECK(ATOMIC_GET(answered) > before); /* it was a flood all the time */
    ATOMIC_SET(stop, 1);
    for (int i = 0; i < 3; i++) join_thread(threads[i]);
}

static counter entered = COUNTER, may_return = COUNTER, returned = COUNTER;

static void stuck(target_request request, target_result result, void *user_data) {
    (void)request;
    (void)user_data;
    OK(target_result_status(result));
    counter_add(&entered);
    counter_wait(&may_return, 1);
    counter_add(&returned);
}

/* Decisions are made on the thread of the callbacks only while it has nothing else to do. */
static void a_stuck_callback_delays_no_decision(target_queue queue) {
    OK(target_get_offers(fast, OFFERS, stuck, NULL));
    counter_wait(&entered, 1);
    CHECK(longest_wait(queue, 50) < 1000 * slowness());
    counter_add(&may_return);
    counter_wait(&returned, 1);
}

static void check_thread(target_request request, target_result result, void *user_data) {
    OK(target_result_status(result));
    CHECK(on_dispatcher());
    count_done(request, result, user_data);
}

/* What is decided where it is called back is never called back inside the call, and can be cancelled like any other. */
static void every_call_is_answered_once(int calls) {
    counter done = COUNTER, released = COUNTER;
    target_call call = callback_call(check_thread, &done, NULL);
    for (int i = 0; i < calls; i++) {
        OK(target_get_offers_ex(fast, OFFERS, TARGET_NUL, &call, NULL));
        counter_wait(&done, i + 1);
    }
    call = callback_call(count_done, &done, count_release);
    call.user_data = &released;
    for (int i = 0; i < calls; i++) {
        target_request request;
        OK(target_get_offers_ex(fast, OFFERS, TARGET_NUL, &call, &request));
        target_status status = i % 2 ? target_request_cancel(request) : target_request_abandon(request);
        CHECK(status == TARGET_OK || status == TARGET_E_BAD_HANDLE);
    }
    target_result report;
    OK(target_client_close(fast, 5000, &report));
    OK(target_result_free(report));
    long raised = counter_get(&released); /* by callbacks, and once by each release */
    CHECK(raised >= calls && raised <= 2 * calls);
}

int main(void) {
    fast = create_client(ON_DEVICE(""));
    flooding = create_client(ON_DEVICE(",\"maxInFlight\":600,\"maxQueued\":600"));
    OK(target_client_wait_ready(fast, 10000));
    OK(target_client_wait_ready(flooding, 10000));
    target_queue queue;
    OK(target_queue_create(&queue));
    a_flood_starves_nobody(queue);
    a_stuck_callback_delays_no_decision(queue);
    every_call_is_answered_once(500);
    OK(target_client_close(flooding, 5000, NULL));
    OK(target_client_destroy(flooding));
    OK(target_client_destroy(fast));
    OK(target_queue_destroy(queue));
    OK(target_shutdown(5000));
    CHECK(threads_fall_to(1));
    return 0;
}
