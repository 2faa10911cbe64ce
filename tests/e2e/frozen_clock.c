/* Preloaded: the wall clock stands still at FROZEN_MS milliseconds; monotonic time goes on. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long frozen_ms = -1;

__attribute__((constructor)) static void read_frozen_ms(void)
{
    const char *text = getenv("FROZEN_MS");
    if (text)
        frozen_ms = atoll(text);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (clock != CLOCK_REALTIME || frozen_ms < 0)
        return (int)syscall(SYS_clock_gettime, clock, out);
    out->tv_sec = (time_t)(frozen_ms / 1000);
    out->tv_nsec = (long)(frozen_ms % 1000) * 1000000L;
    return 0;
}
