/*
 * Reads feature flags: attributes of the JSON offer of one mbox, with the synchronous call.
 *
 *   ./get_attributes_sync 127.0.0.1:9700
 */
#include <inttypes.h>
#include <stdio.h>

#include "example.h"

int main(int argc, char **argv) {
  static const char mbox[] = "demo-engineering-flags";
  int64_t search_provider = 0;
  const char *all = NULL;

  if (argc != 2) {
    fprintf(stderr, "usage: %s HOST:PORT\n", argv[0]);
    return 2;
  }
  target_client client = example_client(example_config(argv[1], ""));
  if (client == 0) return 1;

  /* No options: an anonymous visitor. 0: the client's timeout. */
  target_result result = 0;
  target_status status =
      target_get_attributes_sync(client, "[\"demo-engineering-flags\"]", TARGET_NUL, NULL, 0, 0, &result);
  if (status != TARGET_OK) {
    example_complain("target_get_attributes_sync", status, result);
  } else {
    /* One attribute, with the type that the program expects ... */
    status = target_attributes_get_int64(result, mbox, "searchProviderId", &search_provider);
    if (status == TARGET_OK) {
      printf("  searchProviderId           %" PRId64 "\n", search_provider);
    } else {
      /* TARGET_E_NO_ATTRIBUTE: not there. TARGET_E_DECODE: not a whole number. */
      example_complain("searchProviderId", status, 0);
    }
    /* ... and all of them, as JSON. */
    if (target_attributes_as_object(result, mbox, &all, NULL) == TARGET_OK) {
      printf("  all attributes             %s\n", all);
    }
  }

  target_result_free(result); /* also when it is an error */
  target_client_destroy(client);
  target_shutdown(1000);
  return status == TARGET_OK ? 0 : 1;
}
