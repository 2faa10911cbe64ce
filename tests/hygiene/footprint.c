/* What an idle library costs: threads, wake-ups, memory; and that what was passed in may be overwritten at once. */
#include "exports.h"

static server edge;

static long resident_kib(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    long size = 0, resident = 0;
    CHECK(file != NULL && fscanf(file, "%ld %ld", &size, &resident) == 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* How often threads of the library have been woken, and how many there are. */
static long wake_ups(int *threads) {
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    long all = 0;
    *threads = 0;
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[300], line[256];
        if (task->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *status = fopen(path, "re");
        if (status == NULL) continue;
        bool ours = false;
        long count = 0;
        while (fgets(line, sizeof line, status) != NULL) {
            if (strncmp(line, "Name:\ttarget-", 13) == 0) ours = true;
            (void)sscanf(line, "voluntary_ctxt_switches: %ld", &count);
        }
        fclose(status);
        if (ours) all += count, (*threads)++;
    }
    closedir(tasks);
    return all;
}

/* One thousand clients have no thread of their own, and nothing to do. */
static void idle(void) {
    enum { CLIENTS = 1000 };
    static target_client clients[CLIENTS];
    clients[0] = create_client(edge.config);
    target_result answer = 0;
    OK(target_get_offers_sync(clients[0], OFFERS, TARGET_NUL, 10000, &answer));
    OK(target_result_free(answer));
    int few, many;
    (void)wake_ups(&few);
    long kib = resident_kib();
    for (int i = 1; i < CLIENTS; i++) clients[i] = create_client(edge.config);
    long each = (resident_kib() - kib) / CLIENTS;
    CHECK(each < 100);
    sleep_ms(500);
    long before = wake_ups(&many);
    CHECK_EQ(few, many);
    CHECK_EQ(many, 3); /* two workers and a dispatcher, however many processors there are */
    sleep_ms(2000);
    long after = wake_ups(&many);
    if (after - before > 20) check_failed(__FILE__, __LINE__, "%ld wake-ups of an idle library in two seconds", after - before);
    for (int i = 0; i < CLIENTS; i++) OK(target_client_destroy(clients[i]));
}

/* ---- inputs are copied ---- */

static char *copy_of(const char *text) {
    char *copied = (char *)malloc(strlen(text) + 1);
    CHECK(copied != NULL);
    strcpy(copied, text);
    return copied;
}

static void scribble(char *text) {
    memset(text, 'x', strlen(text));
    free(text);
}

static long wrong;
static void expect_ok(target_request request, target_result result, void *user_data) {
    (void)request;
    if (target_result_status(result) != TARGET_OK) ATOMIC_ADD(wrong, 1);
    counter_add((counter *)user_data);
}

static void inputs_are_copied(int rounds) {
    counter done = COUNTER;
    char *config = copy_of(edge.config);
    target_client client = create_client(config);
    scribble(config);
    for (int i = 0; i < rounds; i++) {
        char *offers = copy_of(OFFERS), *names = copy_of(NAMES), *more = copy_of(OFFERS);
        target_call *call = (target_call *)malloc(sizeof *call);
        CHECK(call != NULL);
        *call = callback_call(expect_ok, &done, NULL);
        OK(target_get_offers_ex(client, offers, strlen(offers), call, NULL));
        OK(target_get_attributes_ex(client, names, strlen(names), more, strlen(more), call, NULL));
        OK(target_get_offers(client, offers, expect_ok, &done));
        OK(target_get_attributes(client, names, more, expect_ok, &done));
        memset(call, 0xa5, sizeof *call);
        free(call);
        scribble(offers), scribble(names), scribble(more);
        counter_wait(&done, 4 * (i - 50));
    }
    counter_wait(&done, 4 * rounds);
    CHECK_EQ(ATOMIC_GET(wrong), 0);
    OK(target_client_destroy(client));
}

int main(void) {
    server_start(&edge, ",\"timeout\":20000");
    inputs_are_copied(500);
    OK(target_shutdown(10000));
    idle();
    OK(target_shutdown(10000));
    server_stop(&edge);
    return 0;
}
