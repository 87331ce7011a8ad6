
// Random draws with the bits of the cpu (segc_compiler::rng): Philox4x32-10, keyed by the seed and the path, counted by the place.

typedef struct {
    unsigned key[2], place[3];
} segc_stream;

typedef struct {
    unsigned word[4];
} segc_words;

INSIDE segc_words segc_philox(segc_words c, unsigned first, unsigned second)
{
    for (int round = 0; round < 10; ++round) {
        const unsigned long long a = (unsigned long long)c.word[0] * 0xD2511F53ull;
        const unsigned long long b = (unsigned long long)c.word[2] * 0xCD9E8D57ull;
        const segc_words next = {{(unsigned)(b >> 32) ^ c.word[1] ^ first, (unsigned)b, (unsigned)(a >> 32) ^ c.word[3] ^ second, (unsigned)a}};
        c = next;
        first += 0x9E3779B9u;
        second += 0xBB67AE85u;
    }
    return c;
}

// The stream of a draw from the clock, the two parts of the sample's number, and the path's length and bytes.
INSIDE segc_stream segc_stream_at(const float *clock, float low, float high, const unsigned *path)
{
    unsigned long long hash = 0xcbf29ce484222325ull;
    for (int part = 0; part < 4; ++part) {
        const unsigned both = (unsigned)clock[part];
        hash = (hash ^ (both & 255u)) * 0x100000001b3ull;
        hash = (hash ^ (both >> 8 & 255u)) * 0x100000001b3ull;
    }
    for (unsigned n = 1u; n <= path[0]; ++n) {
        hash = (hash ^ path[n]) * 0x100000001b3ull;
    }
    hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9ull;
    hash = (hash ^ hash >> 27) * 0x94d049bb133111ebull;
    hash = hash ^ hash >> 31;
    const unsigned sample = (unsigned)high << 16 | (unsigned)low;
    const unsigned step = (unsigned)clock[7] << 16 | (unsigned)clock[6];
    const segc_stream stream = {{(unsigned)hash, (unsigned)(hash >> 32)}, {sample, step, (unsigned)clock[4] << 16 | (unsigned)clock[5]}};
    return stream;
}

INSIDE segc_words segc_block(segc_stream stream, unsigned block)
{
    const segc_words counter = {{block, stream.place[0], stream.place[1], stream.place[2]}};
    return segc_philox(counter, stream.key[0], stream.key[1]);
}

INSIDE float segc_uniform(segc_stream stream, unsigned index)
{
    const segc_words words = segc_block(stream, index / 4u);
    return (float)(words.word[index % 4u] >> 8) * (1.0f / 16777216.0f);
}

// Functions of segc_compiler::rng::exact: additions, multiplications and divisions in one order, none of them fused.

INSIDE double segc_ln(double x)
{
    const unsigned long long bits = (unsigned long long)__double_as_longlong(x), mantissa = bits & 0x000fffffffffffffull;
    const unsigned long long above = mantissa >= 0x6a09e667f3bcdull ? 1ull : 0ull;
    const double k = (double)((int)(bits >> 52) - 1023 + (int)above);
    const double m = __longlong_as_double((long long)(mantissa | (1023ull - above) << 52));
    const double s = (m - 1.0) / (m + 1.0);
    const double z = __dmul_rn(s, s);
    double rest = 2.0 / 23.0;
    rest = __dadd_rn(__dmul_rn(rest, z), 2.0 / 21.0);
    rest = __dadd_rn(__dmul_rn(rest, z), 2.0 / 19.0);
    rest = __dadd_rn(__dmul_rn(rest, z), 2.0 / 17.0);
    rest = __dadd_rn(__dmul_rn(rest, z), 2.0 / 15.0);
    rest = __dadd_rn(__dmul_rn(rest, z), 2.0 / 13.0);
    rest = __dadd_rn(__dmul_rn(rest, z), 2.0 / 11.0);
    rest = __dadd_rn(__dmul_rn(rest, z), 2.0 / 9.0);
    rest = __dadd_rn(__dmul_rn(rest, z), 2.0 / 7.0);
    rest = __dadd_rn(__dmul_rn(rest, z), 2.0 / 5.0);
    rest = __dadd_rn(__dmul_rn(rest, z), 2.0 / 3.0);
    const double low = __dadd_rn(__dmul_rn(__dmul_rn(s, z), rest), __dmul_rn(k, 1.9082149292705877e-10));
    return __dadd_rn(__dmul_rn(k, 0.6931471803691238), __dadd_rn(__dmul_rn(2.0, s), low));
}

