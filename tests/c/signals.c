/* The process of the host stays as it was: signals, dispositions, errno, environment, locale, directories, streams. */
#include "server.h"

#include <locale.h>
#include <sys/resource.h>
#include <sys/stat.h>

extern char **environ;

static server edge;

typedef struct snapshot {
    struct sigaction actions[65];
    sigset_t mask;
    char directory[4096];
    char locale[256];
    mode_t umask;
    size_t environment_size;
    uint64_t environment_sum;
    struct rlimit files, stack, core;
} snapshot;

static void take(snapshot *s) {
    memset(s, 0, sizeof *s);
    for (int signal = 1; signal <= 64; signal++) (void)sigaction(signal, NULL, &s->actions[signal]);
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &s->mask), 0);
    CHECK(getcwd(s->directory, sizeof s->directory) != NULL);
    snprintf(s->locale, sizeof s->locale, "%s", setlocale(LC_ALL, NULL));
    s->umask = umask(0);
    umask(s->umask);
    for (char **entry = environ; *entry != NULL; entry++)
        for (const char *c = *entry; *c; c++, s->environment_size++) s->environment_sum = s->environment_sum * 31 + (uint8_t)*c;
    getrlimit(RLIMIT_NOFILE, &s->files);
    getrlimit(RLIMIT_STACK, &s->stack);
    getrlimit(RLIMIT_CORE, &s->core);
}

static void same(const snapshot *before) {
    static snapshot after;
    take(&after);
    for (int signal = 1; signal <= 64; signal++) {
        CHECK(before->actions[signal].sa_handler == after.actions[signal].sa_handler);
        CHECK_EQ(before->actions[signal].sa_flags, after.actions[signal].sa_flags);
        CHECK_EQ(sigismember(&before->mask, signal), sigismember(&after.mask, signal));
    }
    CHECK(strcmp(before->directory, after.directory) == 0 && strcmp(before->locale, after.locale) == 0);
    CHECK(before->umask == after.umask);
    CHECK(before->environment_size == after.environment_size && before->environment_sum == after.environment_sum);
    CHECK(memcmp(&before->files, &after.files, sizeof after.files) == 0);
    CHECK(memcmp(&before->stack, &after.stack, sizeof after.stack) == 0);
    CHECK(memcmp(&before->core, &after.core, sizeof after.core) == 0);
}

/* SIGPIPE is fatal here, as it is by default: a write to a connection that the server has reset would end the process. */
static void resets_during_uploads(int count) {
    target_client client = create_client(edge.config);
    /* As much as a call may say, to a server that takes in little. */
    enum { PARTS = 4, PART = 250 * 1000 };
    char *options = (char *)malloc(PARTS * (PART + 32) + 256), *end = options;
    CHECK(options != NULL);
    end += sprintf(end, "{\"request\":{\"execute\":{\"mboxes\":[{\"index\":0,\"name\":\"a\",\"parameters\":{");
    for (int i = 0; i < PARTS; i++) {
        end += sprintf(end, "%s\"p%d\":\"", i ? "," : "", i);
        memset(end, 'x', PART);
        end += PART;
        *end++ = '"';
    }
    strcpy(end, "}}]}}}");
    int little = 4096;
    CHECK_EQ(setsockopt(edge.listener, SOL_SOCKET, SO_RCVBUF, &little, sizeof little), 0);
    target_queue queue;
    OK(target_queue_create(&queue));
    for (int i = 0; i < count; i++) {
        ATOMIC_SET(edge.mode, i % 2 ? SERVER_RESETS : SERVER_BREAKS_PIPE);
        target_result result = 0;
        target_status status = target_get_offers_sync(client, options, TARGET_NUL, 5000, &result);
        if (status != TARGET_E_CIRCUIT_OPEN) CHECK_STATUS(status, TARGET_E_NETWORK);
        OK(target_result_free(result));
        /* Ended in the middle of the upload, too. */
        target_call call = queue_call(queue, 1);
        target_request request;
        OK(target_get_offers_ex(client, options, TARGET_NUL, &call, &request));
        sleep_ms(i % 4);
        (void)target_request_cancel(request);
        target_completion completion;
        CHECK_EQ(target_queue_poll(queue, &completion, 1, 5000), 1);
        OK(target_result_free(completion.result));
        if (i % 10 == 9) { /* a new client has a circuit that is closed */
            OK(target_client_destroy(client));
            client = create_client(edge.config);
        }
    }
    OK(target_queue_destroy(queue));
    ATOMIC_SET(edge.mode, SERVER_ANSWERS);
    free(options);
    OK(target_client_destroy(client));
}

