/* A host that is short of something: of standard streams, descriptors, threads, memory. Each gives a clean error, nothing is
 * left behind, and what works when there is enough again is everything. Argument: what is missing. */
#include "exports.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* In memory that two processes share: where the host has no descriptors, the edge is a process that has. */
static server *shared_edge;
#define edge (*shared_edge)

static int edge_threads = 1; /* of this process */

/* ---- threads ---- */

static int allowed = INT32_MAX; /* how many threads the library may have at a time */
static int running;

typedef struct begun {
    void *(*body)(void *);
    void *argument;
} begun;

static void *run_and_count(void *argument) {
    begun b = *(begun *)argument;
    free(argument);
    void *result = b.body(b.argument);
    ATOMIC_ADD(running, -1);
    return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (real == NULL) {
        void *symbol = dlsym(RTLD_NEXT, "pthread_create");
        memcpy(&real, &symbol, sizeof real);
    }
    Dl_info info;
    bool theirs = dladdr(__builtin_return_address(0), &info) != 0 && strstr(info.dli_fname, "libtarget_sdk") != NULL;
    if (!theirs) return real(thread, attributes, body, argument);
    if (ATOMIC_ADD(running, 1) > ATOMIC_GET(allowed)) {
        ATOMIC_ADD(running, -1);
        return EAGAIN;
    }
    begun *b = (begun *)malloc(sizeof *b);
    CHECK(b != NULL);
    b->body = body;
    b->argument = argument;
    return real(thread, attributes, run_and_count, b);
}

/* Whether a client could be made; one that is can be ended. */
static bool client_can_be_made(const char *config) {
    target_client client = JUNK;
    target_result error = JUNK;
    target_status status = target_client_create(config, TARGET_NUL, NULL, &client, &error);
    if (status != TARGET_OK) {
        if (status != TARGET_E_INTERNAL && status != TARGET_E_ARTIFACT) CHECK_STATUS(status, TARGET_E_INTERNAL);
        CHECK_EQ(client, 0);
        if (error != 0) OK(target_result_free(error));
        return false;
    }
    target_result answer = 0;
    status = target_get_offers_sync(client, OFFERS, TARGET_NUL, 2000, &answer);
    if (status != TARGET_OK && status != TARGET_E_NETWORK && status != TARGET_E_TIMEOUT && status != TARGET_E_CIRCUIT_OPEN)
        CHECK_STATUS(status, TARGET_E_NETWORK);
    OK(target_result_free(answer));
    OK(target_client_destroy(client));
    return status == TARGET_OK;
}

static void everything_works(void) {
    world w = live_world(edge.config);
    for (int i = 0; i < EXPORTS; i++)
        if (!ends_something(&exports[i])) (void)call_export(&exports[i], &w);
    OK(target_client_close(w.client, 1000, NULL));
    end_world(&w);
    OK(target_shutdown(10000));
}

static bool fds_fall_to(int count) {
    for (long until = now_ms() + 5000; open_fds() > count && now_ms() < until;) sleep_ms(2);
    return open_fds() <= count;
}

static void without_threads(void) {
    everything_works();
    CHECK(threads_fall_to(1 + edge_threads));
    sleep_ms(30); /* the server has noticed */
    int fds = open_fds(), made = 0;
    for (int enough = 0; enough < 8; enough++) {
        for (int round = 0; round < 3; round++) {
            ATOMIC_SET(allowed, enough);
            bool works = client_can_be_made(edge.config);
            CHECK(works || enough < 3); /* two workers, one dispatcher */
            CHECK(!works || enough >= 3);
            made += works;
            ATOMIC_SET(allowed, INT32_MAX);
            OK(target_shutdown(10000));
            if (!threads_fall_to(1 + edge_threads)) check_failed(__FILE__, __LINE__, "with %d threads, some are left behind", enough);
            if (!fds_fall_to(fds)) check_failed(__FILE__, __LINE__, "with %d threads, descriptors are left behind", enough);
        }
        /* Without a shutdown in between: the next client starts what is missing. */
        ATOMIC_SET(allowed, enough);
        (void)client_can_be_made(edge.config);
        ATOMIC_SET(allowed, INT32_MAX);
        CHECK(client_can_be_made(edge.config));
        OK(target_shutdown(10000));
        CHECK(threads_fall_to(1 + edge_threads));
    }
    CHECK(made > 0);
    everything_works();
}