INSIDE double segc_two_to(int n)
{
    return __longlong_as_double((long long)(n + 1023) << 52);
}

INSIDE double segc_exp(double x)
{
    x = x < -800.0 ? -800.0 : x > 800.0 ? 800.0 : x;
    const double n = __dadd_rn(__dadd_rn(__dmul_rn(x, 1.4426950408889634), 6755399441055744.0), -6755399441055744.0);
    const double r = __dadd_rn(__dadd_rn(x, -__dmul_rn(n, 0.6931471803691238)), -__dmul_rn(n, 1.9082149292705877e-10));
    double series = 1.0 / 87178291200.0;
    series = __dadd_rn(__dmul_rn(series, r), 1.0 / 6227020800.0);
    series = __dadd_rn(__dmul_rn(series, r), 1.0 / 479001600.0);
    series = __dadd_rn(__dmul_rn(series, r), 1.0 / 39916800.0);
    series = __dadd_rn(__dmul_rn(series, r), 1.0 / 3628800.0);
    series = __dadd_rn(__dmul_rn(series, r), 1.0 / 362880.0);
    series = __dadd_rn(__dmul_rn(series, r), 1.0 / 40320.0);
    series = __dadd_rn(__dmul_rn(series, r), 1.0 / 5040.0);
    series = __dadd_rn(__dmul_rn(series, r), 1.0 / 720.0);
    series = __dadd_rn(__dmul_rn(series, r), 1.0 / 120.0);
    series = __dadd_rn(__dmul_rn(series, r), 1.0 / 24.0);
    series = __dadd_rn(__dmul_rn(series, r), 1.0 / 6.0);
    series = __dadd_rn(__dmul_rn(series, r), 1.0 / 2.0);
    series = __dadd_rn(__dmul_rn(series, r), 1.0);
    series = __dadd_rn(__dmul_rn(series, r), 1.0);
    const int whole = (int)n, half = whole >> 1;
    return __dmul_rn(__dmul_rn(series, segc_two_to(half)), segc_two_to(whole - half));
}

// The sine, or else the cosine, of the part v / 2^32 of a turn.
INSIDE double segc_sin_cos_turn(unsigned v, int is_sine)
{
    const unsigned quarter = (v + (1u << 29)) >> 30;
    const double left = __dmul_rn((double)(int)(v - (quarter << 30)), 1.0 / 4294967296.0);
    const double x = __dmul_rn(left, 6.283185307179586);
    const double z = __dmul_rn(x, x);
    double sine = 1.0 / 355687428096000.0;
    sine = __dadd_rn(__dmul_rn(sine, z), -1.0 / 1307674368000.0);
    sine = __dadd_rn(__dmul_rn(sine, z), 1.0 / 6227020800.0);
    sine = __dadd_rn(__dmul_rn(sine, z), -1.0 / 39916800.0);
    sine = __dadd_rn(__dmul_rn(sine, z), 1.0 / 362880.0);
    sine = __dadd_rn(__dmul_rn(sine, z), -1.0 / 5040.0);
    sine = __dadd_rn(__dmul_rn(sine, z), 1.0 / 120.0);
    sine = __dadd_rn(__dmul_rn(sine, z), -1.0 / 6.0);
    sine = __dadd_rn(__dmul_rn(sine, z), 1.0);
    sine = __dmul_rn(x, sine);
    double cosine = -1.0 / 6402373705728000.0;
    cosine = __dadd_rn(__dmul_rn(cosine, z), 1.0 / 20922789888000.0);
    cosine = __dadd_rn(__dmul_rn(cosine, z), -1.0 / 87178291200.0);
    cosine = __dadd_rn(__dmul_rn(cosine, z), 1.0 / 479001600.0);
    cosine = __dadd_rn(__dmul_rn(cosine, z), -1.0 / 3628800.0);
    cosine = __dadd_rn(__dmul_rn(cosine, z), 1.0 / 40320.0);
    cosine = __dadd_rn(__dmul_rn(cosine, z), -1.0 / 720.0);
    cosine = __dadd_rn(__dmul_rn(cosine, z), 1.0 / 24.0);
    cosine = __dadd_rn(__dmul_rn(cosine, z), -1.0 / 2.0);
    cosine = __dadd_rn(__dmul_rn(cosine, z), 1.0);
    // By a quarter of a turn the sine becomes the cosine, the cosine minus the sine.
    const double one = ((quarter & 1u) != 0u) == (is_sine == 0) ? sine : cosine;
    const int minus = is_sine ? (quarter & 2u) != 0u : ((quarter + 1u) & 2u) != 0u;
    return minus ? -one : one;
}

