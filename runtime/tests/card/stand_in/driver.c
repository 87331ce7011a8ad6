// A stand-in for libcuda.so.1 on memory of the host, for tests. A stream does nothing before somebody waits for it, as a card may;
// a recorded graph is the list of what was asked for. It refuses what a driver refuses while a graph is recorded, and addresses
// that lie in no live memory. New memory holds NaN; bytes behind it are looked after.
//
// SEGC_MOCK_VERSION (13000), SEGC_MOCK_CARDS (1), SEGC_MOCK_MEMORY (bytes), SEGC_MOCK_CAPABILITY (90) and SEGC_MOCK_PINNED=no say what it
// is; SEGC_MOCK_LOG names a file that gets a line for each launch, graph and module.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int Code;
typedef unsigned long long Address;

enum {
    SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700, CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901
};

enum { GUARD = 64, MOST = 512 };

typedef struct Memory { struct Memory *next; unsigned char *at; size_t bytes; int pinned; } Memory;
typedef int (*Run)(const char *, const unsigned *, const unsigned *, unsigned, void **);
typedef struct { void *library; Run run; int (*arity)(const char *); } Module;
typedef struct Function { struct Function *next; Module *module; char *name; int arity; } Function;

typedef enum { LAUNCH, UP, DOWN, ACROSS, SET, CALL } Kind;
typedef int (*Body)(const void *);

typedef struct {
    Kind kind;
    Function *function;
    unsigned grid[3], block[3], shared;
    void *pointers[MOST];
    void *to;
    const void *from;
    size_t bytes;
    unsigned value;
    // What was copied before the call returned.
    unsigned char *own;
    // Of a library; what it works on is at `from`.
    Body body;
} Deed;

typedef struct { Deed *deeds; size_t count, room; } List;
typedef struct Stream { struct Stream *next; List queue; int recording, broken; pthread_t by; List recorded; } Stream;
typedef struct { List list; } Graph;

static pthread_mutex_t big = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static Memory *memories;
static Stream *streams;
static Function *functions;
static size_t used;
static int initialized, sticky;
static __thread int current;

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text && *text ? atol(text) : otherwise;
}

static void note(const char *what, const char *which) {
    const char *path = getenv("SEGC_MOCK_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "%s %s\n", what, which);
        fclose(file);
    }
}

static Memory *owner(const void *at, size_t bytes, int pinned) {
    for (Memory *m = memories; m; m = m->next) {
        if (m->pinned == pinned && (unsigned char *)at >= m->at && (unsigned char *)at + bytes <= m->at + m->bytes) {
            return m;
        }
    }
    return NULL;
}

static int whole(const Memory *m) {
    for (int i = 0; i < GUARD; i++) {
        if (m->at[m->bytes + i] != 0xA5) {
            return 0;
        }
    }
    return 1;
}

static void push(List *list, Deed deed) {
    if (list->count == list->room) {
        list->room = 2 * list->room + 16;
        list->deeds = realloc(list->deeds, list->room * sizeof(Deed));
    }
    list->deeds[list->count++] = deed;
}

static void doing(const Deed *d) {
    if (sticky) {
        return;
    }
    if (d->kind == LAUNCH) {
        void *places[MOST];
        for (int i = 0; i < d->function->arity; i++) {
            places[i] = (void *)&d->pointers[i];
            if (!owner(d->pointers[i], 0, 0)) {
                sticky = ILLEGAL_ADDRESS;
                note("illegal", d->function->name);
                return;
            }
        }
        if (d->function->module->run(d->function->name, d->grid, d->block, d->shared, places)) {
            sticky = ILLEGAL_ADDRESS;
        }
        for (Memory *m = memories; m; m = m->next) {
            if (!whole(m)) {
                sticky = ILLEGAL_ADDRESS;
                note("outside", d->function->name);
            }
        }
        return;
    }
    if (d->kind == CALL) {
        sticky = d->body(d->from) ? ILLEGAL_ADDRESS : sticky;
        for (Memory *m = memories; m; m = m->next) {
            sticky = whole(m) ? sticky : ILLEGAL_ADDRESS;
        }
        return;
    }
    int up = d->kind == UP;
    if ((d->kind != DOWN && !owner(d->to, d->bytes, 0)) || (!up && d->kind != SET && !owner(d->from, d->bytes, 0))) {
        sticky = ILLEGAL_ADDRESS;
        return;
    }
    if (d->kind == SET) {
        for (size_t i = 0; i < d->bytes / 4; i++) {
            memcpy((unsigned char *)d->to + 4 * i, &d->value, 4);
        }
    } else {
        memmove(d->to, d->own ? d->own : d->from, d->bytes);
    }
}

