/* A Target edge that does as it is told: one thread, keep-alive HTTP/1.1, one canned answer, faults on demand. */
#ifndef SERVER_H
#define SERVER_H

#include "check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>

enum server_mode {
    SERVER_ANSWERS,
    SERVER_IS_SILENT, /* reads the request, never answers */
    SERVER_RESETS,    /* resets the connection as soon as something was read */
    SERVER_BREAKS_PIPE, /* says "go on" to what it reads, then ends and resets */
    SERVER_LEAVES,      /* answers, then ends and resets without a word: the next write of the client is a SIGPIPE */
    SERVER_BREAKS_OFF /* sends half of the answer, then closes */
};

#define SERVER_CONNECTIONS 600

typedef struct server_connection {
    int fd;
    bool pending;  /* a whole request was read and is not answered yet */
    long due;      /* when to answer it */
    size_t used;
    size_t skip;   /* bytes of an oversized request that are still to come */
    char head[16384];
} server_connection;

typedef struct server {
    int listener;
    int port;
    int mode;     /* enum server_mode; may change while it runs */
    int delay_ms; /* of each answer; may change while it runs */
    long requests;
    int stopping;
    pthread_t thread;
    server_connection *connections;
    char config[512];
} server;

static const char server_answer[] =
    "{\"status\":200,\"requestId\":\"r\",\"client\":\"acme\",\"id\":{\"tntId\":\"t.28_0\"},"
    "\"edgeHost\":\"mboxedge28.tt.omtrdc.net\",\"execute\":{\"mboxes\":[{\"index\":0,\"name\":\"a\",\"options\":["
    "{\"type\":\"json\",\"content\":{\"k\":1,\"name\":\"Ada\",\"on\":true,\"pi\":3.25}}]}]}}";

static inline void server_hang_up(server_connection *c, bool reset) {
    if (reset) {
        struct linger now = {1, 0};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(c->fd);
    c->fd = -1;
}

static inline void server_send(server_connection *c, int mode) {
    char answer[1024];
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                          (int)sizeof server_answer - 1, server_answer);
    if (mode == SERVER_BREAKS_OFF) length /= 2;
    c->pending = false;
    ssize_t sent = send(c->fd, answer, (size_t)length, MSG_NOSIGNAL);
    if (mode == SERVER_LEAVES) shutdown(c->fd, SHUT_WR);
    if (sent != length || mode == SERVER_BREAKS_OFF || mode == SERVER_LEAVES) server_hang_up(c, mode == SERVER_LEAVES);
}

/* Looks for a whole request in what was read so far. */
static inline bool server_has_request(server_connection *c) {
    c->head[c->used] = 0;
    char *body = strstr(c->head, "\r\n\r\n");
    if (body == NULL) return false;
    body += 4;
    size_t length = 0;
    for (char *line = c->head; line < body; line = strstr(line, "\r\n") + 2)
        if (strncasecmp(line, "content-length:", 15) == 0) length = (size_t)atol(line + 15);
    size_t whole = (size_t)(body - c->head) + length;
    if (whole > c->used) {
        if (whole >= sizeof c->head) { /* large upload: swallow it */
            c->skip = whole - c->used;
            c->used = 0;
        }
        return false;
    }
    memmove(c->head, c->head + whole, c->used - whole);
    c->used -= whole;
    return true;
}

static inline void server_read(server *s, server_connection *c) {
    static char waste[65536];
    ssize_t got = c->skip > 0 ? recv(c->fd, waste, c->skip < sizeof waste ? c->skip : sizeof waste, 0)
                              : recv(c->fd, c->head + c->used, sizeof c->head - 1 - c->used, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        server_hang_up(c, false);
        return;
    }
    int mode = ATOMIC_GET(s->mode);
    if (mode == SERVER_RESETS) {
        server_hang_up(c, true);
        return;
    }
    if (mode == SERVER_BREAKS_PIPE) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        (void)!send(c->fd, go_on, sizeof go_on - 1, MSG_NOSIGNAL);
        shutdown(c->fd, SHUT_WR);
        server_hang_up(c, true);
        return;
    }
    bool complete;
    if (c->skip > 0) {
        c->skip -= (size_t)got;
        complete = c->skip == 0;
    } else {
        c->used += (size_t)got;
        complete = server_has_request(c);
    }
    if (complete) {
        ATOMIC_ADD(s->requests, 1);
        c->pending = true;
        c->due = now_ms() + ATOMIC_GET(s->delay_ms);
    }
}

static inline void server_accept(server *s) {
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    for (int i = 0; i < SERVER_CONNECTIONS; i++) {
        server_connection *c = &s->connections[i];
        if (c->fd < 0) {
            c->fd = fd;
            c->pending = false;
            c->used = c->skip = 0;
            return;
        }
    }
    close(fd);
}

static inline void *server_run(void *argument) {
    server *s = (server *)argument;
    static struct pollfd polled[SERVER_CONNECTIONS + 1];
    static server_connection *polled_connection[SERVER_CONNECTIONS + 1];
    while (!ATOMIC_GET(s->stopping)) {
        int count = 1, wait = 20;
        long now = now_ms();
        polled[0].fd = s->listener;
        polled[0].events = POLLIN;
        for (int i = 0; i < SERVER_CONNECTIONS; i++) {
            server_connection *c = &s->connections[i];
            if (c->fd >= 0 && c->pending && ATOMIC_GET(s->mode) != SERVER_IS_SILENT) {
                if (c->due <= now) server_send(c, ATOMIC_GET(s->mode));
                else if (c->due - now < wait) wait = (int)(c->due - now);
            }
            if (c->fd < 0) continue;
            polled[count].fd = c->fd;
            polled[count].events = POLLIN;
            polled_connection[count++] = c;
        }
        if (poll(polled, (nfds_t)count, wait) <= 0) continue;
        if (polled[0].revents) server_accept(s);
        for (int i = 1; i < count; i++)
            if (polled[i].revents) server_read(s, polled_connection[i]);
    }
    for (int i = 0; i < SERVER_CONNECTIONS; i++)
        if (s->connections[i].fd >= 0) server_hang_up(&s->connections[i], false);
    return NULL;
}

/* `more` is JSON of further configuration, starting with a comma, or "". One server per process. */
static inline void server_start(server *s, const char *more) {
    memset(s, 0, sizeof *s);
    s->connections = (server_connection *)calloc(SERVER_CONNECTIONS, sizeof *s->connections);
    CHECK(s->connections != NULL);
    for (int i = 0; i < SERVER_CONNECTIONS; i++) s->connections[i].fd = -1;
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(s->listener >= 0);
    CHECK_EQ(bind(s->listener, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_EQ(listen(s->listener, 512), 0);
    CHECK_EQ(getsockname(s->listener, (struct sockaddr *)&address, &size), 0);
    s->port = ntohs(address.sin_port);
    snprintf(s->config, sizeof s->config,
             "{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"serverDomain\":\"127.0.0.1:%d\","
             "\"pinServerDomain\":true,\"secure\":false,\"telemetryEnabled\":false,\"connectTimeout\":10000%s}",
             s->port, more);
    s->thread = start_thread(server_run, s);
}

static inline void server_stop(server *s) {
    ATOMIC_SET(s->stopping, 1);
    join_thread(s->thread);
    close(s->listener);
    free(s->connections);
}

#endif /* SERVER_H */
