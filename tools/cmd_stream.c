// vidette stream: a result for every frame, at the cost of what changes.
#include "commands.h"
#include "stream_lines.h"

static int begin(void *user, const vdt_model *model, const vdt_session *session,
                 struct output *output) {
    (void)output;
    struct stream_totals *totals = user;
    return stream_totals_open(totals, totals->settings, model, session, true);
}

static int write_frame(void *user, const struct stream_result *result, struct output *output) {
    struct stream_totals *totals = user;
    stream_totals_add(totals, result);
    if (totals->settings->json || output->path)
        print_stream_line(totals, result, output->file);
    else
        print_stream_text(totals, result, output->file);
    if (fflush(output->file) == 0 && !ferror(output->file)) return 0;
    return output_complain(output);
}

static int end(void *user, struct output *output) {
    struct stream_totals *totals = user;
    print_stream_summary(totals, output->file, totals->settings->json || output->path);
    return 0;
}

int stream_run(const struct settings *settings) {
    if (settings->n_inputs > 1) {
        fprintf(stderr, "vidette: stream: expected one INPUT, found %zu\n", settings->n_inputs);
        return EXIT_USAGE;
    }
    struct stream_totals totals = {.settings = settings};
    const struct stream_consumer consumer = {
        .logits = true, .begin = begin, .frame = write_frame, .end = end, .user = &totals};
    const int status = streamer_run(settings, "stream", &consumer);
    stream_totals_close(&totals);
    return status;
}
