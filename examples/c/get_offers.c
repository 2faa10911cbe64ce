/*
 * Asks for the offers of three mboxes and is called back with the answer.
 *
 *   ./get_offers 127.0.0.1:9700
 *
 * The callback runs on a thread of the library, exactly once for each call that was accepted. Here it keeps the result
 * and wakes the main thread.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "example.h"

struct answer {
  pthread_mutex_t lock;
  pthread_cond_t arrived;
  int done;
  target_result result;
};

static void on_done(target_request request, target_result result, void *user_data) {
  struct answer *answer = user_data;
  (void)request; /* the call is over: its handle is of no more use */

  /* The result is borrowed until this function returns; retain keeps it longer. */
  target_result kept = target_result_retain(result) == TARGET_OK ? result : 0;

  pthread_mutex_lock(&answer->lock);
  answer->result = kept;
  answer->done = 1;
  pthread_cond_signal(&answer->arrived);
  pthread_mutex_unlock(&answer->lock);
}

/* Prints the offers of an envelope, one line for each mbox. */
static void print_offers(target_result result) {
  for (int i = 0;; i++) {
    char place[64], name_room[64], offer_room[512];
    snprintf(place, sizeof place, "/response/execute/mboxes/%d/name", i);
    const char *name = example_get(result, place, NULL);
    if (name == NULL) break; /* that was the last mbox */
    snprintf(place, sizeof place, "/response/execute/mboxes/%d/options/0/content", i);
    const char *offer = example_get(result, place, "(no offer)");
    printf("  %-26s %s\n", example_text(name, name_room, sizeof name_room), example_text(offer, offer_room, sizeof offer_room));
  }
  char decided[32];
  printf("  decided                    %s\n",
         example_text(example_get(result, "/meta/decisioningMethod", "?"), decided, sizeof decided));
  /* The web application sets this cookie, and hands it in again as "targetCookie" with the visitor's next request. */
  printf("  mbox cookie, max-age       %s s\n", example_get(result, "/targetCookie/maxAge", "?"));
}

int main(int argc, char **argv) {
  static const char options[] = "{\"request\": {\"execute\": {\"mboxes\": ["
                                "{\"name\": \"homepage-hero\"},"
                                "{\"name\": \"demo-engineering-flags\"},"
                                "{\"name\": \"an-mbox-without-offers\"}]}}}";
  struct answer answer = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
  int failed = 1;

  if (argc != 2) {
    fprintf(stderr, "usage: %s HOST:PORT\n", argv[0]);
    return 2;
  }
  target_client client = example_client(example_config(argv[1], ""));
  if (client == 0) return 1;

  target_status status = target_get_offers(client, options, on_done, &answer);
  if (status != TARGET_OK) {
    /* Refused: the callback will not run. */
    example_complain("target_get_offers", status, 0);
  } else {
    /* Accepted: the callback will run, at the latest when the client's timeout has passed. */
    pthread_mutex_lock(&answer.lock);
    while (!answer.done) pthread_cond_wait(&answer.arrived, &answer.lock);
    pthread_mutex_unlock(&answer.lock);

    status = target_result_status(answer.result);
    if (status == TARGET_OK) {
      print_offers(answer.result);
      failed = 0;
    } else {
      example_complain("no offers", status, answer.result);
    }
    target_result_free(answer.result);
  }

  /* Waits up to a second for what is in flight; after it, no callback of this client runs. */
  target_client_close(client, 1000, NULL);
  target_client_destroy(client);
  /* Optional at the end of a program: ends the library's threads. */
  target_shutdown(1000);
  return failed;
}
