// Compiles CUDA C with the run-time compiler of a library, without a card: `nvrtc LIBRARY SOURCE ARCHITECTURE CUBIN`. Prints the log.

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef int (*create_program)(void **, const char *, const char *, int, const char *const *, const char *const *);
typedef int (*compile_program)(void *, int, const char *const *);
typedef int (*get_size)(void *, size_t *);
typedef int (*get_text)(void *, char *);

static char *get(void *library, void *program, const char *size_name, const char *text_name, size_t *size)
{
    get_size ask = (get_size)dlsym(library, size_name);
    get_text fill = (get_text)dlsym(library, text_name);
    if (!ask || !fill || ask(program, size)) {
        exit(4);
    }
    char *text = calloc(*size + 1, 1);
    if (!text || fill(program, text)) {
        exit(4);
    }
    return text;
}

int main(int count, char **words)
{
    void *library = dlopen(words[1], RTLD_NOW);
    if (!library || count < 5) {
        return 2;
    }
    create_program create = (create_program)dlsym(library, "nvrtcCreateProgram");
    compile_program compile = (compile_program)dlsym(library, "nvrtcCompileProgram");
    FILE *from = fopen(words[2], "rb");
    if (!create || !compile || !from || fseek(from, 0, SEEK_END)) {
        return 4;
    }
    size_t size = (size_t)ftell(from);
    rewind(from);
    char *text = calloc(size + 1, 1);
    if (!text || fread(text, 1, size, from) != size) {
        return 4;
    }
    char option[64];
    snprintf(option, sizeof option, "--gpu-architecture=%s", words[3]);
    const char *options[] = {option};
    void *program = NULL;
    if (create(&program, text, "program.cu", 0, NULL, NULL)) {
        return 4;
    }
    const int failed = compile(program, 1, options);
    fputs(get(library, program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog", &size), stdout);
    if (failed) {
        return 1;
    }
    char *cubin = get(library, program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN", &size);
    FILE *to = fopen(words[4], "wb");
    return !to || fwrite(cubin, 1, size, to) != size || fclose(to);
}
