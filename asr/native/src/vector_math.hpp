// Vectors of 16 float32 and what the layers do between two matrix products: exp, GELU, layer norm, quantization.
// Everything here reads and writes one row; rows never touch each other, so a row's result does not depend on its
// company in a batch.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <limits>

namespace auricle {

constexpr int LANES = 16;

// e^x for x <= 88, within 2 units in the last place; 0 far below. Cody-Waite reduction, Taylor polynomial of degree 6.
inline __m512 exp_ps(__m512 x) {
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.f / 720);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.f));
    return _mm512_scalef_ps(p, n);
}

// 2^x for x <= 0, within 1e-4: what becomes 8 bits, or is one of a thousand summands, needs no more.
inline __m512 exp2_coarse_ps(__m512 x) {
    const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT);
    const __m512 r = _mm512_sub_ps(x, n);
    __m512 p = _mm512_set1_ps(0.0558263180f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.240153617f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.693153073f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.999999994f));
    return _mm512_scalef_ps(p, n);
}

// x Φ(x), with erf from Abramowitz and Stegun 7.1.26 (absolute error 1.5e-7).
inline __m512 gelu_ps(__m512 x) {
    const __m512 z = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678f));
    const __m512 one = _mm512_set1_ps(1.f);
    const __m512 t = _mm512_div_ps(one, _mm512_fmadd_ps(_mm512_set1_ps(0.3275911f), z, one));
    __m512 p = _mm512_set1_ps(1.061405429f);
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-1.453152027f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(1.421413741f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-0.284496736f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.254829592f));
    const __m512 tail = _mm512_mul_ps(_mm512_mul_ps(p, t), exp_ps(_mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(z, z))));
    // erf(|x| / √2) = 1 - tail; x Φ(x) = x (1 ± (1 - tail)) / 2
    const __m512 erf = _mm512_sub_ps(one, tail);
    const __m512 half = _mm512_mul_ps(x, _mm512_set1_ps(0.5f));
    const __m512 odd = _mm512_mul_ps(_mm512_abs_ps(half), erf);  // x erf(x / √2) / 2 is even in x
    return _mm512_add_ps(half, odd);
}

// (x - mean) / sqrt(variance + 1e-5) * weight + bias; n is a multiple of 16.
inline void layer_norm(const float* x, const float* weight, const float* bias, int n, float* out) {
    __m512 sum = _mm512_setzero_ps();
    for (int i = 0; i < n; i += LANES) sum = _mm512_add_ps(sum, _mm512_loadu_ps(x + i));
    const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / n);
    __m512 squares = _mm512_setzero_ps();
    for (int i = 0; i < n; i += LANES) {
        const __m512 d = _mm512_sub_ps(_mm512_loadu_ps(x + i), mean);
        squares = _mm512_fmadd_ps(d, d, squares);
    }
    const __m512 inverse = _mm512_set1_ps(1.f / __builtin_sqrtf(_mm512_reduce_add_ps(squares) / n + 1e-5f));
    for (int i = 0; i < n; i += LANES) {
        const __m512 d = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(x + i), mean), inverse);
        _mm512_storeu_ps(out + i, _mm512_fmadd_ps(d, _mm512_loadu_ps(weight + i), _mm512_loadu_ps(bias + i)));
    }
}

// How a row of activations became bytes: x ~ scale * (q - zero).
struct RowScale {
    float scale;
    int32_t zero;
};

// uint8 from the least value of a row to its largest; 0 is exact. n is a multiple of 16. Rows are seldom symmetric:
// what GELU leaves is nearly all positive.
inline RowScale quantize_row(const float* x, int n, uint8_t* q) {
    __m512 low = _mm512_setzero_ps(), high = _mm512_setzero_ps();
    for (int i = 0; i < n; i += LANES) {
        const __m512 values = _mm512_loadu_ps(x + i);
        low = _mm512_min_ps(low, values);
        high = _mm512_max_ps(high, values);
    }
    const float least = _mm512_reduce_min_ps(low), range = _mm512_reduce_max_ps(high) - least;
    const float inverse = range > 0.f ? 255.f / range : 0.f;
    const int zero = int(__builtin_rintf(-least * inverse));
    const __m512 factor = _mm512_set1_ps(inverse);
    for (int i = 0; i < n; i += LANES) {
        const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), factor));
        const __m512i shifted = _mm512_add_epi32(rounded, _mm512_set1_epi32(zero));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(q + i),
                         _mm512_cvtusepi32_epi8(_mm512_max_epi32(shifted, _mm512_setzero_si512())));
    }
    return {range / 255.f, zero};
}

// The same around 128, for queries and keys, whose scores know no zero point. Returns the scale.
inline float quantize_symmetric(const float* x, int n, uint8_t* q) {
    __m512 largest = _mm512_setzero_ps();
    for (int i = 0; i < n; i += LANES) largest = _mm512_max_ps(largest, _mm512_abs_ps(_mm512_loadu_ps(x + i)));
    const float peak = _mm512_reduce_max_ps(largest);
    const __m512 inverse = _mm512_set1_ps(peak > 0.f ? 127.f / peak : 0.f);
    for (int i = 0; i < n; i += LANES) {
        const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), inverse));
        const __m512i shifted = _mm512_add_epi32(rounded, _mm512_set1_epi32(128));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(q + i), _mm512_cvtepi32_epi8(shifted));
    }
    return peak / 127.f;
}

// Of x[first] to x[end].
inline float largest(const float* x, int first, int end) {
    __m512 most = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
    for (int i = first; i < end; i += LANES) {
        const __mmask16 mask = end - i >= LANES ? __mmask16(0xffff) : __mmask16((1u << (end - i)) - 1);
        most = _mm512_mask_max_ps(most, mask, most, _mm512_maskz_loadu_ps(mask, x + i));
    }
    return _mm512_reduce_max_ps(most);
}

// Sum of e^((x - peak) * factor).
inline float sum_exp(const float* x, int first, int end, float peak, float factor) {
    __m512 total = _mm512_setzero_ps();
    for (int i = first; i < end; i += LANES) {
        const __mmask16 mask = end - i >= LANES ? __mmask16(0xffff) : __mmask16((1u << (end - i)) - 1);
        const __m512 shifted = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), _mm512_set1_ps(peak));
        const __m512 floored = _mm512_max_ps(_mm512_mul_ps(shifted, _mm512_set1_ps(factor)), _mm512_set1_ps(-1000.f));
        total = _mm512_mask_add_ps(total, mask, total, exp_ps(floored));
    }
    return _mm512_reduce_add_ps(total);
}

}  // namespace auricle