/* ---- descriptors ---- */

static void limit_descriptors(rlim_t count) {
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = count;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void without_descriptors(void) {
    struct rlimit enough;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &enough), 0);
    everything_works();
    sleep_ms(30);
    int fds = open_fds(), made = 0, refused = 0;
    /* The lowest number that is free. */
    int lowest = dup(0);
    CHECK(lowest >= 0);
    close(lowest);
    for (int more = 0; more < 14; more++) {
        limit_descriptors((rlim_t)(lowest + more));
        bool works = client_can_be_made(edge.config);
        made += works;
        refused += !works;
        target_queue queue;
        OK(target_queue_create(&queue));
        intptr_t fd = 77;
        target_status status = target_queue_fd(queue, &fd);
        if (status != TARGET_OK) CHECK_STATUS(status, TARGET_E_INTERNAL);
        CHECK((fd == -1) == (status != TARGET_OK));
        OK(target_queue_destroy(queue));
        limit_descriptors(enough.rlim_cur);
        CHECK(client_can_be_made(edge.config)); /* at once, and without a new start */
        OK(target_shutdown(10000));
        CHECK(threads_fall_to(1 + edge_threads));
        if (!fds_fall_to(fds)) check_failed(__FILE__, __LINE__, "with %d descriptors, some are left behind", more);
    }
    CHECK(made > 0 && refused > 0);

    /* A storm: far more connections than there may be. */
    limit_descriptors((rlim_t)(lowest + 40));
    target_client client = create_client(edge.config);
    target_queue queue;
    OK(target_queue_create(&queue));
    ATOMIC_SET(edge.delay_ms, 5);
    target_call call = queue_call(queue, 1);
    int answered = 0, failed = 0;
    for (int i = 0; i < 400; i++) OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL));
    for (int i = 0; i < 400; i++) {
        target_completion completion;
        CHECK_EQ(target_queue_poll(queue, &completion, 1, 20000), 1);
        if (completion.status == TARGET_OK) answered++;
        else if (completion.status == TARGET_E_NETWORK || completion.status == TARGET_E_CIRCUIT_OPEN) failed++;
        else if (completion.status == TARGET_E_TIMEOUT) failed++; /* no descriptor became free in time */
        else CHECK_STATUS(completion.status, TARGET_E_NETWORK);
        OK(target_result_free(completion.result));
    }
    CHECK_EQ(answered + failed, 400);
    CHECK(answered > 0);
    limit_descriptors(enough.rlim_cur);
    ATOMIC_SET(edge.delay_ms, 0);
    OK(target_client_destroy(client));
    everything_works();
    OK(target_queue_destroy(queue));
}

/* ---- standard streams ---- */

/* Descriptors of the library, and what they may be. */
static void look_at_descriptors(const bool *of_the_host) {
    int ours = 0;
    for (int fd = 0; fd < 1000; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0 || of_the_host[fd]) continue;
        char link[64], path[256];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        if (length < 0) continue;
        path[length] = 0;
        if (!(flags & FD_CLOEXEC)) check_failed(__FILE__, __LINE__, "descriptor %d, %s, would be inherited by programs", fd, path);
        /* In the place of a stream there may be nothing that somebody could write to by mistake. */
        if (fd <= 2 && strcmp(path, "/dev/null") != 0)
            check_failed(__FILE__, __LINE__, "descriptor %d is the library's: %s", fd, path);
        ours += fd > 2;
    }
    CHECK(ours >= 3); /* epoll, its eventfd, a connection, a queue */
}

