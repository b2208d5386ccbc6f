// The library's C interface. `auricle_is_supported` runs on every processor; everything else needs AVX-512 VNNI.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <climits>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>
#include <cmath>
#include <cstring>

#if !defined(__x86_64__) || !defined(__GNUC__)

extern "C" int auricle_is_supported() { return 0; }

#else

extern "C" int auricle_is_supported() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")
#include "alignment.hpp"
#include "selection.hpp"

extern "C" {

int64_t auricle_cross_cache_bytes(const auricle::Encoder* encoder, int32_t n_positions) {
    return auricle::cross_cache_bytes(*encoder, n_positions);
}

void auricle_encode(const auricle::Encoder* encoder, const float* mel, int32_t n_positions, float* features,
                    uint8_t* cross) {
    auricle::encode(*encoder, mel, n_positions, features, cross);
}

void auricle_extend(const auricle::Decoder* decoder, const auricle::NewToken* tokens, int32_t n_tokens,
                    const auricle::RowCache* rows, const auricle::WindowCache* windows, float* logits,
                    const auricle::Watch* watch) {
    auricle::extend(*decoder, tokens, n_tokens, *rows, windows, logits, watch);
}

// logits: (n, stride), changed in place; tokens, logprobs: (n, most) with the first `n_best` of each row filled.
void auricle_choose(float* logits, int32_t n, int64_t stride, int32_t n_vocab, const auricle::Choice* choices,
                    int32_t most, int32_t* tokens, float* logprobs) {
    auricle::in_parallel([&](auricle::Team& team) {
        team.share(n, [&](int i) {
            auricle::choose(logits + i * stride, n_vocab, choices[i], tokens + int64_t(i) * most,
                            logprobs + int64_t(i) * most);
        });
    });
}

// weights: (n_heads, n_tokens, stride), changed; starts: (n_tokens - 1 - first_row,) positions.
void auricle_align(float* weights, int32_t n_heads, int32_t n_tokens, int64_t stride, int32_t n_positions,
                   int32_t first_row, int32_t* starts) {
    const int32_t n_rows = n_tokens - 1 - first_row;
    std::vector<float> matrix(int64_t(n_rows) * n_positions);
    auricle::add_heads(weights, n_heads, n_tokens, stride, n_positions, first_row, matrix.data());
    auricle::warp(matrix.data(), n_rows, n_positions, starts);
}

// Of the kernels that the calling thread asks for.
void auricle_set_threads(int32_t n) { auricle::n_threads() = std::clamp(n, 1, auricle::MAX_THREADS); }

}

#endif
