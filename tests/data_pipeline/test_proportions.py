import pytest

from data_pipeline.proportions import Proportion


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3; and the interval's own bounds.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (9, 9, 0.7009, 1.0),
    ],
)
def test_intervals(k: int, n: int, low: float, high: float):
    part = Proportion(k=k, n=n)
    assert part.rate == k / n
    assert part.interval == pytest.approx((low, high), abs=5e-5)


def test_of_none_there_is_no_rate():
    assert Proportion(k=0, n=0).rate is None
    assert Proportion(k=0, n=0).interval is None
