// A stand-in for libcudnn.so, for tests: plain loops, on the stream of the stand-in for the driver. Its answers begin with an algorithm
// that is not deterministic and one by Winograd's transform, which strict programs leave alone. It refuses windows of other sizes than
// the picture gives, groups that do not divide, and a workspace that is too small.
//
// SEGC_MOCK_CUDNN=refuse: no algorithm is found; =start: no handle is made. SEGC_MOCK_LOG gets `call cudnn forward MATH ALGORITHM` and
// `call cudnn back ..` (`record ..` while a graph is recorded).
#include "library.h"

enum { SUCCESS = 0, NOT_INITIALIZED = 1001, BAD_PARAM = 2000, NOT_SUPPORTED = 3000 };
enum { TENSOR_OP = 1, FMA = 3, ROOM = 4096 };

typedef struct { void *stream; } Handle;
typedef struct { int n, c, h, w; } Shape;
typedef struct { int pad[2], stride[2], dilation[2], mode, type, groups, math; } Slide;
typedef struct { int algorithm, status; float time; size_t memory; int determinism, math, reserved[3]; } Answer;

typedef struct {
    Shape x, w, y;
    Slide slide;
    const float *from, *weight;
    float *to, alpha, beta;
    unsigned char *room;
    size_t bytes;
} Work;

size_t cudnnGetVersion(void) {
    return 91002;
}

int cudnnCreate(Handle **made) {
    if (set("SEGC_MOCK_CUDNN", "start") || records()) {
        return NOT_INITIALIZED;
    }
    *made = calloc(1, sizeof(Handle));
    return SUCCESS;
}

int cudnnDestroy(Handle *made) {
    free(made);
    return SUCCESS;
}

int cudnnSetStream(Handle *made, void *stream) {
    made->stream = stream;
    return stream ? SUCCESS : BAD_PARAM;
}

int cudnnCreateTensorDescriptor(Shape **made) {
    *made = calloc(1, sizeof(Shape));
    return SUCCESS;
}

int cudnnSetTensor4dDescriptor(Shape *made, int format, int type, int n, int c, int h, int w) {
    *made = (Shape){ n, c, h, w };
    return format == 0 && type == 0 && n > 0 && c > 0 && h > 0 && w > 0 ? SUCCESS : BAD_PARAM;
}

int cudnnDestroyTensorDescriptor(Shape *made) {
    free(made);
    return SUCCESS;
}

int cudnnCreateFilterDescriptor(Shape **made) {
    return cudnnCreateTensorDescriptor(made);
}

int cudnnSetFilter4dDescriptor(Shape *made, int type, int format, int k, int c, int h, int w) {
    return cudnnSetTensor4dDescriptor(made, format, type, k, c, h, w);
}

int cudnnDestroyFilterDescriptor(Shape *made) {
    return cudnnDestroyTensorDescriptor(made);
}

int cudnnCreateConvolutionDescriptor(Slide **made) {
    *made = calloc(1, sizeof(Slide));
    return SUCCESS;
}

int cudnnSetConvolution2dDescriptor(Slide *made, int pad_h, int pad_w, int u, int v, int dilation_h, int dilation_w, int mode, int type) {
    *made = (Slide){ { pad_h, pad_w }, { u, v }, { dilation_h, dilation_w }, mode, type, 1, 0 };
    int sized = pad_h >= 0 && pad_w >= 0 && u > 0 && v > 0 && dilation_h > 0 && dilation_w > 0;
    return sized && mode == 1 && type == 0 ? SUCCESS : BAD_PARAM;
}

int cudnnSetConvolutionGroupCount(Slide *made, int groups) {
    made->groups = groups;
    return groups > 0 ? SUCCESS : BAD_PARAM;
}

int cudnnSetConvolutionMathType(Slide *made, int math) {
    made->math = math;
    return math >= 0 && math <= 3 ? SUCCESS : BAD_PARAM;
}

int cudnnDestroyConvolutionDescriptor(Slide *made) {
    free(made);
    return SUCCESS;
}

static int windows(int size, int taps, const Slide *s, int axis) {
    int room = size + 2 * s->pad[axis] - s->dilation[axis] * (taps - 1) - 1;
    return room < 0 ? 0 : room / s->stride[axis] + 1;
}

static int fits(const Shape *x, const Shape *w, const Slide *s, const Shape *y) {
    return x->n == y->n && x->c == w->c * s->groups && w->n == y->c && w->n % s->groups == 0
        && y->h == windows(x->h, w->h, s, 0) && y->w == windows(x->w, w->w, s, 1);
}

// Neither the first nor, for strict programs, the second is what is wanted.
static int answer(const int *algorithms, int math, int asked, int *count, Answer *answers) {
    *count = 0;
    if (set("SEGC_MOCK_CUDNN", "refuse")) {
        return NOT_SUPPORTED;
    }
    for (int i = 0; i < 3 && i < asked; i++) {
        answers[i] = (Answer){ algorithms[i], SUCCESS, -1.0f, ROOM, i > 0, math, { 0 } };
        *count = i + 1;
    }
    return SUCCESS;
}

int cudnnGetConvolutionForwardAlgorithm_v7(Handle *handle, const Shape *x, const Shape *w, const Slide *s, const Shape *y, int asked,
                                           int *count, Answer *answers) {
    static const int algorithms[] = { 0, 6, 1 };
    return handle && !records() && fits(x, w, s, y) ? answer(algorithms, s->math, asked, count, answers) : BAD_PARAM;
}