static void flush(Stream *s) {
    for (size_t i = 0; i < s->queue.count; i++) {
        doing(&s->queue.deeds[i]);
        free(s->queue.deeds[i].own);
    }
    s->queue.count = 0;
}

static void flush_all(void) {
    for (Stream *s = streams; s; s = s->next) {
        flush(s);
    }
}

// Whether the calling thread records, which then is spoilt by what it does.
static int forbidden(void) {
    int found = 0;
    for (Stream *s = streams; s; s = s->next) {
        if (s->recording && pthread_equal(s->by, pthread_self())) {
            s->broken = 1;
            found = 1;
        }
    }
    return found;
}

#define LOCKED(...) { pthread_mutex_lock(&big); Code code = SUCCESS; __VA_ARGS__; pthread_mutex_unlock(&big); return code; }
#define NEEDS_CONTEXT if (!current) { code = INVALID_CONTEXT; } else if (sticky) { code = sticky; } else

static Code ask(Stream *s, Deed deed) {
    if (!s->recording) {
        push(&s->queue, deed);
        return SUCCESS;
    }
    if (s->broken) {
        return CAPTURE_INVALIDATED;
    }
    push(&s->recorded, deed);
    return SUCCESS;
}

// For the libraries beside this one: puts their work on a stream, and says whether memory of the card lies somewhere. What they work on
// stays for as long as the process, since graphs may do it again.
Code segc_mock_call(Stream *s, const char *what, Body body, const void *work, size_t bytes) LOCKED({
    NEEDS_CONTEXT {
        void *own = malloc(bytes);
        memcpy(own, work, bytes);
        note(s->recording ? "record" : "call", what);
        code = ask(s, (Deed){ .kind = CALL, .body = body, .from = own, .bytes = bytes });
    }
})

int segc_mock_owned(const void *at, size_t bytes) LOCKED({ code = owner(at, bytes, 0) != NULL; })

// Whether the calling thread records: who reserves memory then spoils it.
int segc_mock_records(void) LOCKED({ code = forbidden(); })

Code cuInit(unsigned flags) {
    initialized = flags == 0;
    return number("SEGC_MOCK_CARDS", 1) > 0 ? SUCCESS : NO_DEVICE;
}

Code cuDriverGetVersion(int *version) {
    *version = (int)number("SEGC_MOCK_VERSION", 13000);
    return SUCCESS;
}

Code cuGetErrorName(Code code, const char **text) {
    switch (code) {
    case INVALID_VALUE: *text = "CUDA_ERROR_INVALID_VALUE"; break;
    case OUT_OF_MEMORY: *text = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case NO_DEVICE: *text = "CUDA_ERROR_NO_DEVICE"; break;
    case INVALID_IMAGE: *text = "CUDA_ERROR_INVALID_IMAGE"; break;
    case NOT_FOUND: *text = "CUDA_ERROR_NOT_FOUND"; break;
    case ILLEGAL_ADDRESS: *text = "CUDA_ERROR_ILLEGAL_ADDRESS"; break;
    case CAPTURE_UNSUPPORTED: *text = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"; break;
    case CAPTURE_INVALIDATED: *text = "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"; break;
    default: *text = NULL; return INVALID_VALUE;
    }
    return SUCCESS;
}

Code cuGetErrorString(Code code, const char **text) {
    *text = code == NO_DEVICE ? "no CUDA-capable device is detected" : "said by the stand-in";
    return SUCCESS;
}

Code cuDeviceGetCount(int *count) {
    *count = (int)number("SEGC_MOCK_CARDS", 1);
    return initialized ? SUCCESS : NOT_INITIALIZED;
}

