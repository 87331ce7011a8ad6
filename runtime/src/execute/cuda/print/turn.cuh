__shared__ float tile[32][33];
const unsigned across = threadIdx.x % 32u, down = threadIdx.x / 32u;
const index_t first = (index_t)(blockIdx.x % $ACROSS$u) * 32u, top = (index_t)(blockIdx.x / $ACROSS$u % $DOWN$u) * 32u;
const index_t other = blockIdx.x / $PLANE$u;
const float *from = $FROM$ + ($FROM_OTHER$);
float *to = $TO$ + ($TO_OTHER$);
for (unsigned n = down; n < 32u; n += 8u) {
    if (top + across < $TURNED$u && first + n < $SIZE$u) {
        tile[n][across] = from[(first + n) * $STEP$u + top + across];
    }
}
__syncthreads();
for (unsigned n = down; n < 32u; n += 8u) {
    if (first + across < $SIZE$u && top + n < $TURNED$u) {
        to[(top + n) * $TO_STEP$u + first + across] = tile[across][n];
    }
}
