/*
 * 1,000 calls at once from one thread with an event loop of its own: no callback, no other thread of the program.
 *
 *   ./event_loop 127.0.0.1:9700
 *
 * Answers arrive in a completion queue whose file descriptor the loop watches, like a socket. (Linux: epoll. The
 * descriptor works with poll and select as well.)
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "example.h"

enum { CALLS = 1000, BATCH = 64 };

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int by_size(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* Hands in all calls; their answers go to the queue, tagged with their number. Returns how many were accepted. */
static int submit(target_client client, target_queue queue, double *started) {
  static const char options[] = "{\"request\": {\"execute\": {\"mboxes\": [{\"name\": \"demo-engineering-flags\"}]}}}";
  int accepted = 0;

  for (int i = 0; i < CALLS; i++) {
    target_call call;
    memset(&call, 0, sizeof call); /* members that a later version adds are zero, which means their default */
    call.size = sizeof call;
    call.queue = queue;
    call.tag = (uint64_t)i;
    started[i] = now_ms();
    target_status status = target_get_offers_ex(client, options, sizeof options - 1, &call, NULL);
    if (status != TARGET_OK) {
      /* TARGET_E_QUEUE_FULL would mean: answer some calls first. */
      example_complain("target_get_offers_ex", status, 0);
      break;
    }
    accepted++;
  }
  return accepted;
}

/* The event loop: takes answers until there are `expected`. Returns how many of them are offers, or -1. */
static int collect(target_queue queue, int epoll, int expected, const double *started, double *latency) {
  int answered = 0, good = 0;
  uint64_t told = 0;

  while (answered < expected) {
    struct epoll_event ready;
    int count = epoll_wait(epoll, &ready, 1, -1);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      perror("epoll_wait");
      return -1;
    }
    /* A real loop would look at `ready` to see which of its descriptors it is. Ours is readable: poll without waiting. */
    target_completion batch[BATCH];
    int32_t taken = target_queue_poll(queue, batch, BATCH, 0);
    if (taken < 0) {
      example_complain("target_queue_poll", taken, 0);
      return -1;
    }
    for (int32_t i = 0; i < taken; i++) {
      latency[answered++] = now_ms() - started[batch[i].tag];
      if (batch[i].status == TARGET_OK) {
        good++;
      } else if ((told >> (-batch[i].status & 63) & 1) == 0) { /* one of each kind; statuses of errors are small negative numbers */
        told |= (uint64_t)1 << (-batch[i].status & 63);
        example_complain("a call", batch[i].status, batch[i].result);
      }
      target_result_free(batch[i].result); /* the poller owns it */
    }
  }
  return good;
}

int main(int argc, char **argv) {
  static double started[CALLS], latency[CALLS];
  target_client client = 0;
  target_queue queue = 0;
  intptr_t fd = -1;
  int epoll = -1, failed = 1;

  if (argc != 2) {
    fprintf(stderr, "usage: %s HOST:PORT\n", argv[0]);
    return 2;
  }
  /*
   * maxInFlight (256) calls are on the wire at a time and maxQueued (1024) may wait for their turn: 1,280 calls can be
   * accepted and unanswered. Waiting counts against the timeout, so it gets more than its 3 seconds.
   */
  client = example_client(example_config(argv[1], ", \"timeout\": 20000"));
  if (client == 0) return 1;

  target_status status = target_queue_create(&queue);
  if (status == TARGET_OK) status = target_queue_fd(queue, &fd);
  if (status != TARGET_OK) {
    example_complain("target_queue", status, 0);
    goto done;
  }
  struct epoll_event watch;
  memset(&watch, 0, sizeof watch);
  watch.events = EPOLLIN;
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, (int)fd, &watch) < 0) {
    perror("epoll");
    goto done;
  }

  double begin = now_ms();
  int accepted = submit(client, queue, started);
  double submitted = now_ms();
  int good = collect(queue, epoll, accepted, started, latency);
  double end = now_ms();
  if (good != CALLS) {
    if (good >= 0) fprintf(stderr, "%d of %d calls were not answered with offers\n", CALLS - good, (int)CALLS);
    goto done;
  }

  qsort(latency, CALLS, sizeof latency[0], by_size);
  printf("  %d calls, all answered with offers, %.0f calls/s\n", (int)CALLS, CALLS / (end - begin) * 1e3);
  printf("  handing in                 %.1f us a call\n", (submitted - begin) / CALLS * 1e3);
  printf("  latency, all at once       median %.1f ms, 95 %% %.1f ms, 99 %% %.1f ms, longest %.1f ms\n",
         latency[CALLS / 2], latency[CALLS * 95 / 100], latency[CALLS * 99 / 100], latency[CALLS - 1]);
  failed = 0;

done:
  target_client_destroy(client); /* 0 is ignored, here and below */
  if (epoll >= 0) close(epoll);  /* stop watching the descriptor before its queue goes */
  target_queue_destroy(queue);
  target_shutdown(1000);
  return failed;
}
