// CUDA's C subset on a processor: threads of a block run one after the other; those of kernels that wait for each other are fibers that
// change places where they wait. `shim_backwards` turns the order of blocks and threads round, so that what depends on it shows.

#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

typedef struct {
    unsigned x, y, z;
} shim_index;

static shim_index threadIdx, blockIdx;
static int shim_backwards;

#define __shared__ static
#define __restrict__ __restrict
#define __align__(bytes) __attribute__((aligned(bytes)))

static inline float __uint_as_float(unsigned bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline unsigned __float_as_uint(float x)
{
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double __longlong_as_double(long long bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline long long __double_as_longlong(double x)
{
    long long bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float __fmul_rn(float a, float b) { return a * b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }

static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}

enum { SHIM_MOST = 1024, SHIM_STACK = 1 << 16 };
enum shim_state { SHIM_NEW, SHIM_WAITS, SHIM_DONE };

static char shim_stacks[SHIM_MOST][SHIM_STACK];
static enum shim_state shim_states[SHIM_MOST];
static ucontext_t shim_starts[SHIM_MOST];
static jmp_buf shim_places[SHIM_MOST], shim_home;
static unsigned shim_current;
static void (*shim_kernel)(void **);
static void **shim_arguments;

static void shim_enter(void)
{
    shim_kernel(shim_arguments);
    shim_states[shim_current] = SHIM_DONE;
    _longjmp(shim_home, 1);
}

static void __syncthreads(void)
{
    shim_states[shim_current] = SHIM_WAITS;
    if (!_setjmp(shim_places[shim_current])) {
        _longjmp(shim_home, 1);
    }
}

static void shim_resume(unsigned thread)
{
    shim_current = thread;
    threadIdx.x = thread;
    if (_setjmp(shim_home)) {
        return;
    }
    if (shim_states[thread] == SHIM_WAITS) {
        _longjmp(shim_places[thread], 1);
    }
    getcontext(&shim_starts[thread]);
    shim_starts[thread].uc_stack.ss_sp = shim_stacks[thread];
    shim_starts[thread].uc_stack.ss_size = SHIM_STACK;
    makecontext(&shim_starts[thread], shim_enter, 0);
    setcontext(&shim_starts[thread]);
}

static unsigned shim_turn(unsigned number, unsigned count)
{
    return shim_backwards ? count - 1 - number : number;
}

static void shim_fibers(unsigned threads)
{
    memset(shim_states, 0, sizeof shim_states);
    for (unsigned done = 0; done < threads;) {
        const unsigned before = done;
        for (unsigned n = 0; n < threads; ++n) {
            const unsigned thread = shim_turn(n, threads);
            shim_resume(thread);
            done += shim_states[thread] == SHIM_DONE;
        }
        if (done != before && done != threads) {
            fprintf(stderr, "some threads of a block wait for others that have left\n");
            exit(3);
        }
    }
}

// Runs all blocks of a launch along x.
static void shim_launch(void (*kernel)(void **), int waits, unsigned blocks, unsigned threads, void **arguments)
{
    shim_kernel = kernel;
    shim_arguments = arguments;
    for (unsigned block = 0; block < blocks; ++block) {
        blockIdx.x = shim_turn(block, blocks);
        if (waits) {
            shim_fibers(threads);
            continue;
        }
        for (unsigned thread = 0; thread < threads; ++thread) {
            threadIdx.x = shim_turn(thread, threads);
            kernel(arguments);
        }
    }
}
