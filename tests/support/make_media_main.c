// make_media DIRECTORY: writes everything that the command's tests read (make_media.h).
#include <stdio.h>

#include "make_media.h"

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: make_media DIRECTORY\n");
        return 2;
    }
    media_write_all(argv[1]);
    return 0;
}
