/* What differs between systems, processors and compilers: memory on a boundary, clocks, processes,
 * threads, what threads share, and what the processor can do.
 *
 * Nothing else in src/ asks which system it is. The compiler is gcc or clang everywhere (on Windows
 * clang-cl or mingw's gcc), since the kernels use their vector types; so the atomics are theirs.
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
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#define PLATFORM_X86 1
#include <cpuid.h>
#endif

#if defined(__clang__)
#define PLATFORM_COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define PLATFORM_COMPILER "gcc " __VERSION__
#else
#error "lbfgsb is compiled by gcc or clang; on Windows CC=clang-cl, or mingw's gcc"
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

/* How many of `count` threads can be started beside those that there are: they wait for one another
 * at a gate, and are gone on return. */
enum { PLATFORM_MOST_STARTED = 1024 };
enum { PLATFORM_MORE_STACK = 1 << 16 };

#ifdef _WIN32
/* No limit of Windows is met before memory ends. */
static inline int platform_try_threads(int count)
{
    return count;
}
#else
static inline void *platform_pass(void *gate)
{
    pthread_mutex_lock((pthread_mutex_t *)gate);
    pthread_mutex_unlock((pthread_mutex_t *)gate);
    return NULL;
}

static inline int platform_try_threads(int count)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t started[PLATFORM_MOST_STARTED];
    pthread_attr_t with;
    size_t stack;
    int number = 0;
    if (pthread_attr_init(&with) != 0)
        return 0;
    /* The stacks are used again by threads that want no larger ones; LLVM's OpenMP wants a little
     * more than the default. Where more can't be set, it stays the default. */
    if (pthread_attr_getstacksize(&with, &stack) == 0)
        (void)pthread_attr_setstacksize(&with, stack + PLATFORM_MORE_STACK);
    pthread_mutex_lock(&gate);
    while (number < count && number < PLATFORM_MOST_STARTED &&
           pthread_create(&started[number], &with, platform_pass, &gate) == 0)
        number++;
    pthread_mutex_unlock(&gate);
    pthread_attr_destroy(&with);
    for (int i = 0; i < number; i++)
        pthread_join(started[i], NULL);
    return number;
}
#endif

/* --- OpenMP, where the compiler has it: elsewhere a parallel region is run by one thread --- */

#ifdef _OPENMP
enum { PLATFORM_OPENMP = 1 };
static inline int platform_processors(void) { return omp_get_num_procs(); }
#else
enum { PLATFORM_OPENMP = 0 };
static inline int platform_processors(void) { return 1; }
#endif

/* --- what threads share ------------------------------------------------------------------ */

/* Macros, for numbers of any type; in one order that all threads see. */
#define platform_load(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define platform_store(p, value) __atomic_store_n(p, value, __ATOMIC_SEQ_CST)
/* The value before. */
#define platform_add(p, value) __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST)

/* Puts `mine` in the place of 0; whether it was 0. The type is that of Python's thread
 * identifiers, which has 32 bits on Windows. */
static inline int platform_take(unsigned long *p, unsigned long mine)
{
    unsigned long nobody = 0;
    return __atomic_compare_exchange_n(p, &nobody, mine, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* --- what the processor can do ----------------------------------------------------------- */

/* The instruction sets that there are kernels for: 512 for AVX-512 (F, VL, DQ, BW), 256 for AVX2
 * and FMA, else 0. From CPUID itself: the compilers' __builtin_cpu_supports needs a library that
 * clang-cl does not link. The system must save the registers too (XGETBV); macOS says so of those
 * of AVX-512 only after their first use, and gets AVX2. Bits: Intel 64 and IA-32 Architectures
 * Software Developer's Manual, volume 2A (CPUID) and volume 1, section 13.2 (XCR0). */
static inline int platform_vector_bits(void)
{
#ifdef PLATFORM_X86
    const unsigned fma = 1u << 12, osxsave = 1u << 27;    /* leaf 1, ECX */
    const unsigned avx2 = 1u << 5;                        /* leaf 7, EBX */
    const unsigned f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    const unsigned ymm = 0x06, zmm = 0xe6;    /* XCR0 */
    const unsigned avx512 = f | dq | bw | vl;
    unsigned a, b, c, d, saved, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & osxsave) || !(c & fma))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
    if ((saved & ymm) != ymm || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & avx2))
        return 0;
    return (saved & zmm) == zmm && (b & avx512) == avx512 ? 512 : 256;
#else
    return 0;
#endif
}

#endif
