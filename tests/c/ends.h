/* What the tests of ends of clients and of the library share. */
#ifndef ENDS_H
#define ENDS_H

#include "server.h"

static server edge;

typedef struct tally {
    counter done, released;
    int ok, cancelled, closed;
    int late;  /* callbacks after the end was promised */
    int ended; /* the end was promised */
} tally;

static const tally empty = {COUNTER, COUNTER, 0, 0, 0, 0, 0};

static void tally_done(target_request request, target_result result, void *user_data) {
    tally *t = (tally *)user_data;
    (void)request;
    if (ATOMIC_GET(t->ended)) ATOMIC_ADD(t->late, 1);
    switch (target_result_status(result)) {
    case TARGET_OK: ATOMIC_ADD(t->ok, 1); break;
    case TARGET_E_CANCELLED: ATOMIC_ADD(t->cancelled, 1); break;
    case TARGET_E_CLOSED: ATOMIC_ADD(t->closed, 1); break;
    default: CHECK_STATUS(target_result_status(result), TARGET_OK);
    }
    counter_add(&t->done);
}

static void tally_release(void *user_data) { counter_add(&((tally *)user_data)->released); }

static void submit(target_client client, tally *t, int count) {
    target_call call = callback_call(tally_done, t, tally_release);
    for (int i = 0; i < count; i++) OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL));
}

static target_client online(void) { return create_client(edge.config); }

static void refuses_everything(target_client client) {
    target_result result = 77;
    target_call call = callback_call(count_done, NULL, NULL);
    CHECK_STATUS(target_get_offers(client, OFFERS, count_done, NULL), TARGET_E_CLOSED);
    CHECK_STATUS(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL), TARGET_E_CLOSED);
    CHECK_STATUS(target_send_notifications(client, NOTIFICATIONS, count_done, NULL), TARGET_E_CLOSED);
    CHECK_STATUS(target_get_attributes(client, "[\"a\"]", NULL, count_done, NULL), TARGET_E_CLOSED);
    CHECK_STATUS(target_get_offers_sync(client, OFFERS, TARGET_NUL, 0, &result), TARGET_E_CLOSED);
    CHECK_EQ(result, 0);
    CHECK_STATUS(target_client_wait_ready(client, 1000), TARGET_E_CLOSED);
    CHECK_STATUS(target_client_flush(client, 1000, NULL), TARGET_E_CLOSED);
    int32_t state;
    OK(target_client_state(client, &state));
    CHECK_EQ(state, TARGET_STATE_CLOSED);
    OK(target_client_stats(client, &result));
    OK(target_result_free(result));
}

/* A callback that does not return. */
static counter stuck_runs = COUNTER, stuck_may_go_on = COUNTER, stuck_released = COUNTER;

static void stick(target_request request, target_result result, void *user_data) {
    (void)request, (void)result, (void)user_data;
    counter_add(&stuck_runs);
    counter_wait(&stuck_may_go_on, 1);
}

#endif
