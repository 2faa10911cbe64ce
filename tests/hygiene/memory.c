/* Answers for which there is no memory: an error, and the next call works. Large allocations of the library fail here. */
#include "exports.h"

#include <dlfcn.h>

static long answer_size;

/* ---- the allocator: from this size on the library gets nothing ---- */

static size_t too_large = SIZE_MAX;
static long refused;

static bool of_the_library(void *caller) {
    Dl_info info;
    return dladdr(caller, &info) != 0 && info.dli_fname != NULL && strstr(info.dli_fname, "libtarget_sdk") != NULL;
}

#define REFUSE(size) (size >= ATOMIC_GET(too_large) && of_the_library(__builtin_return_address(0)) && ATOMIC_ADD(refused, 1))

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

void *malloc(size_t size) { return REFUSE(size) ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return REFUSE(count * size) ? NULL : __libc_calloc(count, size); }
void *realloc(void *block, size_t size) { return REFUSE(size) ? NULL : __libc_realloc(block, size); }

/* ---- the edge ---- */

/* An answer of that size for each request of a connection, a small one for those that want it. */
static void *answer_all(void *connection) {
    static const char head[] = "{\"status\":200,\"requestId\":\"r\",\"client\":\"acme\",\"execute\":{\"mboxes\":[]},\"pad\":\"";
    static const char tail[] = "\"}";
    int fd = (int)(intptr_t)connection;
    char request[8192], piece[8192];
    memset(piece, 'x', sizeof piece);
    for (bool alive = true; alive;) {
        bool complete = false;
        for (size_t used = 0; !complete && alive && used < sizeof request - 1;) {
            ssize_t got = recv(fd, request + used, sizeof request - 1 - used, 0);
            alive = got > 0;
            if (!alive) break;
            used += (size_t)got;
            request[used] = 0;
            char *body = strstr(request, "\r\n\r\n"), *length = strstr(request, "content-length: ");
            complete = body && length && used >= (size_t)(body + 4 - request) + (size_t)atol(length + 16);
        }
        if (!complete) break;
        long padding = strstr(request, "\"small\"") ? 10 : answer_size;
        char status[512];
        int length = snprintf(status, sizeof status,
                              "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %ld\r\n\r\n%s",
                              (long)(sizeof head - 1 + sizeof tail - 1) + padding, head);
        alive = send(fd, status, (size_t)length, MSG_NOSIGNAL) == length;
        while (alive && padding > 0) {
            ssize_t sent = send(fd, piece, padding < (long)sizeof piece ? (size_t)padding : sizeof piece, MSG_NOSIGNAL);
            alive = sent > 0;
            padding -= sent;
        }
        alive = alive && send(fd, tail, sizeof tail - 1, MSG_NOSIGNAL) == sizeof tail - 1;
    }
    close(fd);
    return NULL;
}

static void *serve(void *listener) {
    for (;;) {
        int fd = accept(*(int *)listener, NULL, NULL);
        if (fd >= 0) CHECK_EQ(pthread_detach(start_thread(answer_all, (void *)(intptr_t)fd)), 0);
    }
    return NULL;
}

#define SMALL "{\"request\":{\"execute\":{\"mboxes\":[{\"index\":0,\"name\":\"small\"}]}}}"

static target_status ask(target_client client, const char *options) {
    target_result answer = 0;
    target_status status = target_get_offers_sync(client, options, TARGET_NUL, 20000, &answer);
    CHECK(answer != 0);
    CHECK_STATUS(target_result_status(answer), status);
    OK(target_result_free(answer));
    return status;
}

int main(void) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listener >= 0);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 16) == 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    (void)start_thread(serve, &listener);
    char config[512];
    snprintf(config, sizeof config,
             "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"serverDomain\":\"127.0.0.1:%d\",\"pinServerDomain\":true,"
             "\"secure\":false,\"telemetryEnabled\":false,\"timeout\":20000}", ntohs(address.sin_port));
    const long answers[] = {1200, 2500, 5000, 8000}; /* KiB; 8 MiB are allowed */
    const size_t limits[] = {1 << 20, 2 << 20, 4 << 20};
    target_client client = create_client(config);
    for (int a = 0; a < 4; a++) {
        answer_size = answers[a] * 1024;
        for (int l = 0; l < 3; l++) {
            if (limits[l] > (size_t)answer_size) continue;
            OK(ask(client, SMALL));
            ATOMIC_SET(refused, 0);
            ATOMIC_SET(too_large, limits[l]);
            CHECK_STATUS(ask(client, OFFERS), TARGET_E_DECODE);
            CHECK(ATOMIC_GET(refused) > 0);
            OK(ask(client, SMALL)); /* while there still is none */
            ATOMIC_SET(too_large, SIZE_MAX);
        }
        OK(ask(client, OFFERS));
    }
    OK(target_client_destroy(client));
    OK(target_shutdown(10000));
    return 0;
}
