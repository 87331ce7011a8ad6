__shared__ __align__(16) float left[$DEEP$][$HIGH$ + 4];
__shared__ __align__(16) float right[$DEEP$][$WIDE$ + 4];
const unsigned thread = threadIdx.x;
const unsigned part = blockIdx.x % $PARTS$u, tile = blockIdx.x / $PARTS$u;
const index_t column = (index_t)(tile % $ACROSS$u) * $WIDE$u;
const index_t row = (index_t)(tile / $ACROSS$u % $DOWN$u) * $HIGH$u;
const index_t batch = tile / $PLANE$u;
const index_t first = (index_t)part * $PART$u;
const index_t end = first + $PART$u < $DEPTH$u ? first + $PART$u : $DEPTH$u;
const unsigned down = thread / $ROW_THREADS$u, across = thread % $ROW_THREADS$u;
float sum[$TALL$][$BROAD$];
float next_left[$LEFT_EACH$];
float next_right[$RIGHT_EACH$];
#pragma unroll
for (unsigned a = 0u; a < $TALL$u; ++a) {
#pragma unroll
    for (unsigned b = 0u; b < $BROAD$u; ++b) {
        sum[a][b] = 0.0f;
    }
}
for (index_t at = first; at < end + $DEEP$u; at += $DEEP$u) {
    // What was fetched while the tile before was multiplied becomes the tile at hand.
    if (at > first) {
#pragma unroll
        for (unsigned e = 0u; e < $LEFT_EACH$u; ++e) {
            const unsigned n = thread + e * 256u;
            if ($LEFT_GUARD$1) {
                left[$LEFT_DEPTH$][$LEFT_LINE$] = segc_operand(next_left[e]);
            }
        }
#pragma unroll
        for (unsigned e = 0u; e < $RIGHT_EACH$u; ++e) {
            const unsigned n = thread + e * 256u;
            if ($RIGHT_GUARD$1) {
                right[$RIGHT_DEPTH$][$RIGHT_LINE$] = segc_operand(next_right[e]);
            }
        }
    }
    __syncthreads();
    if (at < end) {
#pragma unroll
        for (unsigned e = 0u; e < $LEFT_EACH$u; ++e) {
            const unsigned n = thread + e * 256u;
            const index_t k = at + $LEFT_DEPTH$, line = row + $LEFT_LINE$;
            next_left[e] = $LEFT_GUARD$k < end && line < $ROWS$u ? @_left($LEFT$, batch, line, k) : 0.0f;
        }
#pragma unroll
        for (unsigned e = 0u; e < $RIGHT_EACH$u; ++e) {
            const unsigned n = thread + e * 256u;
            const index_t k = at + $RIGHT_DEPTH$, line = column + $RIGHT_LINE$;
            next_right[e] = $RIGHT_GUARD$k < end && line < $COLUMNS$u ? @_right($RIGHT$, batch, line, k) : 0.0f;
        }
    }
    if (at > first) {
#pragma unroll 4
        for (unsigned k = 0u; k < $DEEP$u; ++k) {
            float a[$TALL$], b[$BROAD$];
#pragma unroll
            for (unsigned n = 0u; n < $TALL$u; ++n) {
                a[n] = left[k][n / $TALL_RUN$u * $TALL_STEP$u + down * $TALL_RUN$u + n % $TALL_RUN$u];
            }
#pragma unroll
            for (unsigned n = 0u; n < $BROAD$u; ++n) {
                b[n] = right[k][n / $BROAD_RUN$u * $BROAD_STEP$u + across * $BROAD_RUN$u + n % $BROAD_RUN$u];
            }
#pragma unroll
            for (unsigned n = 0u; n < $TALL$u; ++n) {
#pragma unroll
                for (unsigned m = 0u; m < $BROAD$u; ++m) {
                    sum[n][m] = fmaf(a[n], b[m], sum[n][m]);
                }
            }
        }
    }
    __syncthreads();
}
#pragma unroll
for (unsigned n = 0u; n < $TALL$u; ++n) {
    const index_t line = row + n / $TALL_RUN$u * $TALL_STEP$u + down * $TALL_RUN$u + n % $TALL_RUN$u;
#pragma unroll
    for (unsigned m = 0u; m < $BROAD$u; ++m) {
        const index_t place = column + m / $BROAD_RUN$u * $BROAD_STEP$u + across * $BROAD_RUN$u + m % $BROAD_RUN$u;
        if (line < $ROWS$u && place < $COLUMNS$u) {
            $TO$[$PART_PLACE$@_place(batch, line, place)] = sum[n][m];
        }
    }
}
