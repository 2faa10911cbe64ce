/* Runs one of the bugs planted in canary.rs, or one of its own: the sanitizer must see both languages. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int canary_use_after_free(void);
int canary_leak(void);
int canary_race(void);
int canary_no_race(void);

static int shared;
static volatile int zero;

static void *count(void *unused) {
    (void)unused;
    for (int i = 0; i < 1000; i++) shared++;
    return NULL;
}

static int race(void) {
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, count, NULL);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    return shared;
}

static int use_after_free(void) {
    char *text = malloc(16);
    if (text == NULL) return 1;
    memset(text, 1, 16);
    free(text);
    return ((volatile char *)text)[zero];
}

static int leak(void) {
    for (int i = 0; i < 100; i++) { /* several, as in canary.rs */
        char *volatile lost = malloc(100);
        if (lost != NULL) lost[0] = 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *which = argc > 1 ? argv[1] : "";
    int result = 0;
    if (strcmp(which, "rust-use-after-free") == 0) result = canary_use_after_free();
    else if (strcmp(which, "rust-leak") == 0) result = canary_leak();
    else if (strcmp(which, "rust-race") == 0) result = canary_race();
    else if (strcmp(which, "rust-no-race") == 0) result = canary_no_race();
    else if (strcmp(which, "c-use-after-free") == 0) result = use_after_free();
    else if (strcmp(which, "c-leak") == 0) result = leak();
    else if (strcmp(which, "c-race") == 0) result = race();
    else return 2;
    if (result == 12345) puts("so that nothing is optimised away");
    return 0;
}