Code cuDeviceGet(int *device, int which) {
    *device = which;
    return which < number("SEGC_MOCK_CARDS", 1) ? SUCCESS : INVALID_DEVICE;
}

Code cuDeviceGetName(char *name, int length, int device) {
    snprintf(name, (size_t)length, "Stand-in %d", device);
    return SUCCESS;
}

static size_t total(void) {
    return (size_t)number("SEGC_MOCK_MEMORY", 1L << 30);
}

Code cuDeviceTotalMem_v2(size_t *bytes, int device) {
    *bytes = total();
    return device >= 0 ? SUCCESS : INVALID_DEVICE;
}

Code cuDeviceGetAttribute(int *value, int which, int device) {
    long capability = number("SEGC_MOCK_CAPABILITY", 90);
    switch (which) {
    case 75: *value = (int)(capability / 10); break;
    case 76: *value = (int)(capability % 10); break;
    case 16: *value = 132; break;
    case 97: *value = 232448; break;
    default: return INVALID_VALUE;
    }
    return device >= 0 ? SUCCESS : INVALID_DEVICE;
}

Code cuDevicePrimaryCtxRetain(void **context, int device) {
    static int one;
    *context = &one;
    return device >= 0 ? SUCCESS : INVALID_DEVICE;
}

Code cuDevicePrimaryCtxRelease_v2(int device) {
    return device >= 0 ? SUCCESS : INVALID_DEVICE;
}

Code cuCtxSetCurrent(void *context) {
    current = context != NULL;
    return SUCCESS;
}

Code cuMemGetInfo_v2(size_t *free_bytes, size_t *all) LOCKED({
    NEEDS_CONTEXT {
        *all = total();
        *free_bytes = total() - used;
    }
})

static Code allocate(void **at, size_t bytes, int pinned) {
    if (forbidden()) {
        return CAPTURE_UNSUPPORTED;
    }
    if (bytes == 0) {
        return INVALID_VALUE;
    }
    if (!pinned && used + bytes > total()) {
        return OUT_OF_MEMORY;
    }
    Memory *m = malloc(sizeof(Memory));
    *m = (Memory){ memories, aligned_alloc(256, (bytes + GUARD + 255) / 256 * 256), bytes, pinned };
    memset(m->at, 0xFF, bytes);
    memset(m->at + bytes, 0xA5, GUARD);
    memories = m;
    used += pinned ? 0 : bytes;
    *at = m->at;
    return SUCCESS;
}

static Code release(void *at, int pinned) {
    if (forbidden()) {
        return CAPTURE_UNSUPPORTED;
    }
    flush_all();
    for (Memory **m = &memories; *m; m = &(*m)->next) {
        if ((*m)->at == at && (*m)->pinned == pinned) {
            Memory *gone = *m;
            Code code = whole(gone) ? SUCCESS : ILLEGAL_ADDRESS;
            *m = gone->next;
            used -= pinned ? 0 : gone->bytes;
            memset(gone->at, 0xEE, gone->bytes);
            free(gone->at);
            free(gone);
            return code;
        }
    }
    return INVALID_VALUE;
}

Code cuMemAlloc_v2(Address *at, size_t bytes) LOCKED({
    NEEDS_CONTEXT {
        void *found = NULL;
        code = allocate(&found, bytes, 0);
        *at = (Address)(uintptr_t)found;
    }
})

Code cuMemFree_v2(Address at) LOCKED({ code = release((void *)(uintptr_t)at, 0); })

Code cuMemHostAlloc(void **at, size_t bytes, unsigned flags) LOCKED({
    const char *pinned = getenv("SEGC_MOCK_PINNED");
    code = flags != 0 ? INVALID_VALUE : pinned && !strcmp(pinned, "no") ? OUT_OF_MEMORY : allocate(at, bytes, 1);
})

Code cuMemFreeHost(void *at) LOCKED({ code = release(at, 1); })

