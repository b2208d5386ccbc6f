// The text decoder: new tokens of many rows at once, each with its own window, position and past.
//
// Rows are hypotheses. A row keeps keys and values of its own tokens in float16, one cell a position. Beams share their
// pasts: `ancestors` names for every position the row that holds the cell, so that reordering beams moves no cell.
#pragma once

#include "encoder.hpp"

namespace auricle {

struct DecoderLayer {
    Norm attention_norm;
    Linear qkv, out;
    Norm cross_norm;
    Linear cross_query, cross_out;
    Norm mlp_norm;
    Linear expand;
    const Linear* shrink;  // as in EncoderLayer
};

struct Decoder {
    Linear embedding;        // also the logits
    const float* positions;  // (n_text_positions, width)
    const DecoderLayer* layers;
    Norm final_norm;
    int32_t n_layers, width, n_text_positions;
};

// One new token.
struct NewToken {
    int32_t token, position;
    int32_t row;             // whose cell it gets
    int32_t window;          // whose audio it hears
    int32_t wants_logits;    // index of its logits, or -1
};

// What the rows remember. The cells of a row: [layer][position][keys, then values of `width` float16].
struct RowCache {
    uint16_t* const* cells;    // one pointer a row
    const int32_t* ancestors;  // (n_rows, n_text_positions), the rows of the new tokens among them
    int32_t n_text_positions;
};

struct WindowCache {
    uint8_t* cross;
    int32_t n_positions;
};

// Of text that is given: where the alignment heads look, and how probable it is.
struct Watch {
    const int32_t* layers;  // one a head
    const int32_t* heads;
    float* weights;  // softmax of every token, (n_heads, n_tokens, stride)
    int32_t n_heads, stride;
    const int32_t* targets;  // (n_tokens,): the token that follows each, or -1
    float* probabilities;    // (n_tokens,): of the targets, among the tokens below `vocabulary_end`
    int32_t vocabulary_end;
};

inline uint16_t* cell(const RowCache& rows, int layer, int row, int position, int width) {
    return rows.cells[row] + (int64_t(layer) * rows.n_text_positions + position) * 2 * width;
}

inline void store_half(uint16_t* to, __m512 x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

inline __m512 load_half(const uint16_t* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

// One token, one head: softmax(q · past keys) · past values. scores: room for the past.
inline void attend_past(const float* q, const RowCache& rows, const NewToken& token, int layer, int head, int width,
                        float* scores, float* out) {
    const int32_t* ancestors = rows.ancestors + int64_t(token.row) * rows.n_text_positions;
    const int n = token.position + 1;
    __m512 query[4];
    for (int j = 0; j < 4; ++j) query[j] = _mm512_mul_ps(_mm512_loadu_ps(q + j * LANES), _mm512_set1_ps(0.125f));
    float largest = -std::numeric_limits<float>::infinity();
    for (int t = 0; t < n; ++t) {
        const uint16_t* key = cell(rows, layer, ancestors[t], t, width) + head * HEAD;
        __m512 sum = _mm512_mul_ps(query[0], load_half(key));
        for (int j = 1; j < 4; ++j) sum = _mm512_fmadd_ps(query[j], load_half(key + j * LANES), sum);
        scores[t] = _mm512_reduce_add_ps(sum);
        largest = scores[t] > largest ? scores[t] : largest;
    }
    __m512 total = _mm512_setzero_ps();
    for (int t = 0; t < n; t += LANES) {
        const __mmask16 mask = n - t >= LANES ? __mmask16(0xffff) : __mmask16((1u << (n - t)) - 1);
        const __m512 e = exp_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, scores + t), _mm512_set1_ps(largest)));
        _mm512_mask_storeu_ps(scores + t, mask, e);
        total = _mm512_mask_add_ps(total, mask, total, e);
    }
    __m512 mixed[4] = {};
    for (int t = 0; t < n; ++t) {
        const uint16_t* value =
            cell(rows, layer, ancestors[t], t, width) + width + head * HEAD;
        for (int j = 0; j < 4; ++j)
            mixed[j] = _mm512_fmadd_ps(_mm512_set1_ps(scores[t]), load_half(value + j * LANES), mixed[j]);
    }
    const __m512 inverse = _mm512_set1_ps(1.f / _mm512_reduce_add_ps(total));
    for (int j = 0; j < 4; ++j) _mm512_storeu_ps(out + j * LANES, _mm512_mul_ps(mixed[j], inverse));
}

