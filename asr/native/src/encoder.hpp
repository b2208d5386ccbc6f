// The audio encoder of one window, and the cross-attention cache that the decoder reads.
#pragma once

#include <memory>
#include <vector>

#include "attention.hpp"
#include "threads.hpp"

namespace auricle {

struct Norm {
    const float* weight;
    const float* bias;
};

struct EncoderLayer {
    Norm attention_norm;
    Linear qkv, out;
    Norm mlp_norm;
    Linear expand;
    const Linear* shrink;  // one for each quarter of the hidden channels, the bias in the first
};

struct Encoder {
    Linear conv1, conv2;  // over rows of 3 frames
    const float* positions;  // (n_positions, width)
    const EncoderLayer* layers;
    Norm final_norm;
    const Linear* cross_keys_values;  // one a decoder layer: keys, then values
    int32_t n_layers, n_text_layers, width, n_mels;
};

constexpr int CHUNK_ROWS = 96;  // rows that go through a layer together: they and the weights stay in L2
inline int n_chunks(int n) { return (n + CHUNK_ROWS - 1) / CHUNK_ROWS; }
constexpr int QUARTERS = 4;     // the hidden channels of a feed-forward are `width` times as many, and go by in as many parts

// Memory without initialization: every buffer is written before it is read.
template <typename T>
using Buffer = std::unique_ptr<T[]>;
template <typename T>
Buffer<T> buffer(int64_t n) {
    return Buffer<T>(new T[n]);
}

struct ThreadScratch {
    Buffer<float> hidden;       // [CHUNK_ROWS][width]
    Buffer<float> normed;       // [width]
    Buffer<uint8_t> quantized;  // [CHUNK_ROWS][width]
    Buffer<uint8_t> narrow;     // [CHUNK_ROWS][width]
    RowScale scales[CHUNK_ROWS], narrow_scales[CHUNK_ROWS];
    Queries queries;

