// Attention over int8 keys and values. One head at a time: 64 channels, the width of every Whisper head.
//
// Keys: one scale a position, packed as a layer's weights are, positions in the place of output channels. Values: one
// scale for each channel in each block of 128 positions, packed with positions in the place of inputs. Probabilities
// are uint8 with one scale for each row and block, so that a long faint tail does not vanish beside one peak.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>

#include "gemm.hpp"

namespace auricle {

constexpr int HEAD = 64;
constexpr int BLOCK = 128;  // positions
constexpr int PANELS = BLOCK / PANEL;

// Keys and values of one head over `n_positions`, room for whole blocks.
struct HeadCache {
    int8_t* keys;          // [blocks * 2][16][64][4]
    float* key_scales;     // [blocks * 128]; 0 beyond n_positions
    int32_t* corrections;  // [blocks * 128], -128 * the sum of a key: takes out what the queries' shift adds
    int8_t* values;        // [blocks][32][64][4]
    float* value_scales;   // [blocks][64]
    int32_t n_positions;
};

inline int n_blocks(int n_positions) { return (n_positions + BLOCK - 1) / BLOCK; }

// Bytes of one head's cache, and where its parts lie in them.
inline int64_t head_cache_bytes(int n_positions) {
    return int64_t(n_blocks(n_positions)) * (2 * BLOCK * HEAD + BLOCK * (4 + 4) + HEAD * 4);
}

inline HeadCache head_cache(uint8_t* memory, int n_positions) {
    const int64_t blocks = n_blocks(n_positions), matrix = blocks * BLOCK * HEAD;
    HeadCache cache;
    cache.keys = reinterpret_cast<int8_t*>(memory);
    cache.values = cache.keys + matrix;
    cache.key_scales = reinterpret_cast<float*>(cache.values + matrix);
    cache.corrections = reinterpret_cast<int32_t*>(cache.key_scales + blocks * BLOCK);
    cache.value_scales = reinterpret_cast<float*>(cache.corrections + blocks * BLOCK);
    cache.n_positions = n_positions;
    return cache;
}

// Quantizes and packs the block of keys that begins at position `first`; keys: (n_positions, 64), `stride` floats apart.
inline void pack_keys(const float* keys, int64_t stride, int first, HeadCache& cache) {
    int8_t* packed = cache.keys + int64_t(first) * HEAD;
    for (int i = 0; i < BLOCK; ++i) {
        alignas(64) int8_t row[HEAD] = {};
        float scale = 0.f;
        int32_t sum = 0;
        if (first + i < cache.n_positions) {
            alignas(64) uint8_t shifted[HEAD];
            scale = quantize_symmetric(keys + (first + i) * stride, HEAD, shifted);
            const __m512i q = _mm512_sub_epi8(_mm512_load_si512(shifted), _mm512_set1_epi8(int8_t(-128)));
            _mm512_store_si512(row, q);
            // The sum of 64 bytes: 1 · q in groups of four, then across.
            sum = _mm512_reduce_add_epi32(_mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), q));
        }
        int8_t* panel = packed + (i / PANEL) * PANEL * HEAD + (i % PANEL) * 4;
        for (int k = 0; k < HEAD / 4; ++k) std::memcpy(panel + k * 256, row + 4 * k, 4);
        cache.key_scales[first + i] = scale;
        cache.corrections[first + i] = -128 * sum;
    }
}

