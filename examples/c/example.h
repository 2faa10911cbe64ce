/* What the examples share: text that fits, a configuration for a local edge, and printing of errors. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <target_sdk.h>

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
/* printf into memory of the right size; NULL when there is none. The caller frees it. */
static inline char *example_format(const char *format, ...) {
  va_list arguments;
  char *text = NULL;
  int length;

  va_start(arguments, format);
  length = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  if (length < 0 || (text = malloc((size_t)length + 1)) == NULL) return NULL;
  va_start(arguments, format);
  vsnprintf(text, (size_t)length + 1, format, arguments);
  va_end(arguments);
  return text;
}

/*
 * Configuration of a client that talks to a local edge (`target-edge`) at HOST:PORT. With an Adobe account it is just
 *   {"client": "acme", "organizationId": "ORG@AdobeOrg"}
 * `more` adds members and begins with a comma, or is "". The caller frees the text.
 */
static inline char *example_config(const char *edge, const char *more) {
  return example_format("{\"client\": \"acme\", \"organizationId\": \"ORG@AdobeOrg\","
                        " \"serverDomain\": \"%s\", \"pinServerDomain\": true, \"secure\": false,"
                        " \"artifactLocation\": \"http://%s/acme/production/v1/rules.json\"%s}",
                        edge, edge, more);
}

/* Says what failed: the status, and the error document if there is one. */
static inline void example_complain(const char *what, target_status status, target_result error) {
  const char *json = NULL;
  if (error != 0 && target_result_json(error, &json, NULL) == TARGET_OK) {
    fprintf(stderr, "%s: %s: %s\n", what, target_status_name(status), json);
  } else {
    fprintf(stderr, "%s: %s\n", what, target_status_name(status));
  }
}

/* Makes a client from a configuration that it frees; 0 after saying what is wrong. */
static inline target_client example_client(char *config) {
  target_client client = 0;
  target_result error = 0;
  target_status status;

  if (config == NULL) {
    fprintf(stderr, "out of memory\n");
    return 0;
  }
  status = target_client_create(config, TARGET_NUL, NULL, &client, &error);
  free(config);
  if (status != TARGET_OK) example_complain("target_client_create", status, error);
  target_result_free(error); /* 0 is fine */
  return client;
}

/* The JSON text at a place of a document, or `otherwise` when there is nothing. Lives as long as the result. */
static inline const char *example_get(target_result result, const char *json_pointer, const char *otherwise) {
  const char *json = NULL;
  return target_result_get(result, json_pointer, &json, NULL) == TARGET_OK ? json : otherwise;
}

/*
 * JSON as people read it: a string without its quotes and escapes (\\u and its digits stay) in `room`, cut to fit;
 * anything else as it is.
 */
static inline const char *example_text(const char *json, char *room, size_t size) {
  size_t length = 0;

  if (json[0] != '"') return json;
  for (const char *next = json + 1; *next != '\0' && *next != '"' && length + 1 < size; next++) {
    if (next[0] == '\\' && next[1] != 'u' && next[1] != '\0') {
      next++;
      room[length++] = *next == 'n' ? '\n' : *next == 't' ? '\t' : *next;
    } else {
      room[length++] = *next;
    }
  }
  room[length] = '\0';
  return room;
}

#endif /* EXAMPLE_H */
