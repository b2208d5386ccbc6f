from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from eval.errors import ResultsError
from eval.noise.conditions import DEFAULT_SNRS_DB, Clean, Condition, NoiseKind, make_conditions
from eval.noise.plot import plot_noise, save_figure
from eval.noise.study import NoiseResult, NoiseStudy
from eval.scoring.types import ErrorGroup, Interval
from eval.wer import ErrorCounts


def group(n_errors: int, unit: str = "word") -> ErrorGroup:
    counts = ErrorCounts(
        hits=max(0, 100 - n_errors), substitutions=min(n_errors, 100), insertions=max(0, n_errors - 100)
    )
    return ErrorGroup(
        n_clips=20,
        n_failed=0,
        n_clusters=20,
        unit=unit,
        counts=counts,
        interval=Interval(low=0.8 * n_errors / 100, high=1.2 * n_errors / 100),
        words=counts,
        words_interval=None,
        characters=counts,
        characters_interval=None,
    )


def make_study(conditions: tuple[Condition, ...], n_clean: int = 5, unit: str = "word") -> NoiseStudy:
    results = tuple(
        NoiseResult(
            name=condition.name,
            family=condition.family,
            snr_db=condition.snr_db,
            group=group(n_clean if condition.snr_db is None else n_clean + round(40 - condition.snr_db), unit),
        )
        for condition in conditions
    )
    return NoiseStudy(config={"corpus": "tones"}, seed=0, normalizers=(), results=results)


@pytest.fixture
def everything() -> tuple[Condition, ...]:
    return make_conditions(NoiseKind, ["pub $5$"], ["hall", "cave"], DEFAULT_SNRS_DB)


def lines_of(axes) -> dict[str, list[float]]:
    return {
        line.get_label(): list(line.get_ydata()) for line in axes.get_lines() if not line.get_label().startswith("_")
    }


def labels_of(axes) -> set[str]:
    return {text.get_text() for text in axes.texts}


def test_one_study_has_its_noises_in_one_panel(everything) -> None:
    curves, rooms = plot_noise({"tiny.en": make_study(everything)}).axes
    lines = lines_of(curves)
    assert lines.pop("clean 5.0") == [5.0, 5.0]
    assert set(lines) == {"white", "babble", "pub $5$"}
    assert lines["white"] == pytest.approx([5, 15, 25, 35, 40, 45, 50, 55])
    assert labels_of(curves) == {"white", "babble", "pub $5$", "clean 5.0"}
    assert len(curves.collections) == 3, "a band for each line"
    left, right = curves.get_xlim()
    assert left > 40 > -10 > right, "noise grows to the right"
    assert curves.get_ylabel() == "WER, %"
    assert [label.get_text() for label in rooms.get_xticklabels()] == ["hall", "cave"]
    assert len(rooms.containers) == 2


def test_several_studies_have_a_panel_for_each_noise(everything) -> None:
    studies = {name: make_study(everything, n_clean) for name, n_clean in {"tiny.en": 6, "base": 4}.items()}
    white, babble, pub, rooms = plot_noise(studies).axes
    for axes, title in ((white, "white"), (babble, "babble"), (pub, "pub $5$"), (rooms, "reverberation")):
        assert axes.get_title(loc="left") == title
    assert set(lines_of(white)) == {"tiny.en", "base", "clean 6.0", "clean 4.0"}
    colours = {line.get_label(): to_hex(line.get_color()) for line in white.get_lines()}
    assert colours["tiny.en"] == colours["clean 6.0"] != colours["base"] == colours["clean 4.0"]
    assert len(rooms.containers) == 4


def test_labels_keep_apart(everything) -> None:
    (axes,) = plot_noise({"tiny.en": make_study(make_conditions(NoiseKind, ["a", "b", "c"], [], [0]))}).axes
    heights = sorted(text.xyann[1] for text in axes.texts)
    assert len(heights) == 6
    assert len(axes.collections) == 5, "one level has bars where several have bands"
    assert min(np.diff(heights)) >= 0.05
    assert max(heights) <= 1


def test_rates_from_zero_to_beyond_all_have_a_place() -> None:
    conditions = make_conditions([NoiseKind.WHITE], [], [], [40, -10])
    (axes,) = plot_noise({"m": make_study(conditions, n_clean=0)}).axes
    assert axes.get_ylim()[0] == 0
    (axes,) = plot_noise({"m": make_study(conditions, n_clean=120)}).axes
    assert axes.get_ylim() == (50, 500)


def test_rooms_alone_and_characters(everything) -> None:
    (rooms,) = plot_noise({"m": make_study(make_conditions([], [], ["hall"], []), unit="character")}).axes
    assert rooms.get_ylabel() == "CER, %"
    assert labels_of(rooms) == {"clean 5.0"}
    with pytest.raises(ResultsError, match="no noise and no room"):
        plot_noise({"m": make_study((Clean(),))})


def test_files_are_the_same_each_time(everything, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        figure = plot_noise({"tiny.en": make_study(everything)})
        save_figure(figure, tmp_path / folder / "noise.svg")
        save_figure(figure, tmp_path / folder / "noise.png")
    for name, start in (("noise.svg", b"<?xml"), ("noise.png", b"\x89PNG")):
        assert (tmp_path / "one" / name).read_bytes().startswith(start)
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    with pytest.raises(ResultsError, match="expected a file"):
        save_figure(figure, tmp_path / "none" / "noise.png")
