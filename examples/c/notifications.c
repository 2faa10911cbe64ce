/*
 * Fetches an offer ahead of time (prefetch), shows it later, and then tells Target that it was shown.
 *
 *   ./notifications 127.0.0.1:9700
 *
 * A prefetched offer is not counted until its event token comes back in a notification.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "example.h"

/* Options of the notification, for the same visitor: the cookie of the first answer says who that is. */
static char *display_notification(target_result prefetched) {
  struct timespec now;
  /* JSON in, JSON out: both keep their quotes and escapes, so they go into the new document as they are. */
  const char *token = example_get(prefetched, "/response/prefetch/mboxes/0/options/0/eventToken", NULL);
  const char *cookie = example_get(prefetched, "/targetCookie/value", NULL);
  if (token == NULL || cookie == NULL) return NULL;

  clock_gettime(CLOCK_REALTIME, &now);
  return example_format("{\"targetCookie\": %s, \"request\": {\"notifications\": [{"
                        "\"id\": \"shown-1\", \"type\": \"display\", \"timestamp\": %lld,"
                        "\"mbox\": {\"name\": \"homepage-hero\"}, \"tokens\": [%s]}]}}",
                        cookie, (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000, token);
}

int main(int argc, char **argv) {
  static const char prefetch[] = "{\"request\": {\"prefetch\": {\"mboxes\": [{\"name\": \"homepage-hero\"}]}}}";
  target_result offers = 0, receipt = 0;
  char *notification = NULL;
  char room[512];
  int failed = 1;

  if (argc != 2) {
    fprintf(stderr, "usage: %s HOST:PORT\n", argv[0]);
    return 2;
  }
  target_client client = example_client(example_config(argv[1], ""));
  if (client == 0) return 1;

  target_status status = target_get_offers_sync(client, prefetch, TARGET_NUL, 0, &offers);
  if (status != TARGET_OK) {
    example_complain("prefetch", status, offers);
    goto done;
  }
  const char *offer = example_get(offers, "/response/prefetch/mboxes/0/options/0/content", "(no offer)");
  printf("  prefetched                 %s\n", example_text(offer, room, sizeof room));

  notification = display_notification(offers);
  if (notification == NULL) {
    fprintf(stderr, "there is no event token: nothing to notify of\n");
    goto done;
  }
  status = target_send_notifications_sync(client, notification, TARGET_NUL, 0, &receipt);
  if (status != TARGET_OK) {
    example_complain("target_send_notifications_sync", status, receipt);
    goto done;
  }
  printf("  acknowledged               %s\n", example_get(receipt, "/response/notifications", "?"));
  failed = 0;

done:
  free(notification);
  target_result_free(receipt);
  target_result_free(offers);
  target_client_destroy(client);
  target_shutdown(1000);
  return failed;
}
