// int8 matrix products on AVX-512 VNNI. Activations: uint8, one scale and zero point a row. Weights: int8, one scale an output channel,
// packed in panels of 64 channels, [N / 64][K / 4][64][4], so that a panel is read front to back.
#pragma once

#include <type_traits>
#include <utility>

#include "vector_math.hpp"

namespace auricle {

constexpr int PANEL = 64;     // output channels of a panel: four vectors
constexpr int TILE_ROWS = 6;  // 6 x 4 accumulators, 4 vectors of weights and one of activations fill the 32 registers

// y = scales * (weights · x) + bias. K is a multiple of 16, N is padded to a multiple of PANEL with zeros.
struct Linear {
    const int8_t* weights;
    const float* scales;
    const int32_t* sums;  // of a channel's weights: times a row's zero point it is what the shift added
    const float* bias;           // or null
    int32_t n_out, n_in;
};

#define AURICLE_INLINE __attribute__((always_inline))

// sums += four products each of unsigned x and signed w. In assembler, since GCC 12 copies and spills every sum otherwise.
inline AURICLE_INLINE void accumulate(__m512i& sums, __m512i x, __m512i w) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(x), "v"(w));
}

template <typename Step, int... I>
inline AURICLE_INLINE void unroll(const Step& step, std::integer_sequence<int, I...>) {
    (step(std::integral_constant<int, I>()), ...);
}

// step(0), step(1), …: with constant indices the compiler keeps arrays of vectors in registers.
template <int N, typename Step>
inline AURICLE_INLINE void unroll(const Step& step) {
    unroll(step, std::make_integer_sequence<int, N>());
}

// start(j) + the activations of row r · the panel's channels 16 j to 16 j + 15, to finish(r, j, sums). depth: K / 4.
template <int ROWS, typename Start, typename Finish>
inline AURICLE_INLINE void dot_tile(const uint8_t* a, int64_t stride, const int8_t* panel, int depth,
                                    const Start& start, const Finish& finish) {
    __m512i sums[ROWS][4], w[4];
    unroll<ROWS>([&](auto r) AURICLE_INLINE { unroll<4>([&](auto j) AURICLE_INLINE { sums[r][j] = start(j); }); });
    for (int k = 0; k < depth; ++k) {
        unroll<4>([&](auto j) AURICLE_INLINE { w[j] = _mm512_loadu_si512(panel + k * 256 + 64 * j); });
        unroll<ROWS>([&](auto r) AURICLE_INLINE {
            const __m512i x = _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(a + r * stride + 4 * k));
            unroll<4>([&](auto j) AURICLE_INLINE { accumulate(sums[r][j], x, w[j]); });
        });
    }
    unroll<ROWS>([&](auto r) AURICLE_INLINE {
        unroll<4>([&](auto j) AURICLE_INLINE { finish(r, j, sums[r][j]); });
    });
}

inline __m512i nothing(int) { return _mm512_setzero_si512(); }

// Calls tile(std::integral_constant<int, rows>, first_row) for whole tiles, then for the rest.
template <typename Tile>
inline AURICLE_INLINE void for_tiles(int n_rows, const Tile& tile) {
    int row = 0;
    for (; row + TILE_ROWS <= n_rows; row += TILE_ROWS) tile(std::integral_constant<int, TILE_ROWS>(), row);
    switch (n_rows - row) {
        case 5: tile(std::integral_constant<int, 5>(), row); break;
        case 4: tile(std::integral_constant<int, 4>(), row); break;
        case 3: tile(std::integral_constant<int, 3>(), row); break;
        case 2: tile(std::integral_constant<int, 2>(), row); break;
        case 1: tile(std::integral_constant<int, 1>(), row); break;
        default: break;
    }
}

// One panel for `ROWS` rows; store(row, channel, values) takes 16 finished values at a time.
template <int ROWS, typename Store>
inline AURICLE_INLINE void linear_tile(const uint8_t* a, const RowScale* scales, const Linear& layer, int panel,
                                       int first_row, const Store& store) {
    const int8_t* weights = layer.weights + int64_t(panel) * PANEL * layer.n_in;
    dot_tile<ROWS>(
        a + int64_t(first_row) * layer.n_in, layer.n_in, weights, layer.n_in / 4, nothing,
        [&](int r, int j, __m512i sums) AURICLE_INLINE {
            const int channel = panel * PANEL + j * LANES;
            const RowScale& own = scales[first_row + r];
            const __m512i shift = _mm512_mullo_epi32(_mm512_loadu_si512(layer.sums + channel), _mm512_set1_epi32(own.zero));
            const __m512 exact = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums, shift));
            const __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(layer.scales + channel), _mm512_set1_ps(own.scale));
            const __m512 bias = layer.bias ? _mm512_loadu_ps(layer.bias + channel) : _mm512_setzero_ps();
            store(first_row + r, channel, _mm512_fmadd_ps(exact, scale, bias));
        });
}

// All rows, panels `first_panel` to `end_panel`. Rows of a tile give the same result as alone: sums are whole numbers.
template <typename Store>
inline void linear(const uint8_t* a, const RowScale* scales, int n_rows, const Linear& layer, int first_panel,
                   int end_panel, const Store& store) {
    for (int panel = first_panel; panel < end_panel; ++panel)
        for_tiles(n_rows, [&](auto rows, int first) { linear_tile<rows()>(a, scales, layer, panel, first, store); });
}

inline int n_panels(const Linear& layer) { return (layer.n_out + PANEL - 1) / PANEL; }

}  // namespace auricle
