// The rules that logits obey, and the choice among what is left. In: logits of rows. Out: the likeliest tokens of each,
// or a sample. The same arithmetic as asr/engine/torch_backend.py, which has the reasons.
#pragma once

#include "decoder.hpp"

namespace auricle {

constexpr int MAX_RANGES = 3;

// How the next token of one row is chosen.
struct Choice {
    const int32_t* suppressed;
    int32_t n_suppressed;
    int32_t ranges[MAX_RANGES][2];  // forbidden token ids, first to end; empty ones are ignored
    int32_t timestamp_begin;        // -1: no rules for timestamps
    int32_t n_best;
    float temperature;              // of the sample
    float draw;                     // in [0, 1): a sample at `temperature`; negative: the `n_best` likeliest
};

inline void forbid(float* logits, int first, int end) {
    for (int i = first; i < end; ++i) logits[i] = -std::numeric_limits<float>::infinity();
}

inline void choose_best(const float* logits, int n_vocab, int n_best, float log_total, int32_t* tokens, float* logprobs) {
    float least = -std::numeric_limits<float>::infinity();
    int found = 0;
    for (int i = 0; i < n_vocab; i += LANES) {
        const __mmask16 mask = n_vocab - i >= LANES ? __mmask16(0xffff) : __mmask16((1u << (n_vocab - i)) - 1);
        const __m512 x = _mm512_maskz_loadu_ps(mask, logits + i);
        unsigned better = found < n_best ? mask : _mm512_mask_cmp_ps_mask(mask, x, _mm512_set1_ps(least), _CMP_GT_OQ);
        for (; better; better &= better - 1) {
            const int token = i + __builtin_ctz(better);
            const float value = logits[token];
            if (found == n_best && value <= least) continue;
            // Of equal ones the first stays before the later, as argmax has it.
            int at = found < n_best ? found++ : n_best - 1;
            for (; at > 0 && logprobs[at - 1] < value; --at) {
                logprobs[at] = logprobs[at - 1];
                tokens[at] = tokens[at - 1];
            }
            logprobs[at] = value;
            tokens[at] = token;
            if (found == n_best) least = logprobs[n_best - 1];
        }
    }
    for (int i = 0; i < found; ++i) logprobs[i] -= log_total;
}

inline int draw_token(const float* logits, int n_vocab, float peak, float factor, float draw) {
    double left = double(draw) * sum_exp(logits, 0, n_vocab, peak, factor);
    int last_block = 0;
    for (int i = 0; i < n_vocab; i += LANES) {
        const int end = i + LANES < n_vocab ? i + LANES : n_vocab;
        const double here = sum_exp(logits, i, end, peak, factor);
        if (here > 0) last_block = i;
        if (left >= here) {
            left -= here;
            continue;
        }
        for (int token = i; token < end; ++token) {
            const double p = sum_exp(logits, token, token + 1, peak, factor);
            if (left < p) return token;
            left -= p;
        }
    }
    // Rounding left a crumb: it goes to the last token that may come.
    int last = last_block + LANES < n_vocab ? last_block + LANES - 1 : n_vocab - 1;
    while (last > last_block && !(sum_exp(logits, last, last + 1, peak, factor) > 0)) --last;
    return last;
}

inline void choose(float* logits, int n_vocab, const Choice& choice, int32_t* tokens, float* logprobs) {
    for (int i = 0; i < choice.n_suppressed; ++i)
        logits[choice.suppressed[i]] = -std::numeric_limits<float>::infinity();
    for (const auto& range : choice.ranges) forbid(logits, range[0], range[1]);
    if (choice.timestamp_begin >= 0) {
        const float text = largest(logits, 0, choice.timestamp_begin);
        const float peak = largest(logits, choice.timestamp_begin, n_vocab);
        if (std::isfinite(peak)) {
            const float together = peak + std::log(sum_exp(logits, choice.timestamp_begin, n_vocab, peak, 1.f));
            if (together > text) forbid(logits, 0, choice.timestamp_begin);
        }
    }
    const float peak = largest(logits, 0, n_vocab);
    const float log_total = peak + std::log(sum_exp(logits, 0, n_vocab, peak, 1.f));
    if (choice.draw < 0) {
        choose_best(logits, n_vocab, choice.n_best, log_total, tokens, logprobs);
    } else {
        tokens[0] = draw_token(logits, n_vocab, peak, 1.f / choice.temperature, choice.draw);
        logprobs[0] = logits[tokens[0]] - log_total;
    }
}

}  // namespace auricle
