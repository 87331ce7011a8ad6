
// Notes a loss in a ring and sets the flag if it is not finite; the counter is the number of the note, which the ring is long enough for.
KERNEL(32) segc_note(const float *loss, float *ring, unsigned *counter, unsigned *flag)
{
    if (threadIdx.x == 0u) {
        ring[counter[0]] = loss[0];
        if (!segc_is_finite(loss[0])) {
            flag[0] = 1u;
        }
        counter[0] += 1u;
    }
}
