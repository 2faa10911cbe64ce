/*
 * Decides in this process, from a rules artifact in a file, without any network.
 *
 *   ./on_device artifact.json
 *
 * A client with "artifactFile" and without "offline" would download the artifact, keep the file up to date, and fall back
 * to it when it starts while the network is not there.
 */
#include <stdio.h>
#include <stdlib.h>

#include "example.h"

/* Runs on a thread of the library. Why a file cannot be used is a warning. */
static void print_log(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
  (void)level;
  (void)user_data;
  fprintf(stderr, "%s: %.*s\n", target, (int)len, message);
}

static void print_offer(target_result result) {
  char room[512];
  const char *offer = example_get(result, "/response/execute/mboxes/0/options/0/content", "(no offer)");
  printf("  offer                      %s\n", example_text(offer, room, sizeof room));
  const char *decided = example_get(result, "/meta/decisioningMethod", "?");
  printf("  decided                    %s\n", example_text(decided, room, sizeof room));
}

int main(int argc, char **argv) {
  /* The visitor's id chooses the experience: the same id always gets the same one. */
  static const char options[] = "{\"request\": {\"id\": {\"tntId\": \"visitor-4711.28_0\"},"
                                " \"context\": {\"channel\": \"web\"},"
                                " \"execute\": {\"mboxes\": [{\"name\": \"a1-serverside-ab\"}]}}}";
  target_result result = 0;

  if (argc != 2) {
    fprintf(stderr, "usage: %s ARTIFACT_FILE\n", argv[0]);
    return 2;
  }
  target_set_log(print_log, NULL, NULL, TARGET_LOG_WARN);
  /* The path goes into the JSON as it is: one with quotes or backslashes would need escapes. */
  target_client client = example_client(
      example_format("{\"client\": \"acme\", \"organizationId\": \"ORG@AdobeOrg\","
                     " \"decisioningMethod\": \"on-device\", \"offline\": true, \"artifactFile\": \"%s\"}",
                     argv[1]));
  if (client == 0) return 1;

  /* The file is read in the background. */
  target_status status = target_client_wait_ready(client, 5000);
  if (status != TARGET_OK) {
    example_complain("no artifact", status, 0); /* the log says why */
  } else {
    /* Decided on this thread: no queue, no other thread, no I/O. */
    status = target_get_offers_sync(client, options, TARGET_NUL, 0, &result);
    if (status == TARGET_OK) {
      print_offer(result);
    } else {
      example_complain("target_get_offers_sync", status, result);
    }
  }

  target_result_free(result);
  target_client_destroy(client);
  target_shutdown(1000);
  return status == TARGET_OK ? 0 : 1;
}
