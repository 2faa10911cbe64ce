/* Tells ThreadSanitizer what the locks of Rust's standard library do.
 *
 * The standard library comes compiled, and not with -Zsanitizer=thread. What of it is generic or inlined is compiled with
 * this project and seen; the slow paths of its locks are not. Each of the functions below stands around one of those
 * (ld --wrap) and says exactly what it does to the lock. Nothing is hidden: no access of this project is ignored.
 *
 * tools/sanitize.sh defines the names, which are different in every compiler: LOCK, READ, WRITE, WAIT, WAIT_TIMEOUT, ONCE. */
#include <stdint.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define REAL(name) JOIN(__real_, name)
#define WRAP(name) JOIN(__wrap_, name)

/* Up to six arguments in registers, and a result in one: enough for all of them. */
typedef uintptr_t word;
#define ARGUMENTS word a, word b, word c, word d, word e, word f
#define AROUND(name, before, after) \
    word REAL(name)(ARGUMENTS); \
    word WRAP(name)(ARGUMENTS) { \
        before; \
        word result = REAL(name)(a, b, c, d, e, f); \
        after; \
        return result; \
    }

/* Mutex::lock, RwLock::read, RwLock::write when they have to wait: have the lock when they return. */
AROUND(LOCK, , __tsan_acquire((void *)a))
AROUND(READ, , __tsan_acquire((void *)a))
AROUND(WRITE, , __tsan_acquire((void *)a))
/* Condvar::wait(&self, &mutex): gives the mutex back, takes it again. */
AROUND(WAIT, __tsan_release((void *)b), __tsan_acquire((void *)b))
AROUND(WAIT_TIMEOUT, __tsan_release((void *)b), __tsan_acquire((void *)b))
/* Once::call(&self, ...): what was done once is visible to all who come after. */
AROUND(ONCE, , (__tsan_acquire((void *)a), __tsan_release((void *)a)))

/* Arc gives references back with Release, and the last one has a fence before it frees. ThreadSanitizer knows no fences; a
 * standard library that is compiled for it has an Acquire there instead. So has this. */
enum { RELEASE = 3, ACQUIRE_RELEASE = 4 };
uint64_t __real___tsan_atomic64_fetch_sub(volatile uint64_t *address, uint64_t value, int order);
uint64_t __wrap___tsan_atomic64_fetch_sub(volatile uint64_t *address, uint64_t value, int order) {
    return __real___tsan_atomic64_fetch_sub(address, value, order == RELEASE ? ACQUIRE_RELEASE : order);
}