// The embedding of a token, out of the packed weights of the logits.
inline void embed(const Decoder& decoder, const NewToken& token, float* out) {
    const Linear& e = decoder.embedding;
    const int8_t* panel = e.weights + int64_t(token.token / PANEL) * PANEL * e.n_in;
    const float scale = e.scales[token.token];
    for (int k = 0; k < e.n_in; ++k)
        out[k] = scale * panel[(k / 4) * 256 + (token.token % PANEL) * 4 + k % 4] +
                 decoder.positions[int64_t(token.position) * e.n_in + k];
}

// The probability of every target, some tokens at a time: the logits of a whole text would be large.
inline void judge_targets(const Decoder& decoder, const float* x, int n, const Watch& watch) {
    const int width = decoder.width;
    const int64_t stride = int64_t(n_panels(decoder.embedding)) * PANEL;
    constexpr int STEP = 2 * TILE_ROWS;
    auto logits = buffer<float>(STEP * stride);
    auto normed = buffer<float>(width);
    auto quantized = buffer<uint8_t>(int64_t(STEP) * width);
    RowScale scales[STEP];
    for (int first = 0; first < n; first += STEP) {
        const int rows = n - first < STEP ? n - first : STEP;
        for (int r = 0; r < rows; ++r) {
            layer_norm(x + int64_t(first + r) * width, decoder.final_norm.weight, decoder.final_norm.bias, width,
                       normed.get());
            scales[r] = quantize_row(normed.get(), width, quantized.get() + int64_t(r) * width);
        }
        const int end_panel = (watch.vocabulary_end + PANEL - 1) / PANEL;
        in_parallel([&](Team& team) {
            team.each(end_panel, [&](int panel) {
                linear(quantized.get(), scales, rows, decoder.embedding, panel, panel + 1,
                       [&](int r, int channel, __m512 y) {
                           _mm512_storeu_ps(logits.get() + r * stride + channel, y);
                       });
            });
            team.each(rows, [&](int r) {
                const int target = watch.targets[first + r];
                if (target < 0) return;
                const float* row = logits.get() + r * stride;
                const float peak = largest(row, 0, watch.vocabulary_end);
                const float total = sum_exp(row, 0, watch.vocabulary_end, peak, 1.f);
                watch.probabilities[first + r] = std::exp(row[target] - peak) / total;
            });
        });
    }
}