    explicit ThreadScratch(int width)
        : hidden(buffer<float>(int64_t(CHUNK_ROWS) * width)),
          normed(buffer<float>(width)),
          quantized(buffer<uint8_t>(int64_t(CHUNK_ROWS) * width)),
          narrow(buffer<uint8_t>(int64_t(CHUNK_ROWS) * width)) {}
};

using Scratch = std::vector<std::unique_ptr<ThreadScratch>>;  // one a thread

inline Scratch scratch_for_threads(int width) {
    Scratch scratch;
    for (int i = 0; i < n_threads(); ++i) scratch.push_back(std::make_unique<ThreadScratch>(width));
    return scratch;
}

// Frames (n_frames + 2 rows of `width`, the first and last silent) through a convolution over 3 frames, and GELU.
inline void convolve(const float* frames, int width, int stride, int n_out, const Linear& layer, float* out,
                     int64_t out_stride) {
    in_parallel([&](Team& team) {
        auto rows = buffer<uint8_t>(int64_t(CHUNK_ROWS) * 3 * width);
        RowScale scales[CHUNK_ROWS];
        team.share(n_chunks(n_out), [&](int chunk) {
            const int first = chunk * CHUNK_ROWS;
            const int n = n_out - first < CHUNK_ROWS ? n_out - first : CHUNK_ROWS;
            for (int r = 0; r < n; ++r)
                scales[r] = quantize_row(frames + int64_t(first + r) * stride * width, 3 * width,
                                         rows.get() + int64_t(r) * 3 * width);
            linear(rows.get(), scales, n, layer, 0, n_panels(layer), [&](int row, int channel, __m512 y) {
                _mm512_storeu_ps(out + (first + row) * out_stride + channel, gelu_ps(y));
            });
        });
    });
}

// Rows of x, layer-normed and quantized, in the thread's scratch.
inline void normalize_rows(const Norm& norm, const float* x, int rows, int width, ThreadScratch& own) {
    for (int r = 0; r < rows; ++r) {
        layer_norm(x + int64_t(r) * width, norm.weight, norm.bias, width, own.normed.get());
        own.scales[r] = quantize_row(own.normed.get(), width, own.quantized.get() + int64_t(r) * width);
    }
}

// What linear() stores: its rows are added to those of x.
inline auto adding_to(float* x, int width) {
    return [=](int row, int channel, __m512 y) {
        float* at = x + int64_t(row) * width + channel;
        _mm512_storeu_ps(at, _mm512_add_ps(_mm512_loadu_ps(at), y));
    };
}

// Keys and values of n positions into the caches of all heads, one after another.
inline void pack_heads(Team& team, const float* keys, const float* values, int64_t stride, int n_heads, int n,
                       uint8_t* caches) {
    team.each(n_heads * n_blocks(n), [&](int i) {
        const int head = i / n_blocks(n), first = i % n_blocks(n) * BLOCK;
        HeadCache cache = head_cache(caches + head * head_cache_bytes(n), n);
        pack_keys(keys + head * HEAD, stride, first, cache);
        pack_values(values + head * HEAD, stride, first, cache);
    });
}

// x (n, width) += the self-attention of one layer. qkv: (n, 3 * width); cache: one head after another.
inline void self_attention(const EncoderLayer& layer, int width, int n, float* x, float* qkv, uint8_t* cache,
                           Scratch& scratch) {
    const int n_heads = width / HEAD;
    const int64_t head_bytes = head_cache_bytes(n);
    in_parallel([&](Team& team) {
        ThreadScratch& own = *scratch[team.number];
        team.share(n_chunks(n), [&](int chunk) {
            const int first = chunk * CHUNK_ROWS;
            const int rows = n - first < CHUNK_ROWS ? n - first : CHUNK_ROWS;
            normalize_rows(layer.attention_norm, x + int64_t(first) * width, rows, width, own);
            linear(own.quantized.get(), own.scales, rows, layer.qkv, 0, n_panels(layer.qkv),
                   [&](int row, int channel, __m512 y) {
                       _mm512_storeu_ps(qkv + int64_t(first + row) * 3 * width + channel, y);
                   });
        });
        pack_heads(team, qkv + width, qkv + 2 * width, 3 * width, n_heads, n, cache);
        team.share(n_heads * n_chunks(n), [&](int i) {
            const int head = i / n_chunks(n), first = i % n_chunks(n) * CHUNK_ROWS;
            const HeadCache at = head_cache(cache + head * head_bytes, n);
            for (int row = first; row < n && row < first + CHUNK_ROWS; row += QUERY_ROWS) {
                float* queries = qkv + int64_t(row) * 3 * width + head * HEAD;
                take_queries(queries, 3 * width, n - row < QUERY_ROWS ? n - row : QUERY_ROWS, own.queries);
                attend(own.queries, at, queries, 3 * width);  // they are read: their place takes the answer
            }
        });
        team.share(n_chunks(n), [&](int chunk) {
            const int first = chunk * CHUNK_ROWS;
            const int rows = n - first < CHUNK_ROWS ? n - first : CHUNK_ROWS;
            for (int r = 0; r < rows; ++r)
                own.scales[r] = quantize_row(qkv + int64_t(first + r) * 3 * width, width,
                                             own.quantized.get() + int64_t(r) * width);
            linear(own.quantized.get(), own.scales, rows, layer.out, 0, n_panels(layer.out),
                   adding_to(x + int64_t(first) * width, width));
        });
    });
}

// x (n, width) += the feed-forward of one layer.
inline void feed_forward(const EncoderLayer& layer, int width, int n, float* x, Scratch& scratch) {
    in_parallel([&](Team& team) {
        ThreadScratch& own = *scratch[team.number];
        team.share(n_chunks(n), [&](int chunk) {
            const int first = chunk * CHUNK_ROWS;
            const int rows = n - first < CHUNK_ROWS ? n - first : CHUNK_ROWS;
            normalize_rows(layer.mlp_norm, x + int64_t(first) * width, rows, width, own);
            const int part_panels = width / PANEL;
            for (int part = 0; part < QUARTERS; ++part) {
                linear(own.quantized.get(), own.scales, rows, layer.expand, part * part_panels,
                       (part + 1) * part_panels, [&](int row, int channel, __m512 y) {
                           float* at = own.hidden.get() + int64_t(row) * width + channel - part * width;
                           _mm512_storeu_ps(at, gelu_ps(y));
                       });
                for (int r = 0; r < rows; ++r)
                    own.narrow_scales[r] = quantize_row(own.hidden.get() + int64_t(r) * width, width,
                                                        own.narrow.get() + int64_t(r) * width);
                linear(own.narrow.get(), own.narrow_scales, rows, layer.shrink[part], 0, part_panels,
                       adding_to(x + int64_t(first) * width, width));
            }
        });
    });
}

// Bytes of one window's cross-attention cache: layer by layer, head by head.
inline int64_t cross_cache_bytes(const Encoder& encoder, int n_positions) {
    return int64_t(encoder.n_text_layers) * (encoder.width / HEAD) * head_cache_bytes(n_positions);
}

// mel: (2 n + 2, n_mels) frames, the first and last silent → features (n, width), and the cross-attention cache.
inline void encode(const Encoder& encoder, const float* mel, int n, float* features, uint8_t* cross) {
    const int width = encoder.width, n_heads = width / HEAD;
    Scratch scratch = scratch_for_threads(width);
    auto qkv = buffer<float>(int64_t(3 * n + 2) * width);  // at first the 2 n + 2 frames between the convolutions
    auto cache = buffer<uint8_t>(n_heads * head_cache_bytes(n));
    float* frames = qkv.get();
    std::memset(frames, 0, width * sizeof(float));
    std::memset(frames + int64_t(2 * n + 1) * width, 0, width * sizeof(float));
    convolve(mel, encoder.n_mels, 1, 2 * n, encoder.conv1, frames + width, width);
    convolve(frames, width, 2, n, encoder.conv2, features, width);
    for (int64_t i = 0; i < int64_t(n) * width; i += LANES)
        _mm512_storeu_ps(features + i, _mm512_add_ps(_mm512_loadu_ps(features + i),
                                                     _mm512_loadu_ps(encoder.positions + i)));
    for (int layer = 0; layer < encoder.n_layers; ++layer) {
        self_attention(encoder.layers[layer], width, n, features, qkv.get(), cache.get(), scratch);
        feed_forward(encoder.layers[layer], width, n, features, scratch);
    }
    auto quantized = buffer<uint8_t>(int64_t(n) * width);
    auto scales = buffer<RowScale>(n);
    const int64_t layer_bytes = n_heads * head_cache_bytes(n);
    in_parallel([&](Team& team) {
        team.each(n, [&](int r) {
            float* row = features + int64_t(r) * width;
            layer_norm(row, encoder.final_norm.weight, encoder.final_norm.bias, width, row);
            scales[r] = quantize_row(row, width, quantized.get() + int64_t(r) * width);
        });
        for (int layer = 0; layer < encoder.n_text_layers; ++layer) {
            const Linear& project = encoder.cross_keys_values[layer];
            team.share(n_panels(project), [&](int panel) {
                linear(quantized.get(), scales.get(), n, project, panel, panel + 1,
                       [&](int row, int channel, __m512 y) {
                           _mm512_storeu_ps(qkv.get() + int64_t(row) * 2 * width + channel, y);
                       });
            });
            pack_heads(team, qkv.get(), qkv.get() + width, 2 * width, n_heads, n, cross + layer * layer_bytes);
        }
    });
}

}  // namespace auricle
