/* What differs between systems: memory on a boundary, clocks, processes, and what threads share.
 *
 * Nothing else in src/ asks which system it is. The compiler is gcc or clang everywhere, since the
 * kernels use their vector types; so the atomics are theirs.
 */
#ifndef LBFGSB_PLATFORM_H
#define LBFGSB_PLATFORM_H

#include <stddef.h>
#include <stdlib.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <malloc.h>
#include <windows.h>
#else
#include <sched.h>
#include <time.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <sys/mman.h>
#endif

/* --- memory ------------------------------------------------------------------------------ */

/* NULL: none. It goes back by platform_free. */
static inline void *platform_allocate(size_t size, size_t alignment)
{
#ifdef _WIN32
    return _aligned_malloc(size, alignment);
#else
    void *block = NULL;
    return posix_memalign(&block, alignment, size) ? NULL : block;
#endif
}

static inline void platform_free(void *block)
{
#ifdef _WIN32
    _aligned_free(block);
#else
    free(block);
#endif
}

/* Advice: whether the system takes it or not changes nothing but the time. */
static inline void platform_advise_huge_pages(void *block, size_t size)
{
#ifdef __linux__
    (void)madvise(block, size, MADV_HUGEPAGE);
#else
    (void)block;
    (void)size;
#endif
}

/* --- clocks, in seconds ------------------------------------------------------------------ */

#ifdef _WIN32
static inline double platform_seconds(void)
{
    LARGE_INTEGER ticks, per_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_second);
    return (double)ticks.QuadPart / (double)per_second.QuadPart;
}

static inline double platform_coarse_seconds(void)
{
    return 1e-3 * (double)GetTickCount64();
}
#else
static inline double platform_read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The clock of Python's time.perf_counter. */
static inline double platform_seconds(void)
{
#ifdef __APPLE__
    return platform_read_clock(CLOCK_UPTIME_RAW);
#else
    return platform_read_clock(CLOCK_MONOTONIC);
#endif
}

/* Right to some milliseconds, and costs as many nanoseconds. */
static inline double platform_coarse_seconds(void)
{
#if defined(CLOCK_MONOTONIC_COARSE)
    return platform_read_clock(CLOCK_MONOTONIC_COARSE);
#elif defined(CLOCK_MONOTONIC_RAW_APPROX)
    return platform_read_clock(CLOCK_MONOTONIC_RAW_APPROX);
#else
    return platform_read_clock(CLOCK_MONOTONIC);
#endif
}
#endif

/* --- processes and threads --------------------------------------------------------------- */

/* A number that a child of fork does not share with its parent. */
static inline long platform_process(void)
{
#ifdef _WIN32
    return (long)GetCurrentProcessId();
#else
    return (long)getpid();
#endif
}

static inline void platform_yield(void)
{
#ifdef _WIN32
    SwitchToThread();
#else
    sched_yield();
#endif
}

static inline void platform_sleep(int milliseconds)
{
#ifdef _WIN32
    Sleep((DWORD)milliseconds);
#else
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    nanosleep(&time, NULL);
#endif
}

/* Macros, for numbers of any type; in one order that all threads see. */
#define platform_load(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define platform_store(p, value) __atomic_store_n(p, value, __ATOMIC_SEQ_CST)
/* The value before. */
#define platform_add(p, value) __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST)

#endif
