// What the stand-ins for libraries share: the driver beside them, its log, and how operands are read.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int (*Body)(const void *);

static void *driver(const char *name) {
    void *library = dlopen("libcuda.so", RTLD_NOW);
    void *found = library ? dlsym(library, name) : NULL;
    if (!found) {
        fprintf(stderr, "the stand-in for the driver has no %s\n", name);
        abort();
    }
    return found;
}

static int put(void *stream, const char *what, Body body, const void *work, size_t bytes) {
    return ((int (*)(void *, const char *, Body, const void *, size_t))driver("segc_mock_call"))(stream, what, body, work, bytes);
}

static int owned(const void *at, size_t bytes) {
    return ((int (*)(const void *, size_t))driver("segc_mock_owned"))(at, bytes);
}

// Libraries reserve memory when they start and ask for it when they plan: not while a graph is recorded.
static int records(void) {
    return ((int (*)(void))driver("segc_mock_records"))();
}

static int set(const char *name, const char *value) {
    const char *text = getenv(name);
    return text && !strcmp(text, value);
}

static uint32_t bits(float x) {
    uint32_t b;
    memcpy(&b, &x, 4);
    return b;
}

static float number(uint32_t b) {
    float x;
    memcpy(&x, &b, 4);
    return x;
}

static float tf32(float x) {
    return isfinite(x) ? number((bits(x) + 0x1000u) & 0xffffe000u) : x;
}

static float bf16(float x) {
    return isfinite(x) ? number((bits(x) + 0x7fffu + (bits(x) >> 16 & 1u)) & 0xffff0000u) : x;
}