// Tokens of one row stand together, in order of position. logits: (n_logits, panels of the vocabulary * 64).
inline void extend(const Decoder& decoder, const NewToken* tokens, int n, const RowCache& rows,
                   const WindowCache* windows, float* logits, const Watch* watch) {
    const int width = decoder.width, n_heads = width / HEAD;
    auto x = buffer<float>(int64_t(n) * width);
    auto wide = buffer<float>(int64_t(n) * 4 * width);
    auto quantized = buffer<uint8_t>(int64_t(n) * 4 * width);
    auto scales = buffer<RowScale>(int64_t(n) * QUARTERS);
    // Tokens that hear the same window share the reading of its cache, up to a few of them.
    struct Group { int first, n; };
    std::vector<Group> groups;
    for (int i = 0; i < n; ++i) {
        const bool joins = !groups.empty() && groups.back().n < QUERY_ROWS &&
                           tokens[groups.back().first].window == tokens[i].window;
        if (joins) ++groups.back().n;
        else groups.push_back({i, 1});
    }
    int n_logits = 0;
    for (int i = 0; i < n; ++i) n_logits += tokens[i].wants_logits >= 0;

    in_parallel([&](Team& team) {
        auto past_scores = buffer<float>(rows.n_text_positions);
        auto normed = buffer<float>(width);
        const auto heard = std::make_unique<Queries>();
        const auto normalize = [&](const Norm& norm) {
            team.each(n, [&](int i) {
                layer_norm(x.get() + int64_t(i) * width, norm.weight, norm.bias, width, normed.get());
                scales[i] = quantize_row(normed.get(), width, quantized.get() + int64_t(i) * width);
            });
        };
        const auto quantize = [&](int n_parts) {
            team.each(n_parts * n, [&](int at) {
                const int part = at / n, i = at % n;
                scales[at] = quantize_row(wide.get() + int64_t(i) * 4 * width + part * width, width,
                                          quantized.get() + int64_t(at) * width);
            });
        };
        const auto project = [&](const Linear& layer, const auto& store) {
            team.each(n_panels(layer), [&](int panel) {
                linear(quantized.get(), scales.get(), n, layer, panel, panel + 1, store);
            });
        };
        const auto add = adding_to(x.get(), width);
        const auto keep = [&](int i, int channel, __m512 y) {
            _mm512_storeu_ps(wide.get() + int64_t(i) * 4 * width + channel, y);
        };
        team.each(n, [&](int i) { embed(decoder, tokens[i], x.get() + int64_t(i) * width); });
        for (int layer = 0; layer < decoder.n_layers; ++layer) {
            const DecoderLayer& block = decoder.layers[layer];
            normalize(block.attention_norm);
            project(block.qkv, [&](int i, int channel, __m512 y) {
                if (channel < width) keep(i, channel, y);
                else store_half(cell(rows, layer, tokens[i].row, tokens[i].position, width) + channel - width, y);
            });
            team.each(n * n_heads, [&](int at) {
                const int i = at / n_heads, head = at % n_heads;
                float* q = wide.get() + int64_t(i) * 4 * width + head * HEAD;
                attend_past(q, rows, tokens[i], layer, head, width, past_scores.get(), q);
            });
            quantize(1);
            project(block.out, add);
            normalize(block.cross_norm);
            project(block.cross_query, keep);
            team.share(int(groups.size()) * n_heads, [&](int at) {
                const Group& group = groups[at / n_heads];
                const int head = at % n_heads;
                const WindowCache& window = windows[tokens[group.first].window];
                const int64_t bytes = head_cache_bytes(window.n_positions);
                const HeadCache cache =
                    head_cache(window.cross + (int64_t(layer) * n_heads + head) * bytes, window.n_positions);
                float* queries = wide.get() + int64_t(group.first) * 4 * width + head * HEAD;
                take_queries(queries, 4 * width, group.n, *heard);
                attend(*heard, cache, queries, 4 * width);
                for (int w = 0; watch && w < watch->n_heads; ++w)
                    if (watch->layers[w] == layer && watch->heads[w] == head)
                        attention_weights(*heard, cache,
                                          watch->weights + (int64_t(w) * n + group.first) * watch->stride,
                                          watch->stride);
            });
            quantize(1);
            project(block.cross_out, add);
            normalize(block.mlp_norm);
            project(block.expand, [&](int i, int channel, __m512 y) { keep(i, channel, gelu_ps(y)); });
            quantize(QUARTERS);
            team.each(width / PANEL, [&](int panel) {
                for (int part = 0; part < QUARTERS; ++part)
                    linear(quantized.get() + int64_t(part) * n * width, scales.get() + part * n, n, block.shrink[part],
                           panel, panel + 1, add);
            });
        }
        // Of the tokens that want logits, side by side.
        team.each(n, [&](int i) {
            const int to = tokens[i].wants_logits;
            if (to < 0) return;
            layer_norm(x.get() + int64_t(i) * width, decoder.final_norm.weight, decoder.final_norm.bias, width,
                       normed.get());
            scales[to] = quantize_row(normed.get(), width, quantized.get() + int64_t(to) * width);
        });
        const int64_t stride = int64_t(n_panels(decoder.embedding)) * PANEL;
        team.each(n_panels(decoder.embedding), [&](int panel) {
            linear(quantized.get(), scales.get(), n_logits, decoder.embedding, panel, panel + 1,
                   [&](int i, int channel, __m512 y) { _mm512_storeu_ps(logits + i * stride + channel, y); });
        });
    });
    if (watch) judge_targets(decoder, x.get(), n, *watch);
}

}  // namespace auricle
