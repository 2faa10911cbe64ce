/* An answer for which there is no memory is an error, wherever the memory ends; the next answer is as good as ever. */
#include "exports.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define MIB (1L << 20)
#define LARGE (64 * MIB)

static void write_all(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t done = send(fd, bytes, size, MSG_NOSIGNAL);
        if (done <= 0) return; /* the client has had enough */
        bytes += done;
        size -= (size_t)done;
    }
}

static bool is_whole(char *request, size_t used) {
    request[used] = 0;
    const char *body = strstr(request, "\r\n\r\n"), *length = strcasestr(request, "content-length:");
    return body != NULL && length != NULL && request + used >= body + 4 + atol(length + strlen("content-length:"));
}

/* Answers with one offer: 64 MiB long to every second request, the first one first. A process of its own, with memory of its own. */
static void serve(int listener) {
    static char piece[MIB];
    memset(piece, 'x', sizeof piece);
    static const char before[] = "{\"status\":200,\"requestId\":\"r\",\"client\":\"acme\",\"edgeHost\":\"\",\"execute\":{\"mboxes\":["
                                 "{\"index\":0,\"name\":\"a\",\"options\":[{\"type\":\"html\",\"content\":\"";
    static const char after[] = "\"}]}]}}";
    for (bool is_large = true;; is_large = !is_large) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) _exit(0);
        char head[65536];
        size_t used = 0;
        /* One request is all that is asked of a connection. */
        for (ssize_t got = 1; got > 0 && !is_whole(head, used); used += got > 0 ? (size_t)got : 0)
            got = recv(fd, head + used, sizeof head - 1 - used, 0);
        long size = is_large ? LARGE : 10;
        char text[256];
        int length = snprintf(text, sizeof text,
                              "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %ld\r\n\r\n",
                              (long)(sizeof before + sizeof after - 2) + size);
        write_all(fd, text, (size_t)length);
        write_all(fd, before, sizeof before - 1);
        for (long left = size; left > 0; left -= MIB) write_all(fd, piece, (size_t)(left < MIB ? left : MIB));
        write_all(fd, after, sizeof after - 1);
        close(fd);
    }
}

static long address_space(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    long pages = 0;
    CHECK(file != NULL && fscanf(file, "%ld", &pages) == 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void limit(rlim_t bytes) {
    struct rlimit now;
    CHECK_EQ(getrlimit(RLIMIT_AS, &now), 0);
    now.rlim_cur = bytes;
    CHECK_EQ(setrlimit(RLIMIT_AS, &now), 0);
}

/* Whether there was memory for it. */
static bool ask(target_client client, size_t at_least) {
    target_result answer = 0;
    const char *json = NULL;
    size_t length = 0;
    target_status status = target_get_offers_sync(client, OFFERS, TARGET_NUL, 30000, &answer);
    OK(target_result_json(answer, &json, &length));
    if (status == TARGET_OK) CHECK(length > at_least);
    else CHECK(length < 4096 && strstr(json, "there is no memory for") != NULL);
    OK(target_result_free(answer));
    return status == TARGET_OK;
}

int main(void) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 16) == 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    pid_t server = fork();
    CHECK(server >= 0);
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* it goes with this process, whatever becomes of that */
        serve(listener);
    }

    char config[512];
    snprintf(config, sizeof config,
             "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"serverDomain\":\"127.0.0.1:%d\",\"pinServerDomain\":true,"
             "\"secure\":false,\"telemetryEnabled\":false,\"maxResponseBytes\":%ld}",
             ntohs(address.sin_port), 2 * LARGE);
    target_client client = create_client(config);
    CHECK(ask(client, LARGE) && ask(client, 10)); /* threads and what they need are there from here on */
    int refused = 0, answered = 0;
    for (long more = 16 * MIB; more <= 4 * LARGE; more += 16 * MIB) {
        limit((rlim_t)(address_space() + more));
        if (ask(client, LARGE)) answered++;
        else refused++;
        limit(RLIM_INFINITY);
        CHECK(ask(client, 10));
    }
    /* Both happened: the limits meet all the places where memory can end. */
    CHECK(refused >= 4 && answered >= 2);
    OK(target_client_close(client, 1000, NULL));
    OK(target_client_destroy(client));
    OK(target_shutdown(10000));
    kill(server, SIGKILL);
    CHECK_EQ(waitpid(server, NULL, 0), server);
    close(listener);
    return 0;
}
