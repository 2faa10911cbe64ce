/* A fork while the library registers what exit() is to call. glibc leaves its lock for that locked in the child, where the
 * next registration, and exit() itself, would wait for ever: the fork must wait instead. */
#include "../c/server.h"

#include <dlfcn.h>
#include <sys/wait.h>

static int registering;
static int registrations;

/* What atexit() calls; the library's call ends here, too. */
int __cxa_atexit(void (*function)(void *), void *argument, void *library);
int __cxa_atexit(void (*function)(void *), void *argument, void *library) {
    static int (*real)(void (*)(void *), void *, void *);
    if (real == NULL) {
        void *symbol = dlsym(RTLD_NEXT, "__cxa_atexit");
        memcpy(&real, &symbol, sizeof real);
    }
    ATOMIC_ADD(registering, 1);
    sleep_ms(10);
    int status = real(function, argument, library);
    ATOMIC_ADD(registrations, 1);
    ATOMIC_ADD(registering, -1);
    return status;
}

static server edge;

static void *use(void *unused) {
    (void)unused;
    OK(target_client_destroy(create_client(edge.config)));
    return NULL;
}

int main(void) {
    server_start(&edge, "");
    int before = ATOMIC_GET(registrations);
    pthread_t user = start_thread(use, NULL);
    for (long until = now_ms() + 10000; ATOMIC_GET(registering) == 0 && now_ms() < until;) sched_yield();
    CHECK_EQ(ATOMIC_GET(registrations), before); /* else this tests nothing */
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(20);
        CHECK_EQ(ATOMIC_GET(registering), 0);
        use(NULL);
        CHECK_EQ(ATOMIC_GET(registrations), before + 2); /* the parent's, before the fork, and its own */
        exit(0);
    }
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    join_thread(user);
    CHECK_EQ(ATOMIC_GET(registrations), before + 1);
    OK(target_shutdown(5000));
    server_stop(&edge);
    return 0;
}