inline void pack_values(const float* values, int64_t stride, int first, HeadCache& cache) {
    int8_t* packed = cache.values + int64_t(first) * HEAD;
    float* scales = cache.value_scales + first / BLOCK * HEAD;
    const int n = cache.n_positions - first < BLOCK ? cache.n_positions - first : BLOCK;
    for (int j = 0; j < HEAD; j += LANES) {
        __m512 largest = _mm512_setzero_ps();
        for (int i = 0; i < n; ++i)
            largest = _mm512_max_ps(largest, _mm512_abs_ps(_mm512_loadu_ps(values + (first + i) * stride + j)));
        const __mmask16 is_zero = _mm512_cmp_ps_mask(largest, _mm512_setzero_ps(), _CMP_EQ_OQ);
        const __m512 inverse = _mm512_maskz_div_ps(__mmask16(~is_zero), _mm512_set1_ps(127.f), largest);
        _mm512_storeu_ps(scales + j, _mm512_mul_ps(largest, _mm512_set1_ps(1.f / 127)));
        for (int i = 0; i < BLOCK; i += 4) {
            // Four positions of 16 channels become 16 groups of four bytes.
            __m512i groups = _mm512_setzero_si512();
            for (int b = 0; b < 4 && i + b < n; ++b) {
                const __m512 x = _mm512_loadu_ps(values + (first + i + b) * stride + j);
                const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse));
                groups = _mm512_or_si512(
                    groups, _mm512_slli_epi32(_mm512_and_si512(q, _mm512_set1_epi32(255)), unsigned(8 * b)));
            }
            _mm512_storeu_si512(packed + (i / 4) * 256 + j * 4, groups);
        }
    }
}

constexpr int QUERY_ROWS = 24;  // that share the reading of a block: with their scores it fits the first cache

// Some queries of one head, quantized, and what they have heard so far (softmax in one pass, Milakov and Gimelshein,
// arXiv:1805.02867).
struct Queries {
    alignas(64) uint8_t bytes[QUERY_ROWS][HEAD];
    alignas(64) float mixed[QUERY_ROWS][HEAD];
    alignas(64) float scores[QUERY_ROWS][BLOCK];
    alignas(64) uint8_t probabilities[QUERY_ROWS][BLOCK];
    float factors[QUERY_ROWS];  // from whole numbers to powers of two: the query's scale, 1 / sqrt(64) and log2(e)
    float peaks[QUERY_ROWS];    // the largest score so far
    float sums[QUERY_ROWS];     // of the numerators so far, relative to the peak
    float keeps[QUERY_ROWS];    // what a higher peak leaves of the numerators before it
    float scales[QUERY_ROWS];   // of the block's probabilities
    int n;
};

// Queries (n, 64), `stride` floats apart.
inline void take_queries(const float* queries, int64_t stride, int n, Queries& q) {
    q.n = n;
    for (int r = 0; r < n; ++r) {
        q.factors[r] = quantize_symmetric(queries + r * stride, HEAD, q.bytes[r]) * 0.125f * 1.44269504f;
        q.peaks[r] = -std::numeric_limits<float>::infinity();
        q.sums[r] = 0.f;
    }
    std::memset(q.mixed, 0, n * sizeof(q.mixed[0]));
}

template <int ROWS>
inline void score_tile(Queries& q, int first, const HeadCache& cache, int block) {
    for (int p = 0; p < PANELS; ++p) {
        const int at = block * BLOCK + p * PANEL;
        dot_tile<ROWS>(
            q.bytes[first], HEAD, cache.keys + int64_t(at) * HEAD, HEAD / 4,
            [&](int j) AURICLE_INLINE { return _mm512_loadu_si512(cache.corrections + at + j * LANES); },
            [&](int r, int j, __m512i sums) AURICLE_INLINE {
                const __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(cache.key_scales + at + j * LANES),
                                                   _mm512_set1_ps(q.factors[first + r]));
                _mm512_store_ps(q.scores[first + r] + p * PANEL + j * LANES,
                                _mm512_mul_ps(_mm512_cvtepi32_ps(sums), scale));
            });
    }
}