Code cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t bytes, Stream *s) LOCKED({
    NEEDS_CONTEXT if (!owner((void *)(uintptr_t)to, bytes, 0)) {
        code = INVALID_VALUE;
    } else if (owner(from, bytes, 1)) {
        code = ask(s, (Deed){ .kind = UP, .to = (void *)(uintptr_t)to, .from = from, .bytes = bytes });
    } else if (s->recording) {
        s->broken = 1;
        code = CAPTURE_UNSUPPORTED;
    } else {
        unsigned char *own = malloc(bytes);
        memcpy(own, from, bytes);
        code = ask(s, (Deed){ .kind = UP, .to = (void *)(uintptr_t)to, .bytes = bytes, .own = own });
    }
})

Code cuMemcpyDtoHAsync_v2(void *to, Address from, size_t bytes, Stream *s) LOCKED({
    NEEDS_CONTEXT if (!owner((void *)(uintptr_t)from, bytes, 0)) {
        code = INVALID_VALUE;
    } else if (s->recording && !owner(to, bytes, 1)) {
        s->broken = 1;
        code = CAPTURE_UNSUPPORTED;
    } else {
        code = ask(s, (Deed){ .kind = DOWN, .to = to, .from = (void *)(uintptr_t)from, .bytes = bytes });
    }
})

Code cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, Stream *s) LOCKED({
    NEEDS_CONTEXT if (!owner((void *)(uintptr_t)from, bytes, 0) || !owner((void *)(uintptr_t)to, bytes, 0)) {
        code = INVALID_VALUE;
    } else {
        code = ask(s, (Deed){ .kind = ACROSS, .to = (void *)(uintptr_t)to, .from = (void *)(uintptr_t)from, .bytes = bytes });
    }
})

Code cuMemsetD32Async(Address to, unsigned value, size_t count, Stream *s) LOCKED({
    NEEDS_CONTEXT if (!owner((void *)(uintptr_t)to, 4 * count, 0)) {
        code = INVALID_VALUE;
    } else {
        code = ask(s, (Deed){ .kind = SET, .to = (void *)(uintptr_t)to, .bytes = 4 * count, .value = value });
    }
})

Code cuStreamCreate(Stream **stream, unsigned flags) LOCKED({
    NEEDS_CONTEXT {
        *stream = calloc(1, sizeof(Stream));
        (*stream)->next = streams;
        streams = *stream;
        code = flags <= 1 ? SUCCESS : INVALID_VALUE;
    }
})

Code cuStreamDestroy_v2(Stream *stream) LOCKED({
    flush(stream);
    for (Stream **s = &streams; *s; s = &(*s)->next) {
        if (*s == stream) {
            *s = stream->next;
            free(stream->queue.deeds);
            free(stream->recorded.deeds);
            free(stream);
            break;
        }
    }
})

Code cuStreamSynchronize(Stream *s) LOCKED({
    NEEDS_CONTEXT if (s->recording) {
        s->broken = 1;
        code = CAPTURE_UNSUPPORTED;
    } else {
        flush(s);
        code = sticky;
    }
})

Code cuStreamBeginCapture_v2(Stream *s, int mode) LOCKED({
    NEEDS_CONTEXT if (s->recording || mode != 1) {
        code = INVALID_VALUE;
    } else {
        s->recording = 1;
        s->broken = 0;
        s->by = pthread_self();
        s->recorded = (List){ 0 };
    }
})

Code cuStreamEndCapture(Stream *s, Graph **graph) LOCKED({
    *graph = NULL;
    if (!s->recording) {
        code = INVALID_VALUE;
    } else {
        s->recording = 0;
        if (s->broken) {
            free(s->recorded.deeds);
            code = CAPTURE_INVALIDATED;
        } else {
            *graph = calloc(1, sizeof(Graph));
            (*graph)->list = s->recorded;
            note("graph", "recorded");
        }
        s->recorded = (List){ 0 };
    }
})

Code cuEventCreate(void **event, unsigned flags) LOCKED({
    NEEDS_CONTEXT {
        *event = calloc(1, sizeof(Stream *));
        code = flags == 2 ? SUCCESS : INVALID_VALUE;
    }
})

Code cuEventRecord(Stream **event, Stream *s) LOCKED({
    if (s->recording) {
        s->broken = 1;
        code = CAPTURE_UNSUPPORTED;
    } else {
        *event = s;
    }
})

