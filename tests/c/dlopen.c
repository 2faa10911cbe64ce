/* dlopen, use, dlclose, again and again: the library stays mapped once, and threads that used it may end at any time.
 * Not linked with the library: TARGET_SDK_LIBRARY names it. */
#include "check.h"

#include <dlfcn.h>

typedef target_status (*create_fn)(const char *, size_t, const target_client_hooks *, target_client *, target_result *);
typedef target_status (*sync_fn)(target_client, const char *, size_t, uint32_t, target_result *);
typedef target_status (*handle_fn)(uint64_t);
typedef target_status (*shutdown_fn)(uint32_t);

/* ISO C has no conversion from an object pointer to a function pointer; POSIX says they have one representation. */
static void find(void *library, const char *name, void *function, size_t size) {
    void *symbol = dlsym(library, name);
    if (symbol == NULL) check_failed(__FILE__, __LINE__, "%s is not there", name);
    memcpy(function, &symbol, size);
}
#define FIND(library, name, function) find(library, name, &function, sizeof function)

static int mappings_of(const char *what) {
    FILE *maps = fopen("/proc/self/maps", "re");
    CHECK(maps != NULL);
    char line[4096];
    int count = 0;
    while (fgets(line, sizeof line, maps) != NULL) count += strstr(line, what) != NULL && strstr(line, "r-xp") != NULL;
    fclose(maps);
    return count;
}

static bool stop_library;

static void *use_once(void *path) {
    void *library = dlopen((const char *)path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) check_failed(__FILE__, __LINE__, "%s", dlerror());
    create_fn create;
    sync_fn get_offers_sync;
    handle_fn destroy, free_result;
    shutdown_fn shut_down;
    FIND(library, "target_client_create", create);
    FIND(library, "target_get_offers_sync", get_offers_sync);
    FIND(library, "target_client_destroy", destroy);
    FIND(library, "target_result_free", free_result);
    FIND(library, "target_shutdown", shut_down);
    target_client client = 0;
    CHECK_EQ(create(OFFLINE, TARGET_NUL, NULL, &client, NULL), 0);
    target_result result = 0;
    CHECK(get_offers_sync(client, OFFERS, TARGET_NUL, 0, &result) != 0);
    CHECK_EQ(free_result(result), 0);
    CHECK_EQ(destroy(client), 0);
    if (stop_library) CHECK_EQ(shut_down(5000), 0);
    CHECK_EQ(dlclose(library), 0);
    return NULL;
}

int main(int argc, char **argv) {
    int cycles = argc > 1 ? atoi(argv[1]) : 200;
    char *path = getenv("TARGET_SDK_LIBRARY");
    CHECK(path != NULL);
    CHECK_EQ(mappings_of("libtarget_sdk"), 0);
    for (int i = 0; i < cycles; i++) {
        stop_library = i % 2;
        if (i % 4 < 2) use_once(path);
        else join_thread(start_thread(use_once, path)); /* whose thread-local data ends after dlclose */
        CHECK_EQ(mappings_of("libtarget_sdk"), 1);
    }
    stop_library = true;
    use_once(path);
    CHECK(threads_fall_to(1));
    return 0;
}
