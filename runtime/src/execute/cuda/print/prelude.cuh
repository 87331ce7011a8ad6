// What every printed program begins with. The C subset of CUDA C: with `KERNEL`, `INSIDE` and the built-in names given, it is C.

#ifdef __CUDACC__
// Not every program calls every function.
#pragma nv_diag_suppress 177
// One block to a processor is enough: with that, nothing that a thread holds is put aside into memory.
#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads, 1)
#define INSIDE static __device__ __forceinline__
#else
#define KERNEL(threads) void
#define INSIDE static inline
#endif

#define SEGC_FROM_BITS(bits) __uint_as_float(bits)

// e to the power of x: x = n ln 2 + r with ln 2 in two parts (Cody & Waite 1980), the power of r as a polynomial (Moshier's Cephes),
// that of two by its bits. Beyond the bounds the result is infinite or zero all the same.
INSIDE float segc_power_of_two(int n)
{
    return __uint_as_float((unsigned)(n + 127) << 23);
}

INSIDE float segc_expf(float x)
{
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    const float shifted = fmaf(x, 1.44269504f, 12582912.0f);
    const float n = shifted - 12582912.0f;
    const float r = fmaf(n, 2.1219444e-4f, fmaf(n, -0.6933594f, x));
    float p = fmaf(fmaf(fmaf(1.9875691e-4f, r, 1.3981999e-3f), r, 8.333452e-3f), r, 4.1665796e-2f);
    p = fmaf(fmaf(p, r, 1.6666665e-1f), r, 5e-1f);
    p = fmaf(__fmul_rn(p, r), r, r) + 1.0f;
    const int power = (int)(__float_as_uint(shifted) - __float_as_uint(12582912.0f));
    const int half = power >> 1;
    // NaN has no power: its bits would shift out of range.
    return x != x ? x : p * segc_power_of_two(half) * segc_power_of_two(power - half);
}

// Near zero a polynomial (Cephes), elsewhere by the exponential.
INSIDE float segc_tanhf(float x)
{
    const float square = __fmul_rn(x, x);
    float p = fmaf(fmaf(-5.7049887e-3f, square, 2.063909e-2f), square, -5.3739716e-2f);
    p = fmaf(fmaf(p, square, 1.3331442e-1f), square, -3.333328e-1f);
    const float near = fmaf(__fmul_rn(p, square), x, x);
    const float far = copysignf(1.0f - 2.0f / (segc_expf(2.0f * fabsf(x)) + 1.0f), x);
    return fabsf(x) < 0.625f ? near : far;
}

INSIDE float segc_sigmoidf(float x)
{
    return 1.0f / (1.0f + segc_expf(-x));
}

// ln(1 + exp(x)): with t = exp(-|x|) it is max(x, 0) + ln(1 + t), and ln(1 + t) = 2 artanh(t / (2 + t)) as a series.
INSIDE float segc_softplusf(float x)
{
    const float t = segc_expf(-fabsf(x));
    const float s = t / (2.0f + t);
    const float z = __fmul_rn(s, s);
    float p = fmaf(fmaf(2.0f / 13.0f, z, 2.0f / 11.0f), z, 2.0f / 9.0f);
    p = fmaf(fmaf(fmaf(p, z, 2.0f / 7.0f), z, 2.0f / 5.0f), z, 2.0f / 3.0f);
    return fmaf(__fmul_rn(p, z), s, 2.0f * s) + (x > 0.0f ? x : 0.0f);
}

INSIDE float segc_signf(float x)
{
    return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
}

INSIDE float segc_modulof(float a, float b)
{
    return a - __fmul_rn(b, floorf(a / b));
}

// Of two numbers NaN wins.
INSIDE float segc_maximumf(float a, float b)
{
    return a != a || a >= b ? a : b;
}

INSIDE float segc_minimumf(float a, float b)
{
    return a != a || a <= b ? a : b;
}

INSIDE double segc_sum(double a, double b)
{
    return a + b;
}

INSIDE double segc_maximum(double a, double b)
{
    return a != a || a >= b ? a : b;
}

INSIDE double segc_minimum(double a, double b)
{
    return a != a || a <= b ? a : b;
}

INSIDE int segc_is_finite(float x)
{
    return (__float_as_uint(x) & 0x7f800000u) != 0x7f800000u;
}

// The place that an index means on an axis: rounded down, one outside is the nearest end.
INSIDE unsigned segc_meant(float index, unsigned size)
{
    return !(index >= 0.0f) ? 0u : (double)index >= (double)size ? size - 1u : (unsigned)index;
}

// Sets the flag if a chunk holds anything that is not finite. A chunk is the two words of its start and the number of its elements.
KERNEL(256) segc_guard(const float *__restrict__ arena, const unsigned *__restrict__ chunks, unsigned *flag)
{
    const unsigned *chunk = chunks + 3u * blockIdx.x;
    const float *from = arena + (((unsigned long long)chunk[1] << 32) + chunk[0]);
    int fine = 1;
    for (unsigned i = threadIdx.x; i < chunk[2]; i += 256u) {
        fine = fine && segc_is_finite(from[i]);
    }
    if (!fine) {
        flag[0] = 1u;
    }
}