// Numerators of one row's block, as bytes; `keeps`, `peaks`, `sums` and `scales` follow.
inline void softmax_block(Queries& q, int r, int n_positions) {
    constexpr int N = BLOCK / LANES;
    __m512 x[N], largest = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) {
        x[j] = _mm512_load_ps(q.scores[r] + j * LANES);
        if (n_positions < BLOCK) {  // the last block: what lies behind the end has no score
            const int left = n_positions - j * LANES;
            const __mmask16 mask = left >= LANES ? __mmask16(0xffff) : __mmask16(left > 0 ? (1u << left) - 1 : 0);
            x[j] = _mm512_mask_blend_ps(mask, _mm512_set1_ps(-1e30f), x[j]);
        }
        largest = _mm512_max_ps(largest, x[j]);
    }
    const float top = _mm512_reduce_max_ps(largest), before = q.peaks[r], peak = top > before ? top : before;
    __m512 sum = _mm512_setzero_ps();
    // The block's own top, as a power of two, becomes 255.
    const float block_scale = std::exp2(top - peak);
    const __m512 tops = _mm512_set1_ps(top);
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) {
        const __m512 e = exp2_coarse_ps(_mm512_sub_ps(x[j], tops));
        sum = _mm512_add_ps(sum, e);
        const __m512i bytes = _mm512_cvtps_epi32(_mm512_mul_ps(e, _mm512_set1_ps(255.f)));
        _mm_store_si128(reinterpret_cast<__m128i*>(q.probabilities[r] + j * LANES), _mm512_cvtepi32_epi8(bytes));
    }
    q.keeps[r] = top > before ? std::exp2(before - top) : 1.f;
    q.peaks[r] = peak;
    q.sums[r] = q.sums[r] * q.keeps[r] + _mm512_reduce_add_ps(sum) * block_scale;
    q.scales[r] = block_scale / 255.f;
}

template <int ROWS>
inline void mix_tile(Queries& q, int first, const HeadCache& cache, int block) {
    dot_tile<ROWS>(q.probabilities[first], BLOCK, cache.values + int64_t(block) * BLOCK * HEAD, BLOCK / 4, nothing,
                   [&](int r, int j, __m512i sums) AURICLE_INLINE {
                       const __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(cache.value_scales + block * HEAD + j * LANES),
                                                          _mm512_set1_ps(q.scales[first + r]));
                       float* at = q.mixed[first + r] + j * LANES;
                       const __m512 kept = _mm512_mul_ps(_mm512_load_ps(at), _mm512_set1_ps(q.keeps[first + r]));
                       _mm512_store_ps(at, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), scale, kept));
                   });
}

// out[r] = softmax(queries[r] · keys / 8) · values for queries that were just taken.
inline void attend(Queries& q, const HeadCache& cache, float* out, int64_t out_stride) {
    for (int block = 0; block < n_blocks(cache.n_positions); ++block) {
        for_tiles(q.n, [&](auto rows, int first) { score_tile<rows()>(q, first, cache, block); });
        for (int r = 0; r < q.n; ++r) softmax_block(q, r, cache.n_positions - block * BLOCK);
        for_tiles(q.n, [&](auto rows, int first) { mix_tile<rows()>(q, first, cache, block); });
    }
    for (int r = 0; r < q.n; ++r)
        for (int j = 0; j < HEAD; j += LANES)
            _mm512_storeu_ps(out + r * out_stride + j,
                             _mm512_mul_ps(_mm512_load_ps(q.mixed[r] + j), _mm512_set1_ps(1.f / q.sums[r])));
}

// The softmax itself, row by row (n, stride), once attend() has found peaks and sums.
inline void attention_weights(Queries& q, const HeadCache& cache, float* weights, int64_t stride) {
    for (int block = 0; block < n_blocks(cache.n_positions); ++block) {
        for_tiles(q.n, [&](auto rows, int first) { score_tile<rows()>(q, first, cache, block); });
        const int left = cache.n_positions - block * BLOCK, n = left < BLOCK ? left : BLOCK;
        for (int r = 0; r < q.n; ++r)
            for (int i = 0; i < n; ++i)
                weights[r * stride + block * BLOCK + i] = std::exp2(q.scores[r][i] - q.peaks[r]) / q.sums[r];
    }
}

}  // namespace auricle