int cudnnGetConvolutionForwardWorkspaceSize(Handle *handle, const Shape *x, const Shape *w, const Slide *s, const Shape *y, int algorithm,
                                            size_t *bytes) {
    *bytes = algorithm == 0 ? 0 : ROOM;
    return handle && fits(x, w, s, y) ? SUCCESS : BAD_PARAM;
}

int cudnnGetConvolutionBackwardDataAlgorithm_v7(Handle *handle, const Shape *w, const Shape *y, const Slide *s, const Shape *x, int asked,
                                                int *count, Answer *answers) {
    static const int algorithms[] = { 0, 4, 1 };
    return handle && !records() && fits(x, w, s, y) ? answer(algorithms, s->math, asked, count, answers) : BAD_PARAM;
}

int cudnnGetConvolutionBackwardDataWorkspaceSize(Handle *handle, const Shape *w, const Shape *y, const Slide *s, const Shape *x,
                                                 int algorithm, size_t *bytes) {
    *bytes = algorithm == 0 ? 0 : ROOM;
    return handle && fits(x, w, s, y) ? SUCCESS : BAD_PARAM;
}

static size_t elements(const Shape *s) {
    return (size_t)s->n * s->c * s->h * s->w;
}

// Where a tap of a window lies in a row or column of the picture; -1 outside.
static int place(const Slide *s, int axis, int window, int tap, int size) {
    int at = window * s->stride[axis] + tap * s->dilation[axis] - s->pad[axis];
    return at < size ? at : -1;
}

static float read_as(const Work *w, float x) {
    return w->slide.math == FMA ? x : tf32(x);
}

// Goes through all pairs of a pixel and a window that see each other; `sums` has an element for each of the result.
static void walk(const Work *w, int back, double *sums) {
    int own = w->w.n / w->slide.groups;
    for (int n = 0; n < w->y.n; n++)
    for (int o = 0; o < w->y.c; o++)
    for (int p = 0; p < w->y.h * w->y.w; p++)
    for (int c = 0; c < w->w.c; c++)
    for (int t = 0; t < w->w.h * w->w.w; t++) {
        int row = place(&w->slide, 0, p / w->y.w, t / w->w.w, w->x.h), column = place(&w->slide, 1, p % w->y.w, t % w->w.w, w->x.w);
        if (row < 0 || column < 0) {
            continue;
        }
        size_t pixel = (((size_t)n * w->x.c + o / own * w->w.c + c) * w->x.h + row) * w->x.w + column;
        size_t window = ((size_t)n * w->y.c + o) * w->y.h * w->y.w + p;
        double tap = read_as(w, w->weight[((size_t)o * w->w.c + c) * w->w.h * w->w.w + t]);
        sums[back ? pixel : window] += tap * read_as(w, w->from[back ? window : pixel]);
    }
}

static int convolve(const Work *w, int back) {
    const Shape *from = back ? &w->y : &w->x, *to = back ? &w->x : &w->y;
    if (!owned(w->from, 4 * elements(from)) || !owned(w->weight, 4 * elements(&w->w)) || !owned(w->to, 4 * elements(to))
        || !owned(w->room, w->bytes)) {
        return 1;
    }
    memset(w->room, 0xFF, w->bytes);
    double *sums = calloc(elements(to), sizeof(double));
    walk(w, back, sums);
    for (size_t i = 0; i < elements(to); i++) {
        w->to[i] = w->alpha * (float)sums[i] + (w->beta == 0.0f ? 0.0f : w->beta * w->to[i]);
    }
    free(sums);
    return 0;
}

static int forward(const void *work) {
    return convolve(work, 0);
}

static int backward(const void *work) {
    return convolve(work, 1);
}

static int ask(Handle *handle, const char *way, int algorithm, Body body, const Work *w) {
    int aligned = !((uintptr_t)w->from % 16 || (uintptr_t)w->weight % 16 || (uintptr_t)w->to % 16);
    size_t room = algorithm == 0 ? 0 : ROOM;
    if (!handle || !aligned || !fits(&w->x, &w->w, &w->slide, &w->y) || w->bytes < room || (room && !w->room)) {
        return BAD_PARAM;
    }
    char name[128];
    snprintf(name, sizeof name, "cudnn %s %d %d", way, w->slide.math, algorithm);
    return put(handle->stream, name, body, w, sizeof *w) ? BAD_PARAM : SUCCESS;
}

int cudnnConvolutionForward(Handle *handle, const float *alpha, const Shape *x, const float *from, const Shape *w, const float *weight,
                            const Slide *s, int algorithm, void *room, size_t bytes, const float *beta, const Shape *y, float *to) {
    Work work = { *x, *w, *y, *s, from, weight, to, *alpha, *beta, room, bytes };
    return ask(handle, "forward", algorithm, forward, &work);
}

int cudnnConvolutionBackwardData(Handle *handle, const float *alpha, const Shape *w, const float *weight, const Shape *y, const float *from,
                                 const Slide *s, int algorithm, void *room, size_t bytes, const float *beta, const Shape *x, float *to) {
    Work work = { *x, *w, *y, *s, from, weight, to, *alpha, *beta, room, bytes };
    return ask(handle, "back", algorithm, backward, &work);
}
