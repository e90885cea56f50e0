// The command: a table of commands and the way to them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "nearest.h"

const struct command commands[] = {
    {"classify", FOR_CLASSIFY, "[-m MODEL] INPUT...", "What happens in each video.",
     "vidette classify -m ./videomae-base-finetuned-kinetics *.mp4", classify_run},
    {"embed", FOR_EMBED, "[-m MODEL] INPUT... -o FILE",
     "Features of each input, as an array or as JSON lines.",
     "vidette embed -m ./dinov2-small --pool mean photos/*.png -o features.npy", embed_run},
    {"stream", FOR_STREAM, "[-m MODEL] INPUT",
     "A result per frame, from a camera, a URL or a file.",
     "vidette stream -m ./vit-base --update top:48 --json /dev/video0", stream_run},
    {"view", FOR_VIEW, "[-m MODEL] INPUT... -o FILE",
     "Picture or video of what was kept, merged or recomputed.",
     "vidette view --rlt 0.1 --tome 8 yard.mp4 -o yard.png", view_run},
    {"eval", FOR_EVAL, "[-m MODEL] LIST.csv", "Accuracy beside cost, over settings.",
     "vidette eval --sweep rlt=0.05,0.1,0.2 --sweep tome=0,8,16 test.csv -o results.csv", eval_run},
    {"bench", FOR_BENCH, "[-m MODEL | --arch NAME]",
     "Speed by stage, against the measured peak of this machine.",
     "vidette bench --arch videomae-base", bench_run},
    {"info", FOR_INFO, "[-m MODEL] [INPUT...]",
     "What a model or a video is: tokens, operations, bytes, licence.",
     "vidette info -m ./vit-base-patch16-224 yard.mp4", info_run},
    {NULL, 0, NULL, NULL, NULL, NULL},
};

static void print_usage(FILE *file) {
    fprintf(file,
            "Vidette %s runs video transformers on real video.\n\n    vidette COMMAND [OPTIONS] "
            "INPUT...\n\n",
            vdt_version());
    for (size_t i = 0; commands[i].name; i++)
        fprintf(file, "    %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(file,
            "\nINPUT: a video file, an image, a directory of images, /dev/videoN, an rtsp:// or "
            "http(s):// URL,\n"
            "or x.npy (uint8, T x H x W x 3). 'vidette COMMAND --help' says more; a first try:\n\n"
            "    vidette classify some.mp4\n");
}

static int unknown_command(const char *word) {
    const char *names[16];
    size_t n = 0;
    for (; commands[n].name; n++) names[n] = commands[n].name;
    names[n] = NULL;
    const char *near = nearest_name(word, names);
    fprintf(stderr, "vidette: %s: unknown command%s%s (vidette --help lists them)\n", word,
            near ? ", did you mean " : "", near ? near : "");
    return EXIT_USAGE;
}

// A result that could not be written is a failure, whatever made it.
static int flush_stdout(int status) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    if (status != EXIT_DONE) return status; // said before
    fprintf(stderr, "vidette: stdout: cannot be written\n");
    return EXIT_FAILED;
}

static int run_command(const struct command *command, int argc, char **argv) {
    struct settings settings;
    bool done;
    int status = settings_parse(&settings, command, argc, argv, &done);
    if (status == EXIT_DONE && !done) status = command->run(&settings);
    free(settings.inputs);
    return flush_stdout(status);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return flush_stdout(EXIT_DONE);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("vidette %s\n", vdt_version());
        return flush_stdout(EXIT_DONE);
    }
    for (size_t i = 0; commands[i].name; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return run_command(&commands[i], argc - 2, argv + 2);
    }
    return unknown_command(argv[1]);
}
