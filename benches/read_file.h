/* The text of a file, for programs that take configurations and options from files. Ends the program if there is none. */
#ifndef READ_FILE_H
#define READ_FILE_H

#include <stdio.h>
#include <stdlib.h>

static char *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    char *text;
    long size;
    if (!file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) {
        perror(path);
        exit(2);
    }
    rewind(file);
    text = malloc((size_t)size + 1);
    *len = fread(text, 1, (size_t)size, file);
    fclose(file);
    return text;
}

#endif