// The number of a pair, `sqrt(-2 ln u)` times the cosine or the sine of `2 pi v`.
INSIDE double segc_normal_of(unsigned first, unsigned second, unsigned odd)
{
    const double u = __dmul_rn((double)first + 1.0, 2.3283064365386963e-10);
    const double radius = sqrt(__dmul_rn(-2.0, segc_ln(u)));
    return __dmul_rn(radius, segc_sin_cos_turn(second, odd != 0u));
}

INSIDE float segc_normal(segc_stream stream, unsigned index)
{
    const segc_words words = segc_block(stream, index / 4u);
    const unsigned pair = index & 2u;
    return (float)segc_normal_of(words.word[pair], words.word[pair + 1u], index & 1u);
}

// A whole number below `count` by Lemire's method; `spare` is 2^64 modulo `count`.
INSIDE float segc_integer(segc_stream stream, unsigned index, unsigned long long count, unsigned long long spare)
{
    segc_words words = segc_block(stream, index);
    for (;;) {
        for (int half = 0; half < 4; half += 2) {
            const unsigned long long drawn = (unsigned long long)words.word[half + 1] << 32 | words.word[half];
            if (drawn * count >= spare) {
                return (float)__umul64hi(drawn, count);
            }
        }
        words = segc_philox(words, stream.key[0], stream.key[1]);
    }
}

INSIDE unsigned long long segc_order_key(segc_stream stream, unsigned element)
{
    const segc_words words = segc_block(stream, element / 2u);
    const unsigned half = 2u * (element % 2u);
    return (unsigned long long)words.word[half + 1u] << 32 | words.word[half];
}

INSIDE double segc_open(unsigned word)
{
    return __dmul_rn((double)word + 0.5, 2.3283064365386963e-10);
}

// The logarithm of a gamma number (Marsaglia and Tsang, "A simple method for generating gamma variables", 2000).
INSIDE double segc_log_gamma(segc_stream stream, unsigned block, double shape)
{
    segc_words words = segc_block(stream, block);
    const double d = (shape < 1.0 ? shape + 1.0 : shape) - 1.0 / 3.0;
    for (;;) {
        const double normal = segc_normal_of(words.word[0], words.word[1], 0u);
        const double t = 1.0 + normal / sqrt(__dmul_rn(9.0, d));
        const double v = __dmul_rn(__dmul_rn(t, t), t);
        if (v > 0.0) {
            const double gauss = __dmul_rn(__dmul_rn(0.5, normal), normal);
            const double bound = __dadd_rn(__dadd_rn(__dadd_rn(gauss, d), -__dmul_rn(d, v)), __dmul_rn(d, segc_ln(v)));
            if (segc_ln(segc_open(words.word[2])) < bound) {
                const double boost = shape < 1.0 ? segc_ln(segc_open(words.word[3])) / shape : 0.0;
                return segc_ln(__dmul_rn(d, v)) + boost;
            }
        }
        words = segc_philox(words, stream.key[0], stream.key[1]);
    }
}

INSIDE float segc_beta(segc_stream stream, unsigned index, double a, double b)
{
    const double x = segc_log_gamma(stream, 2u * index, a);
    const double y = segc_log_gamma(stream, 2u * index + 1u, b);
    return (float)(1.0 / (1.0 + segc_exp(y - x)));
}
