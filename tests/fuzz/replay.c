/* Runs a fuzz program over every file of the folders named, without libFuzzer. */
#include "fuzz.h"

#include <dirent.h>

#define INPUT_MAX (1 << 20)

static size_t read_file(const char *path, uint8_t *data) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    const size_t size = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    return size;
}

static size_t replay_folder(const char *folder, uint8_t *data) {
    DIR *dir = opendir(folder);
    size_t count = 0;
    if (dir == NULL) {
        perror(folder);
        exit(EXIT_FAILURE);
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[4096];
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        (void)LLVMFuzzerTestOneInput(data, read_file(path, data));
        count++;
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv) {
    size_t count = 0;
    uint8_t *data = malloc(INPUT_MAX);
    CHECK(data != NULL);
    for (int i = 1; i < argc; i++) {
        count += replay_folder(argv[i], data);
    }
    free(data);
    printf("%zu inputs\n", count);
    return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
