// A stand-in for libcublasLt.so, for tests: plain loops, on the stream of the stand-in for the driver. It refuses what the library
// refuses: layouts that do not fit each other, algorithms that no heuristic gave, places less aligned than was promised, a workspace that
// is too small.
//
// SEGC_MOCK_CUBLASLT=refuse: no algorithm is found; =start: no handle is made. SEGC_MOCK_LOG gets `call cublaslt COMPUTE ROWSxCOLUMNSxDEPTH
// BATCHES` (`record ..` while a graph is recorded).
#include "library.h"

enum { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum { FLOAT = 0, F32 = 68, FAST_BF16 = 75, FAST_TF32 = 77, MAGIC = 0x5e6c, MOST = 64 };

typedef struct { int compute, scale, turned[2]; } Description;
typedef struct { int type, batches; uint64_t rows, columns; int64_t apart, step; } Layout;
typedef struct { uint64_t workspace; uint32_t joins, aligned[4]; } Preference;
typedef struct { uint64_t magic, workspace; uint32_t aligned[4]; uint64_t spare[4]; } Algorithm;
typedef struct { Algorithm algorithm; size_t workspace; int state; float waves; int reserved[4]; } Answer;

typedef struct {
    Description what;
    Layout a, b, c, d;
    const float *left, *right, *old;
    float *to, alpha, beta;
    unsigned char *room;
    size_t bytes;
} Work;

static int handles;

size_t cublasLtGetVersion(void) {
    return 130101;
}

int cublasLtCreate(void **handle) {
    if (set("SEGC_MOCK_CUBLASLT", "start") || records()) {
        return NOT_INITIALIZED;
    }
    *handle = &handles;
    return SUCCESS;
}

int cublasLtDestroy(void *handle) {
    return handle == &handles ? SUCCESS : INVALID_VALUE;
}

int cublasLtMatmulDescCreate(Description **made, int compute, int scale) {
    *made = malloc(sizeof **made);
    **made = (Description){ compute, scale, { 0, 0 } };
    return SUCCESS;
}

int cublasLtMatmulDescSetAttribute(Description *made, int which, const int *value, size_t bytes) {
    if ((which != 3 && which != 4) || bytes != 4 || *value < 0 || *value > 1) {
        return INVALID_VALUE;
    }
    made->turned[which - 3] = *value;
    return SUCCESS;
}

int cublasLtMatmulDescDestroy(Description *made) {
    free(made);
    return SUCCESS;
}

int cublasLtMatrixLayoutCreate(Layout **made, int type, uint64_t rows, uint64_t columns, int64_t apart) {
    *made = malloc(sizeof **made);
    **made = (Layout){ type, 1, rows, columns, apart, 0 };
    return SUCCESS;
}

int cublasLtMatrixLayoutSetAttribute(Layout *made, int which, const void *value, size_t bytes) {
    if (which == 5 && bytes == 4) {
        memcpy(&made->batches, value, 4);
    } else if (which == 6 && bytes == 8) {
        memcpy(&made->step, value, 8);
    } else {
        return INVALID_VALUE;
    }
    return SUCCESS;
}

int cublasLtMatrixLayoutDestroy(Layout *made) {
    free(made);
    return SUCCESS;
}

int cublasLtMatmulPreferenceCreate(Preference **made) {
    *made = malloc(sizeof **made);
    **made = (Preference){ 0, 7, { 256, 256, 256, 256 } };
    return SUCCESS;
}

int cublasLtMatmulPreferenceSetAttribute(Preference *made, int which, const void *value, size_t bytes) {
    if (which == 1 && bytes == 8) {
        memcpy(&made->workspace, value, 8);
    } else if (which == 3 && bytes == 4) {
        memcpy(&made->joins, value, 4);
    } else if (which >= 5 && which <= 8 && bytes == 4) {
        memcpy(&made->aligned[which - 5], value, 4);
    } else {
        return INVALID_VALUE;
    }
    return SUCCESS;
}

int cublasLtMatmulPreferenceDestroy(Preference *made) {
    free(made);
    return SUCCESS;
}

static int lies(const Layout *l) {
    return l->type == FLOAT && l->rows && l->columns && l->apart >= (int64_t)l->rows && l->batches > 0 && l->step >= 0;
}

static uint64_t high(const Layout *l, int turned) {
    return turned ? l->columns : l->rows;
}

static int fits(const Description *what, const Layout *a, const Layout *b, const Layout *c, const Layout *d) {
    const Layout *all[] = { a, b, c, d };
    for (int i = 0; i < 4; i++) {
        if (!lies(all[i]) || all[i]->batches != a->batches) {
            return 0;
        }
    }
    int computes = what->compute == F32 || what->compute == FAST_BF16 || what->compute == FAST_TF32;
    uint64_t depth = high(a, !what->turned[0]);
    return computes && what->scale == FLOAT && depth == high(b, what->turned[1]) && d->rows == high(a, what->turned[0])
        && d->columns == high(b, !what->turned[1]) && c->rows == d->rows && c->columns == d->columns;
}

int cublasLtMatmulAlgoGetHeuristic(void *handle, const Description *what, const Layout *a, const Layout *b, const Layout *c,
                                   const Layout *d, const Preference *wish, int asked, Answer *answers, int *count) {
    *count = 0;
    // Sums whose parts meet in the result were forbidden.
    if (handle != &handles || asked < 1 || records() || !fits(what, a, b, c, d) || wish->joins != 2) {
        return INVALID_VALUE;
    }
    if (set("SEGC_MOCK_CUBLASLT", "refuse")) {
        return NOT_SUPPORTED;
    }
    uint64_t depth = high(a, !what->turned[0]), room = depth >= MOST ? 4 * d->rows * d->columns : 0;
    room = room < wish->workspace ? room : wish->workspace;
    *answers = (Answer){ .algorithm = { .magic = MAGIC, .workspace = room }, .workspace = room, .state = SUCCESS, .waves = 1.0f };
    memcpy(answers->algorithm.aligned, wish->aligned, sizeof wish->aligned);
    *count = 1;
    return SUCCESS;
}

static const float *at(const float *from, const Layout *l, int batch, uint64_t row, uint64_t column, int turned) {
    return from + (int64_t)batch * l->step + (turned ? row * (uint64_t)l->apart + column : column * (uint64_t)l->apart + row);
}

// Elements from the first to behind the last.
static size_t extent(const Layout *l) {
    return (size_t)(l->step * (l->batches - 1)) + (size_t)l->apart * (l->columns - 1) + l->rows;
}

static int multiply(const void *work) {
    const Work *w = work;
    int left = w->what.turned[0], right = w->what.turned[1];
    if (!owned(w->left, 4 * extent(&w->a)) || !owned(w->right, 4 * extent(&w->b)) || !owned(w->to, 4 * extent(&w->d))
        || !owned(w->room, w->bytes)) {
        return 1;
    }
    memset(w->room, 0xFF, w->bytes);
    for (int batch = 0; batch < w->d.batches; batch++) {
        for (uint64_t column = 0; column < w->d.columns; column++) {
            for (uint64_t row = 0; row < w->d.rows; row++) {
                double sum = 0.0;
                for (uint64_t i = 0; i < high(&w->a, !left); i++) {
                    float x = *at(w->left, &w->a, batch, row, i, left), y = *at(w->right, &w->b, batch, i, column, right);
                    if (w->what.compute == FAST_TF32) {
                        x = tf32(x), y = tf32(y);
                    } else if (w->what.compute == FAST_BF16) {
                        x = bf16(x), y = bf16(y);
                    }
                    sum += (double)x * y;
                }
                float *to = (float *)at(w->to, &w->d, batch, row, column, 0);
                *to = w->alpha * (float)sum + (w->beta == 0.0f ? 0.0f : w->beta * *at(w->old, &w->c, batch, row, column, 0));
            }
        }
    }
    return 0;
}

int cublasLtMatmul(void *handle, const Description *what, const float *alpha, const float *left, const Layout *a, const float *right,
                   const Layout *b, const float *beta, const float *old, const Layout *c, float *to, const Layout *d,
                   const Algorithm *algorithm, void *room, size_t bytes, void *stream) {
    const void *places[] = { left, right, old, to };
    if (handle != &handles || !fits(what, a, b, c, d) || !algorithm || algorithm->magic != MAGIC || bytes < algorithm->workspace
        || (algorithm->workspace && ((uintptr_t)room % 16 || !room))) {
        return INVALID_VALUE;
    }
    for (int i = 0; i < 4; i++) {
        if (!places[i] || (uintptr_t)places[i] % algorithm->aligned[i]) {
            return INVALID_VALUE;
        }
    }
    Work work = { *what, *a, *b, *c, *d, left, right, old, to, *alpha, *beta, room, algorithm->workspace };
    char name[128];
    snprintf(name, sizeof name, "cublaslt %d %dx%dx%d %d", what->compute, (int)d->rows, (int)d->columns,
             (int)high(a, !what->turned[0]), d->batches);
    return put(stream, name, multiply, &work, sizeof work) ? INVALID_VALUE : SUCCESS;
}
