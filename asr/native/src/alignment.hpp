// Where each token was heard: from the attention of some heads to one path on which time only moves on. The same
// arithmetic as asr/decoding/alignment.py, which has the reasons.
#pragma once

#include <algorithm>

#include "vector_math.hpp"

namespace auricle {

constexpr int MEDIAN_WIDTH = 7, MARGIN = MEDIAN_WIDTH / 2;

// The median of seven vectors, lane by lane (Devillard's network of 13 exchanges).
inline __m512 median_of_7(__m512 p[MEDIAN_WIDTH]) {
    const auto exchange = [&](int a, int b) {
        const __m512 low = _mm512_min_ps(p[a], p[b]);
        p[b] = _mm512_max_ps(p[a], p[b]);
        p[a] = low;
    };
    exchange(0, 5); exchange(0, 3); exchange(1, 6);
    exchange(2, 4); exchange(0, 1); exchange(3, 5);
    exchange(2, 6); exchange(2, 3); exchange(3, 6);
    exchange(4, 5); exchange(1, 4); exchange(1, 3);
    exchange(3, 4);
    return p[3];
}

// weights: (n_heads, n_tokens, stride), changed; matrix: (n_tokens - 1 - first_row, n_positions), zeros at first.
inline void add_heads(float* weights, int n_heads, int n_tokens, int64_t stride, int n_positions, int first_row,
                      float* matrix) {
    const int n_rows = n_tokens - 1 - first_row;
    std::vector<float> mean(n_positions + LANES), inverse(n_positions + LANES), padded(n_positions + 2 * MARGIN + LANES);
    for (int head = 0; head < n_heads; ++head) {
        float* rows = weights + head * n_tokens * stride;
        for (int t = 0; t < n_tokens; ++t) {  // what the padding took is left out
            float sum = 0.f;
            for (int s = 0; s < n_positions; ++s) sum += rows[t * stride + s];
            sum = std::max(sum, std::numeric_limits<float>::min());  // where padding took all, nothing is left
            for (int s = 0; s < n_positions; ++s) rows[t * stride + s] /= sum;
        }
        for (int s = 0; s < n_positions; ++s) {
            double total = 0, squares = 0;
            for (int t = 0; t < n_tokens; ++t) total += rows[t * stride + s];
            mean[s] = float(total / n_tokens);
            for (int t = 0; t < n_tokens; ++t) {
                const double d = rows[t * stride + s] - mean[s];
                squares += d * d;
            }
            inverse[s] = 1.f / std::max(float(std::sqrt(squares / n_tokens)), std::numeric_limits<float>::min());
        }
        for (int t = 0; t < n_rows; ++t) {
            const float* row = rows + (first_row + t) * stride;
            float* unusual = padded.data() + MARGIN;
            for (int s = 0; s < n_positions; ++s) unusual[s] = (row[s] - mean[s]) * inverse[s];
            float* sums = matrix + int64_t(t) * n_positions;
            if (n_positions <= MARGIN) {  // nothing to mirror
                for (int s = 0; s < n_positions; ++s) sums[s] += unusual[s];
                continue;
            }
            for (int i = 1; i <= MARGIN; ++i) {
                unusual[-i] = unusual[i];
                unusual[n_positions - 1 + i] = unusual[n_positions - 1 - i];
            }
            for (int s = 0; s < n_positions; s += LANES) {
                __m512 p[MEDIAN_WIDTH];
                for (int i = 0; i < MEDIAN_WIDTH; ++i) p[i] = _mm512_loadu_ps(unusual + s + i - MARGIN);
                const int left = n_positions - s;
                const __mmask16 mask = left >= LANES ? __mmask16(0xffff) : __mmask16((1u << left) - 1);
                const __m512 sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, sums + s), median_of_7(p));
                _mm512_mask_storeu_ps(sums + s, mask, sum);
            }
        }
    }
}

// starts[row]: the column in which the row is entered by the path of the greatest sum from the first cell to the last,
// moving down, right or both at once (dynamic time warping).
inline void warp(const float* matrix, int n_rows, int n_columns, int32_t* starts) {
    enum : uint8_t { RIGHT, DOWN, BOTH };
    std::vector<uint8_t> moves(int64_t(n_rows) * n_columns, RIGHT);
    std::vector<double> best(n_columns);
    for (int row = 0; row < n_rows; ++row) {
        double diagonal = 0;  // of the row above, one column to the left
        for (int column = 0; column < n_columns; ++column) {
            const double gain = matrix[int64_t(row) * n_columns + column], above = best[column];
            uint8_t& move = moves[int64_t(row) * n_columns + column];
            double sum = gain;
            if (row == 0) {
                if (column) sum += best[column - 1];
            } else if (column == 0) {
                sum += above;
                move = DOWN;
            } else {
                // best[column - 1] is of this row already.
                const double entered = std::max(diagonal, above);
                sum += std::max(best[column - 1], entered);
                if (entered > best[column - 1]) move = diagonal > above ? BOTH : DOWN;
            }
            diagonal = above;
            best[column] = sum;
        }
    }
    int row = n_rows - 1, column = n_columns - 1;
    while (row > 0) {
        const uint8_t move = moves[int64_t(row) * n_columns + column];
        if (move == RIGHT) {
            --column;
            continue;
        }
        starts[row] = column;
        if (move == BOTH) --column;
        --row;
    }
    starts[0] = 0;
}

}  // namespace auricle
