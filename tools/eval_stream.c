#include "eval_stream.h"

static void count(struct eval_stream_result *result, const vdt_session *session,
                  const vdt_stats *stats, bool computed) {
    const vdt_stream_info *info = vdt_session_stream(session);
    result->ms += stats->decide_ms + stats->embed_ms + stats->blocks_ms + stats->head_ms;
    result->macs += stats->macs;
    result->tokens += (uint64_t)info->gates * vdt_session_shape(session)->tokens;
    for (size_t i = 0; computed && i < info->gates; i++) result->updated += info->updated[i];
}

vdt_status eval_stream_run(struct eval_stream_result *result, vdt_session *session,
                           const vdt_clip *clip, size_t steps, size_t computed, float *logits,
                           vdt_error *error) {
    const size_t snippet_bytes = vdt_session_shape(session)->frames * clip->frame_stride;
    vdt_status status = vdt_session_reset(session, error);
    *result = (struct eval_stream_result){0};
    for (size_t i = 0; i < steps && !status; i++) {
        const vdt_clip snippet = {clip->pixels + i * snippet_bytes, clip->row_stride,
                                  clip->frame_stride};
        const vdt_output output = {.logits = i + 1 == steps ? logits : NULL};
        const bool compute = i == 0 || i * computed / steps != (i - 1) * computed / steps;
        vdt_stats stats = {0};
        status = compute ? vdt_session_run(session, &snippet, 1, &output, &stats, error)
                         : vdt_session_hold(session, &output, &stats, error);
        if (!status) count(result, session, &stats, compute);
    }
    return status;
}

size_t eval_stream_computed(uint64_t macs, uint64_t dense, uint64_t step, size_t steps) {
    size_t best = 1;
    double nearest = -1.0;
    for (size_t i = 1; i <= steps; i++) {
        const double cost = (double)dense - (double)(steps - i) * (double)step;
        const double away = cost > (double)macs ? cost - (double)macs : (double)macs - cost;
        if (nearest >= 0.0 && away >= nearest) continue;
        nearest = away;
        best = i;
    }
    return best;
}