Code cuEventSynchronize(Stream **event) LOCKED({
    if (*event) {
        flush(*event);
    }
    code = sticky;
})

Code cuEventDestroy_v2(void *event) {
    free(event);
    return SUCCESS;
}

// Bytes of a shared library, by its header: the table of sections comes last.
static size_t length(const void *image) {
    const Elf64_Ehdr *head = image;
    return memcmp(head->e_ident, ELFMAG, SELFMAG) ? 0 : head->e_shoff + (size_t)head->e_shnum * head->e_shentsize;
}

Code cuModuleLoadData(Module **module, const void *image) LOCKED({
    size_t bytes = length(image);
    char path[] = "/tmp/segc-mock-XXXXXX";
    int file = bytes ? mkstemp(path) : -1;
    code = INVALID_IMAGE;
    if (!current) {
        code = INVALID_CONTEXT;
    } else if (file >= 0 && write(file, image, bytes) == (ssize_t)bytes) {
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        Module made = { library, NULL, NULL };
        if (library) {
            made.run = (Run)dlsym(library, "segc_mock_run");
            made.arity = (int (*)(const char *))dlsym(library, "segc_mock_arity");
        }
        if (made.run && made.arity) {
            *module = malloc(sizeof(Module));
            **module = made;
            note("module", "loaded");
            code = SUCCESS;
        }
    }
    if (file >= 0) {
        close(file);
        unlink(path);
    }
})

Code cuModuleUnload(Module *module) LOCKED({
    code = forbidden() ? CAPTURE_UNSUPPORTED : SUCCESS;
    flush_all();
    dlclose(module->library);
    free(module);
})

Code cuModuleGetFunction(Function **function, Module *module, const char *name) LOCKED({
    int arity = module->arity(name);
    if (arity < 0 || arity > MOST) {
        code = NOT_FOUND;
    } else {
        *function = malloc(sizeof(Function));
        **function = (Function){ functions, module, strdup(name), arity };
        functions = *function;
    }
})

Code cuFuncSetAttribute(Function *function, int which, int value) {
    return function && which == 8 && value <= 232448 ? SUCCESS : INVALID_VALUE;
}

Code cuLaunchKernel(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, Stream *s,
                    void **pointers, void **extra) LOCKED({
    int sized = gx && gy && gz && bx && by && bz && (unsigned long long)bx * by * bz <= 1024 && gy <= 65535 && gz <= 65535;
    NEEDS_CONTEXT if (!sized || extra || gx > 0x7fffffffu) {
        if (s->recording) {
            s->broken = 1;
        }
        code = INVALID_VALUE;
    } else {
        Deed deed = { .kind = LAUNCH, .function = f, .grid = { gx, gy, gz }, .block = { bx, by, bz }, .shared = shared };
        for (int i = 0; i < f->arity; i++) {
            deed.pointers[i] = *(void **)pointers[i];
        }
        note(s->recording ? "record" : "launch", f->name);
        code = ask(s, deed);
    }
})

Code cuGraphInstantiateWithFlags(Graph **executable, Graph *graph, unsigned long long flags) LOCKED({
    Graph *copy = calloc(1, sizeof(Graph));
    for (size_t i = 0; i < graph->list.count; i++) {
        push(&copy->list, graph->list.deeds[i]);
    }
    *executable = copy;
    code = flags ? INVALID_VALUE : SUCCESS;
})

Code cuGraphUpload(Graph *executable, Stream *s) {
    return executable && s ? SUCCESS : INVALID_HANDLE;
}

Code cuGraphLaunch(Graph *executable, Stream *s) LOCKED({
    NEEDS_CONTEXT if (s->recording) {
        s->broken = 1;
        code = CAPTURE_UNSUPPORTED;
    } else {
        note("graph", "launched");
        for (size_t i = 0; i < executable->list.count; i++) {
            push(&s->queue, executable->list.deeds[i]);
        }
    }
})

Code cuGraphExecDestroy(Graph *executable) LOCKED({
    flush_all();
    free(executable->list.deeds);
    free(executable);
})

Code cuGraphDestroy(Graph *graph) LOCKED({
    free(graph->list.deeds);
    free(graph);
})
