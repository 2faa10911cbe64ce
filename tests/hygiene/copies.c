/* Two copies of the library in one process, for everybody to see, as two plugins would bring them: neither notices the other.
 * Not linked with the library. Arguments: calls of each copy. TARGET_SDK_LIBRARY names the library; it is copied. */
#include "server.h"

#include <dlfcn.h>

typedef struct copy {
    void *library;
    const char *path;
    long answers;
    target_status (*create)(const char *, size_t, const target_client_hooks *, target_client *, target_result *);
    target_status (*sync)(target_client, const char *, size_t, uint32_t, target_result *);
    target_status (*full)(target_client, const char *, size_t, const target_call *, target_request *);
    target_status (*destroy)(target_client);
    target_status (*free_result)(target_result);
    target_status (*set_log)(target_log_fn, void *, target_free_fn, int32_t);
    target_status (*init)(const char *, target_result *);
    target_status (*shut_down)(uint32_t);
    counter done;
    long lines;
} copy;

static server edge;
static long calls;

static void find(void *library, const char *name, void *function, size_t size) {
    void *symbol = dlsym(library, name);
    if (symbol == NULL) check_failed(__FILE__, __LINE__, "%s is not there", name);
    memcpy(function, &symbol, size);
}

static void load(copy *c, const char *path) {
    c->path = path;
    c->library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (c->library == NULL) check_failed(__FILE__, __LINE__, "%s", dlerror());
#define FIND(name, member) find(c->library, name, &c->member, sizeof c->member)
    FIND("target_client_create", create);
    FIND("target_get_offers_sync", sync);
    FIND("target_get_offers_ex", full);
    FIND("target_client_destroy", destroy);
    FIND("target_result_free", free_result);
    FIND("target_set_log", set_log);
    FIND("target_init", init);
    FIND("target_shutdown", shut_down);
    Dl_info info;
    void *function = dlsym(c->library, "target_client_create");
    CHECK(dladdr(function, &info) != 0);
    if (strcmp(info.dli_fname, path) != 0) check_failed(__FILE__, __LINE__, "%s has the functions of %s", path, info.dli_fname);
}

static void count_line(int32_t level, const char *target, const char *message, size_t len, void *user_data) {
    (void)level, (void)target, (void)message, (void)len;
    ATOMIC_ADD(((copy *)user_data)->lines, 1);
}

static void *use(void *argument) {
    copy *c = (copy *)argument;
    target_client clients[2] = {0, 0};
    target_result error = 0;
    for (int i = 0; i < 2; i++) CHECK_EQ(c->create(edge.config, TARGET_NUL, NULL, &clients[i], &error), 0);
    target_call call = callback_call(count_done, &c->done, NULL);
    for (long i = 0; i < calls; i++) {
        if (i % 2) {
            target_result answer = 0;
            CHECK_EQ(c->sync(clients[i % 2], OFFERS, TARGET_NUL, 20000, &answer), 0);
            CHECK_EQ(c->free_result(answer), 0);
        } else {
            CHECK_EQ(c->full(clients[i / 2 % 2], OFFERS, TARGET_NUL, &call, NULL), 0);
            if (i % 256 == 0) counter_wait(&c->done, i / 2 - 64);
        }
    }
    counter_wait(&c->done, calls / 2);
    for (int i = 0; i < 2; i++) CHECK_EQ(c->destroy(clients[i]), 0);
    return NULL;
}

int main(int argc, char **argv) {
    calls = argc > 1 ? atol(argv[1]) : 1000;
    const char *original = getenv("TARGET_SDK_LIBRARY");
    CHECK(original != NULL);
    char paths[2][4096], command[9000];
    for (int i = 0; i < 2; i++) {
        snprintf(paths[i], sizeof paths[i], "%.2000s.copy%d.%d", original, i, (int)getpid());
        snprintf(command, sizeof command, "cp -L '%s' '%s'", original, paths[i]);
        CHECK_EQ(system(command), 0);
    }
    server_start(&edge, ",\"timeout\":20000,\"tiemout\":1");
    static copy copies[2] = {{.done = COUNTER}, {.done = COUNTER}};
    for (int i = 0; i < 2; i++) load(&copies[i], paths[i]);
    CHECK(copies[0].library != copies[1].library && copies[0].create != copies[1].create);

    /* Options and logs of one are not those of the other. */
    CHECK_EQ(copies[0].init("{\"workerThreads\":1}", NULL), 0);
    CHECK_EQ(copies[1].init("{\"workerThreads\":3}", NULL), 0);
    CHECK_EQ(copies[1].set_log(count_line, &copies[1], NULL, TARGET_LOG_TRACE), 0);
    int before = live_threads();
    pthread_t users[2] = {start_thread(use, &copies[0]), start_thread(use, &copies[1])};
    for (int i = 0; i < 2; i++) join_thread(users[i]);
    CHECK_EQ(live_threads(), before + 1 + 1 + 3 + 1); /* workers and a dispatcher each */
    CHECK(ATOMIC_GET(copies[1].lines) > 0 && copies[0].lines == 0);

    /* A handle of one is nothing to the other, and the end of one is not that of the other. */
    target_client mine = 0;
    CHECK_EQ(copies[1].create(edge.config, TARGET_NUL, NULL, &mine, NULL), 0);
    CHECK_EQ(copies[0].shut_down(10000), 0);
    target_result answer = 0;
    CHECK_EQ(copies[1].sync(mine, OFFERS, TARGET_NUL, 20000, &answer), 0);
    CHECK_EQ(copies[1].free_result(answer), 0);

    /* Closed with calls in flight: their callbacks are the host's, which is still there. */
    target_client left = 0;
    CHECK_EQ(copies[0].create(edge.config, TARGET_NUL, NULL, &left, NULL), 0);
    ATOMIC_SET(edge.delay_ms, 20);
    static counter late = COUNTER;
    target_call call = callback_call(count_done, &late, count_release);
    for (int i = 0; i < 32; i++) CHECK_EQ(copies[0].full(left, OFFERS, TARGET_NUL, &call, NULL), 0);
    CHECK_EQ(dlclose(copies[0].library), 0);
    counter_wait(&late, 64);
    ATOMIC_SET(edge.delay_ms, 0);
    CHECK_EQ(copies[0].shut_down(10000), 0); /* it stays mapped, and so its functions do */
    CHECK_EQ(copies[1].sync(mine, OFFERS, TARGET_NUL, 20000, &answer), 0);
    CHECK_EQ(copies[1].free_result(answer), 0);
    CHECK_EQ(copies[1].destroy(mine), 0);
    CHECK_EQ(copies[1].shut_down(10000), 0);
    CHECK(threads_fall_to(2));
    for (int i = 0; i < 2; i++) CHECK_EQ(unlink(paths[i]), 0);
    server_stop(&edge);
    return 0;
}