static void without_streams(void) {
    /* Messages of failed checks go where they went before. */
    int kept = fcntl(2, F_DUPFD_CLOEXEC, 900);
    CHECK(kept >= 900);
    FILE *messages = fdopen(kept, "w");
    CHECK(messages != NULL);
    stderr = messages;
    for (int fd = 0; fd <= 2; fd++) CHECK_EQ(close(fd), 0);
    /* The host's own first descriptors go elsewhere. */
    int placeholders[3];
    for (int i = 0; i < 3; i++) placeholders[i] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    server_start(&edge, ",\"timeout\":20000");
    for (int i = 0; i < 3; i++) close(placeholders[i]);
    bool of_the_host[1000] = {false};
    for (int fd = 0; fd < 1000; fd++) of_the_host[fd] = fcntl(fd, F_GETFD) >= 0;
    CHECK(!of_the_host[0] && !of_the_host[1] && !of_the_host[2]);

    target_client client = create_client(edge.config);
    target_queue queue;
    intptr_t fd;
    OK(target_queue_create(&queue));
    OK(target_queue_fd(queue, &fd));
    CHECK(fd > 2);
    target_result answer = 0;
    OK(target_get_offers_sync(client, OFFERS, TARGET_NUL, 10000, &answer));
    OK(target_result_free(answer));
    of_the_host[0] = of_the_host[1] = of_the_host[2] = false;
    /* The edge's end of connections is the host's, and close-on-exec, too. */
    look_at_descriptors(of_the_host);

    /* What daemons do: it must not take anything away from the library. */
    int null = open("/dev/null", O_RDWR);
    CHECK(null >= 0);
    for (int stream = 0; stream <= 2; stream++) CHECK_EQ(dup2(null, stream), stream);
    if (null > 2) close(null);
    OK(target_get_offers_sync(client, OFFERS, TARGET_NUL, 10000, &answer));
    OK(target_result_free(answer));
    OK(target_client_destroy(client));
    OK(target_queue_destroy(queue));
    OK(target_shutdown(10000));
    for (int stream = 0; stream <= 2; stream++) CHECK(fcntl(stream, F_GETFD) == 0); /* still the host's, still inherited */
}

/* With all streams there. */
static void descriptors_are_not_inherited(void) {
    server_start(&edge, ",\"timeout\":20000");
    bool of_the_host[1000] = {false};
    for (int fd = 0; fd < 1000; fd++) of_the_host[fd] = fcntl(fd, F_GETFD) >= 0;
    target_client client = create_client(edge.config);
    target_queue queue;
    intptr_t fd;
    OK(target_queue_create(&queue));
    OK(target_queue_fd(queue, &fd));
    target_call call = queue_call(queue, 1);
    ATOMIC_SET(edge.delay_ms, 20);
    for (int i = 0; i < 8; i++) OK(target_get_offers_ex(client, OFFERS, TARGET_NUL, &call, NULL));
    for (int i = 0; i < 8; i++) {
        target_completion completion;
        CHECK_EQ(target_queue_poll(queue, &completion, 1, 10000), 1);
        OK(target_result_free(completion.result));
        look_at_descriptors(of_the_host);
    }
    OK(target_client_destroy(client));
    OK(target_queue_destroy(queue));
    OK(target_shutdown(10000));
    server_stop(&edge);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    shared_edge = (server *)mmap(NULL, sizeof *shared_edge, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared_edge != MAP_FAILED);
    if (strcmp(what, "streams") == 0) {
        without_streams();
        return 0;
    }
    if (strcmp(what, "inherited") == 0) {
        descriptors_are_not_inherited();
        return 0;
    }
    if (strcmp(what, "threads") == 0) {
        server_start(&edge, ",\"timeout\":2000");
        without_threads();
        server_stop(&edge);
        return 0;
    }
    CHECK(strcmp(what, "descriptors") == 0);
    int alive[2], started[2];
    CHECK(pipe(alive) == 0 && pipe(started) == 0);
    pid_t edge_process = fork();
    CHECK(edge_process >= 0);
    char ignored = 0;
    if (edge_process == 0) {
        close(alive[1]);
        server_start(&edge, ",\"timeout\":2000");
        CHECK_EQ(write(started[1], &ignored, 1), 1);
        (void)!read(alive[0], &ignored, 1); /* until the host has ended */
        _exit(0);
    }
    edge_threads = 0;
    CHECK_EQ(read(started[0], &ignored, 1), 1);
    without_descriptors();
    close(alive[1]);
    CHECK_EQ(waitpid(edge_process, NULL, 0), edge_process);
    return 0;
}