static void *ask_again_and_again(void *argument) {
    target_client client = create_client(edge.config);
    for (int i = 0; i < *(int *)argument * 20; i++) {
        target_result result = 0;
        target_status status = target_get_offers_sync(client, OFFERS, TARGET_NUL, 5000, &result);
        if (status != TARGET_E_NETWORK && status != TARGET_E_CIRCUIT_OPEN) OK(status);
        OK(target_result_free(result));
    }
    OK(target_client_destroy(client));
    return NULL;
}

/* A connection is kept and used again at the very moment in which the server lets go of it. */
static void resets_of_kept_connections(int count) {
    ATOMIC_SET(edge.mode, SERVER_LEAVES);
    pthread_t askers[4];
    for (int i = 0; i < 4; i++) askers[i] = start_thread(ask_again_and_again, &count);
    for (int i = 0; i < 4; i++) join_thread(askers[i]);
    ATOMIC_SET(edge.mode, SERVER_ANSWERS);
}

/* Our threads block every signal that can be blocked, but for faults of their own. */
static void library_threads_block_signals(void) {
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    int ours = 0;
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[300], line[256], name[64] = "";
        unsigned long long blocked = 0;
        if (task->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *status = fopen(path, "re");
        if (status == NULL) continue; /* ended meanwhile */
        while (fgets(line, sizeof line, status) != NULL) {
            if (strncmp(line, "Name:", 5) == 0) sscanf(line, "Name:\t%63s", name);
            if (strncmp(line, "SigBlk:", 7) == 0) sscanf(line, "SigBlk:\t%llx", &blocked);
        }
        fclose(status);
        if (strncmp(name, "target-", 7) != 0) continue;
        CHECK(strlen(name) <= 15);
        ours++;
        for (int signal = 1; signal <= 64; signal++) {
            bool fault = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL || signal == SIGTRAP;
            bool reserved = signal == SIGKILL || signal == SIGSTOP || signal == 32 || signal == 33; /* kernel's and libc's */
            if (!fault && !reserved && !(blocked >> (signal - 1) & 1))
                check_failed(__FILE__, __LINE__, "thread %s does not block signal %d", name, signal);
        }
    }
    closedir(tasks);
    CHECK(ours >= 3); /* two workers and the dispatcher */
    /* And no thread that is not the host's goes by another name: this one and the server's are left. */
    CHECK_EQ(live_threads() - ours, 2);
}

static void errno_survives(void) {
    target_client client = create_client(edge.config);
    target_queue queue;
    target_result result;
    target_completion completion;
    intptr_t fd;
    int32_t state;
    errno = 4711;
#define KEPT(call) do { (void)(call); CHECK_EQ(errno, 4711); } while (0)
    KEPT(target_queue_create(&queue));
    KEPT(target_queue_fd(queue, &fd));
    KEPT(target_queue_wake(queue));
    KEPT(target_queue_poll(queue, &completion, 1, 10));
    KEPT(target_queue_poll(queue, &completion, 1, 10));
    KEPT(target_client_state(client, &state));
    KEPT(target_client_wait_ready(client, 10));
    KEPT(target_client_flush(client, 10, NULL));
    KEPT(target_get_offers_sync(client, OFFERS, TARGET_NUL, 1000, &result));
    KEPT(target_result_free(result));
    KEPT(target_get_offers_sync(client, "{", TARGET_NUL, 1000, &result));
    KEPT(target_result_free(result));
    KEPT(target_get_offers(0, "{", NULL, NULL));
    KEPT(target_init("{", NULL));
    KEPT(target_client_create("{", 1, NULL, &client, NULL));
    KEPT(target_client_create(edge.config, TARGET_NUL, NULL, &client, NULL));
    KEPT(target_client_close(client, 10, NULL));
    KEPT(target_client_destroy(client));
    KEPT(target_queue_destroy(queue));
    KEPT(target_status_name(-3));
    KEPT(target_shutdown(1000));
#undef KEPT
}

int main(int argc, char **argv) {
    static snapshot before;
    setlocale(LC_ALL, "C.UTF-8");
    server_start(&edge, "");
    take(&before);
    CHECK(before.actions[SIGPIPE].sa_handler == SIG_DFL);
    int count = argc > 1 ? atoi(argv[1]) : 40;
    resets_during_uploads(count);
    resets_of_kept_connections(count);
    target_client client = create_client(edge.config);
    target_result result;
    OK(target_get_offers_sync(client, OFFERS, TARGET_NUL, 0, &result));
    OK(target_result_free(result));
    library_threads_block_signals();
    OK(target_client_destroy(client));
    same(&before);
    errno_survives();
    same(&before);
    server_stop(&edge);
    return 0;
}
