/*
 * The same visitors, decided by the server, on the device, and by a hybrid client: all three give the same experience.
 *
 *   ./hybrid 127.0.0.1:9700
 *
 * A hybrid client decides in this process when the artifact has all that the request needs, and asks the server when not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "example.h"

static const char *const METHODS[] = {"server-side", "on-device", "hybrid"};
enum { METHOD_COUNT = 3, VISITORS = 6 };

/* Why there is no artifact: the client's statistics tell. */
static void no_artifact(target_client client, target_status status) {
  char room[512];
  target_result stats = 0;
  const char *reason = "(not known yet)";

  if (target_client_stats(client, &stats) == TARGET_OK) reason = example_get(stats, "/artifact/lastError", reason);
  fprintf(stderr, "no artifact: %s: %s\n", target_status_name(status), example_text(reason, room, sizeof room));
  target_result_free(stats);
}

/* What one visitor gets with one method: a result that the caller frees, or 0. */
static target_result decide(target_client client, int visitor, const char *method) {
  target_result result = 0;
  /* "decisioningMethod" of a call goes before the client's. */
  char *options = example_format("{\"decisioningMethod\": \"%s\", \"request\": {"
                                 "\"id\": {\"tntId\": \"visitor-%d.28_0\"},"
                                 "\"execute\": {\"mboxes\": [{\"name\": \"a1-serverside-ab\"}]}}}",
                                 method, visitor);
  if (options == NULL) return 0;
  target_status status = target_get_offers_sync(client, options, TARGET_NUL, 0, &result);
  free(options);
  if (status != TARGET_OK) {
    example_complain(method, status, result);
    target_result_free(result);
    return 0;
  }
  return result;
}

/* Prints what a visitor gets; returns 1 when all methods agree. */
static int compare(target_client client, int visitor) {
  static const char offer[] = "/response/execute/mboxes/0/options/0/content";
  target_result results[METHOD_COUNT] = {0, 0, 0};
  int same = 1;

  for (int i = 0; i < METHOD_COUNT; i++) {
    results[i] = decide(client, visitor, METHODS[i]);
    if (results[i] == 0) same = 0;
  }
  if (same) {
    const char *first = example_get(results[0], offer, "(no offer)");
    printf("  visitor %d  %s\n", visitor, first);
    for (int i = 1; i < METHOD_COUNT; i++) {
      const char *other = example_get(results[i], offer, "(no offer)");
      if (strcmp(first, other) != 0) {
        printf("             but %s: %s\n", METHODS[i], other);
        same = 0;
      }
    }
  }
  for (int i = 0; i < METHOD_COUNT; i++) target_result_free(results[i]);
  return same;
}

int main(int argc, char **argv) {
  int same = 0;

  if (argc != 2) {
    fprintf(stderr, "usage: %s HOST:PORT\n", argv[0]);
    return 2;
  }
  target_client client = example_client(example_config(argv[1], ", \"decisioningMethod\": \"hybrid\""));
  if (client == 0) return 1;

  /* Without this, a hybrid client asks the server until it has its artifact. */
  target_status status = target_client_wait_ready(client, 5000);
  if (status != TARGET_OK) {
    no_artifact(client, status);
  } else {
    for (int visitor = 1; visitor <= VISITORS; visitor++) same += compare(client, visitor);
    printf("  server-side, on-device and hybrid agree for %d of %d visitors\n", same, (int)VISITORS);
  }

  target_client_close(client, 1000, NULL); /* also sends what the local decisions have to report */
  target_client_destroy(client);
  target_shutdown(1000);
  return same == VISITORS ? 0 : 1;
}
