/* Preloaded into the host of a case: names that resolve in some way, and a wall clock that jumps.
   The host sets the variables through dlsym. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { HEALTHY, NXDOMAIN, SERVFAIL, STUCK, HUNDRED, IPV6_BROKEN, IPV6_ONLY, NOTHING, PRIVATE };

volatile int64_t fault_dns = HEALTHY;
volatile int64_t fault_clock = 0; /* seconds that the wall clock is ahead */

int clock_gettime(clockid_t clock, struct timespec *out) {
    int status = (int)syscall(SYS_clock_gettime, clock, out);
    if (status == 0 && clock == CLOCK_REALTIME) out->tv_sec += (time_t)fault_clock;
    return status;
}

static struct addrinfo *address(int family, const void *bytes, struct addrinfo *next) {
    struct addrinfo *info = calloc(1, sizeof *info + sizeof(struct sockaddr_in6));
    if (info == NULL) abort();
    info->ai_family = family;
    info->ai_socktype = SOCK_STREAM;
    info->ai_protocol = IPPROTO_TCP;
    info->ai_addr = (struct sockaddr *)(void *)(info + 1);
    info->ai_addr->sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        info->ai_addrlen = sizeof(struct sockaddr_in);
        memcpy(&((struct sockaddr_in *)(void *)info->ai_addr)->sin_addr, bytes, 4);
    } else {
        info->ai_addrlen = sizeof(struct sockaddr_in6);
        memcpy(&((struct sockaddr_in6 *)(void *)info->ai_addr)->sin6_addr, bytes, 16);
    }
    info->ai_next = next;
    return info;
}

static struct addrinfo *loopback(unsigned char last, struct addrinfo *next) {
    unsigned char bytes[4] = {127, 0, 0, last};
    return address(AF_INET, bytes, next);
}

/* What freeaddrinfo of the system would have to know about is made here as a whole, so it is freed here, too. */
void freeaddrinfo(struct addrinfo *list) {
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out) {
    (void)service;
    (void)hints;
    *out = NULL;
    if (name == NULL || strstr(name, ".test") == NULL) return EAI_NONAME;
    switch (fault_dns) {
    case NXDOMAIN: return EAI_NONAME;
    case SERVFAIL: return EAI_AGAIN;
    case STUCK: /* until the resolver comes back */
        for (int i = 0; i < 6000 && fault_dns == STUCK; i++) usleep(5000);
        *out = loopback(1, NULL);
        return 0;
    case NOTHING: return 0;
    case HUNDRED:
        *out = loopback(1, NULL);
        for (int i = 100; i > 1; i--) *out = loopback((unsigned char)i, *out);
        return 0;
    case IPV6_BROKEN: *out = address(AF_INET6, &in6addr_loopback, loopback(1, NULL)); return 0;
    case IPV6_ONLY: *out = address(AF_INET6, &in6addr_loopback, NULL); return 0;
    case PRIVATE: {
        unsigned char metadata[4] = {169, 254, 169, 254};
        *out = address(AF_INET, metadata, NULL);
        return 0;
    }
    default: *out = loopback(1, NULL); return 0;
    }
}
