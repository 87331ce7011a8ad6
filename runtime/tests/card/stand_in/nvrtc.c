// A stand-in for libnvrtc.so, for tests: the text is compiled as C behind `shim.h`, and the machine code of the card is the shared library
// that comes out. FOLDER is where the shim lies.
//
// SEGC_MOCK_LOG names a file that gets a line for each compilation.
#define _GNU_SOURCE
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { char *source, *log, *image; size_t bytes; } Program;

enum { SUCCESS = 0, OUT_OF_MEMORY = 1, INVALID_INPUT = 3, INVALID_OPTION = 5, COMPILATION = 6 };

static const int known[] = { 75, 80, 86, 89, 90, 100 };

static char *all(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        return NULL;
    }
    fseek(file, 0, SEEK_END);
    *bytes = (size_t)ftell(file);
    rewind(file);
    char *text = calloc(*bytes + 1, 1);
    *bytes = fread(text, 1, *bytes, file);
    fclose(file);
    return text;
}

// Writes how each kernel is called: kernels are `KERNEL(threads) name(arguments)`.
static void calls(const char *source, FILE *to) {
    char *runs = NULL, *counts = NULL;
    size_t size;
    FILE *run = open_memstream(&runs, &size), *count = open_memstream(&counts, &size);
    int fresh = 1;
    for (const char *at = source; *at; at++) {
        if (*at == '\n') {
            fresh = 1;
            continue;
        }
        int first = fresh;
        fresh = 0;
        if (!first || strncmp(at, "KERNEL(", 7)) {
            continue;
        }
        const char *name = strchr(at, ')') + 1;
        while (isspace((unsigned char)*name)) {
            name++;
        }
        const char *open = strchr(name, '('), *close = strchr(open, ')');
        int arity = 0;
        for (const char *c = open + 1; c < close; c++) {
            arity += *c == '*';
        }
        int length = (int)(open - name);
        fprintf(count, "    if (!strcmp(name, \"%.*s\")) return %d;\n", length, name, arity);
        fprintf(run, "static void segc_call_%.*s(void **p) { %.*s(", length, name, length, name);
        for (int i = 0; i < arity; i++) {
            fprintf(run, "%s*(void **)p[%d]", i ? ", " : "", i);
        }
        fprintf(run, "); }\n");
    }
    fclose(run);
    fclose(count);
    fprintf(to, "\n%sint segc_mock_arity(const char *name) {\n%s    return -1;\n}\n", runs, counts);
    fprintf(to, "int segc_mock_run(const char *name, const unsigned *grid, const unsigned *block, unsigned shared, void **p) {\n");
    fprintf(to, "    if (grid[1] * grid[2] * block[1] * block[2] != 1) return 1;\n");
    for (char *line = counts; line && *line; line = strchr(line, '\n') + 1) {
        char *name = strchr(line, '"') + 1;
        int length = (int)(strchr(name, '"') - name);
        fprintf(to, "    if (!strcmp(name, \"%.*s\"))\n", length, name);
        fprintf(to, "        return shim_launch(segc_call_%.*s, !strncmp(name, \"sync_\", 5), *grid, *block, p), 0;\n", length, name);
    }
    fprintf(to, "    return 1;\n}\n");
    free(runs);
    free(counts);
}

int nvrtcVersion(int *major, int *minor) {
    *major = 13;
    *minor = 0;
    return SUCCESS;
}

const char *nvrtcGetErrorString(int code) {
    return code == COMPILATION ? "NVRTC_ERROR_COMPILATION" : code == SUCCESS ? "NVRTC_SUCCESS" : "NVRTC_ERROR";
}

int nvrtcGetNumSupportedArchs(int *count) {
    *count = sizeof known / sizeof *known;
    return SUCCESS;
}

int nvrtcGetSupportedArchs(int *archs) {
    memcpy(archs, known, sizeof known);
    return SUCCESS;
}

int nvrtcCreateProgram(Program **program, const char *source, const char *name, int headers, const char *const *texts,
                       const char *const *names) {
    (void)texts;
    (void)names;
    *program = calloc(1, sizeof(Program));
    (*program)->source = strdup(source);
    (*program)->log = strdup("");
    return name && headers == 0 ? SUCCESS : INVALID_INPUT;
}

int nvrtcCompileProgram(Program *program, int count, const char *const *options) {
    int named = 0;
    for (int i = 0; i < count; i++) {
        named += !strncmp(options[i], "--gpu-architecture=", 19);
    }
    if (named != 1) {
        return INVALID_OPTION;
    }
    const char *log = getenv("SEGC_MOCK_LOG");
    FILE *file = log ? fopen(log, "a") : NULL;
    if (file) {
        fprintf(file, "compile %s\n", options[0]);
        fclose(file);
    }
    char folder[] = "/tmp/segc-mock-XXXXXX", path[64], command[1024];
    if (!mkdtemp(folder)) {
        return OUT_OF_MEMORY;
    }
    snprintf(path, sizeof path, "%s/program.c", folder);
    file = fopen(path, "w");
    if (!file) {
        return OUT_OF_MEMORY;
    }
    fprintf(file, "#include \"shim.h\"\n#line 1 \"program.cu\"\n%s", program->source);
    calls(program->source, file);
    fclose(file);
    snprintf(command, sizeof command, "cc -O1 -shared -fPIC -w -std=gnu11 -ffp-contract=off -I '" FOLDER "' -o %s/out %s/program.c -lm 2> %s/log",
             folder, folder, folder);
    int failed = system(command);
    size_t bytes;
    snprintf(path, sizeof path, "%s/log", folder);
    char *text = all(path, &bytes);
    unlink(path);
    if (text) {
        free(program->log);
        program->log = text;
    }
    snprintf(path, sizeof path, "%s/out", folder);
    program->image = all(path, &program->bytes);
    unlink(path);
    snprintf(path, sizeof path, "%s/program.c", folder);
    unlink(path);
    rmdir(folder);
    return failed || !program->image ? COMPILATION : SUCCESS;
}

int nvrtcGetProgramLogSize(Program *program, size_t *bytes) {
    *bytes = strlen(program->log) + 1;
    return SUCCESS;
}

int nvrtcGetProgramLog(Program *program, char *log) {
    strcpy(log, program->log);
    return SUCCESS;
}

int nvrtcGetCUBINSize(Program *program, size_t *bytes) {
    *bytes = program->bytes;
    return program->image ? SUCCESS : INVALID_INPUT;
}

int nvrtcGetCUBIN(Program *program, char *image) {
    memcpy(image, program->image, program->bytes);
    return SUCCESS;
}

int nvrtcGetPTXSize(Program *program, size_t *bytes) {
    return nvrtcGetCUBINSize(program, bytes);
}

int nvrtcGetPTX(Program *program, char *image) {
    return nvrtcGetCUBIN(program, image);
}

int nvrtcDestroyProgram(Program **program) {
    free((*program)->source);
    free((*program)->log);
    free((*program)->image);
    free(*program);
    *program = NULL;
    return SUCCESS;
}
