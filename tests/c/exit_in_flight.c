/* exit() with calls in flight: once the exit handlers of the host run, nothing of the host is called any more.
 * Argument: what else happens: "plain", "close" (from an exit handler), "shutdown", "busy" (callbacks all the time),
 * "callback" (exit in a callback), "thread" (exit on another thread). */
#include "server.h"

static server edge;
static target_client client;
static int gate_closed; /* set by an exit handler that is older than the library's: it runs after that one */
static const char *how;
static long exiting_since;

static void after_the_gate(void) {
    ATOMIC_SET(gate_closed, 1);
    long started = now_ms();
    if (strcmp(how, "close") == 0) {
        target_status status = target_client_close(client, 0, NULL);
        CHECK_STATUS(status, TARGET_OK);
        CHECK(now_ms() - started <= 200 + slack_ms());
        OK(target_client_destroy(client));
    } else if (strcmp(how, "shutdown") == 0) {
        OK(target_shutdown(2000));
        CHECK(now_ms() - started <= 200 + slack_ms());
    }
    sleep_ms(5); /* a callback too late would come now */
    CHECK(now_ms() - exiting_since <= 350 + slack_ms());
}

static void begin_exit(void) {
    exiting_since = now_ms();
    exit(0);
}

static void answered(target_request request, target_result result, void *user_data) {
    (void)request, (void)result, (void)user_data;
    CHECK_EQ(ATOMIC_GET(gate_closed), 0);
    if (strcmp(how, "callback") == 0) begin_exit();
    if (strcmp(how, "busy") == 0) sleep_ms(1);
    CHECK_EQ(ATOMIC_GET(gate_closed), 0);
}

static void released(void *user_data) {
    (void)user_data;
    CHECK_EQ(ATOMIC_GET(gate_closed), 0);
}

static void *exit_here(void *unused) {
    (void)unused;
    begin_exit();
    return NULL;
}

int main(int argc, char **argv) {
    how = argc > 1 ? argv[1] : "plain";
    alarm(10);
    atexit(after_the_gate); /* before the first client: runs after the gate has closed */
    server_start(&edge, "");
    ATOMIC_SET(edge.delay_ms, 3);
    client = create_client(edge.config);
    target_call call = callback_call(answered, NULL, released);
    int calls = strcmp(how, "busy") == 0 ? 200 : 64;
    for (int i = 0; i < calls; i++) OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL));
    sleep_ms(argc > 2 ? atoi(argv[2]) : 3);
    if (strcmp(how, "callback") == 0) sleep_ms(5000); /* ended by the callback */
    if (strcmp(how, "thread") == 0) join_thread(start_thread(exit_here, NULL));
    begin_exit();
}
