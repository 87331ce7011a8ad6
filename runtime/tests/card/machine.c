// Runs launches on a file of memory: `machine MEMORY RESULT [backwards]`. Before it come the kernels, a `call_NAME` for each, and the
// table of launches with the places of their arguments in memory.

int main(int count, char **words)
{
    shim_backwards = count > 3;
    FILE *from = fopen(words[1], "rb");
    if (!from || fseek(from, 0, SEEK_END)) {
        return 1;
    }
    const size_t bytes = (size_t)ftell(from);
    rewind(from);
    char *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!memory || fread(memory, 1, bytes, from) != bytes) {
        return 1;
    }
    fclose(from);
    for (size_t n = 0; n < sizeof launches / sizeof *launches; ++n) {
        void *arguments[MOST_ARGUMENTS];
        for (unsigned k = 0; k < launches[n].count; ++k) {
            arguments[k] = memory + 4 * places[launches[n].first + k];
        }
        shim_launch(launches[n].kernel, launches[n].waits, launches[n].blocks, launches[n].threads, arguments);
    }
    FILE *to = fopen(words[2], "wb");
    return !to || fwrite(memory, 1, bytes, to) != bytes || fclose(to);
}
