import numpy as np
import pytest
import scipy.io
import torch

from latentgeo.data import load_frey_faces

NAME = "frey_rawface.mat"


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (560, 1965), dtype=np.uint8)


@pytest.mark.parametrize("options", [{}, {"do_compression": True}, {"format": "4"}], ids=str)
def test_a_column_is_a_frame_of_28_rows(tmp_path, pixels, options):
    scipy.io.savemat(tmp_path / NAME, {"ff": pixels}, **options)
    images = load_frey_faces(data_dir=tmp_path)
    assert images.shape == (1965, 1, 28, 20)
    assert images.dtype == torch.float32
    for frame, row, column in ((0, 0, 0), (3, 0, 19), (3, 1, 0), (1964, 27, 19)):
        assert float(images[frame, 0, row, column]) == pytest.approx(pixels[20 * row + column, frame] / 255)


@pytest.mark.parametrize("place", ["option", "variable", "cache"])
@pytest.mark.parametrize("below", [".", "frey"])
def test_the_file_is_found_in_every_place(tmp_path, monkeypatch, offline, pixels, place, below):
    root = offline if place == "cache" else tmp_path
    (root / below).mkdir(exist_ok=True)
    scipy.io.savemat(root / below / NAME, {"ff": pixels})
    if place == "variable":
        monkeypatch.setenv("LATENTGEO_DATA", str(root))
    assert len(load_frey_faces(data_dir=root if place == "option" else None)) == 1965


def test_a_missing_file_says_where_and_what_and_how(tmp_path, offline):
    with pytest.raises(FileNotFoundError) as caught:
        load_frey_faces(data_dir=tmp_path)
    for part in (
        str(tmp_path),
        str(offline),
        NAME,
        "https://cs.nyu.edu/~roweis",
        "data_dir",
        "LATENTGEO_DATA",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kept", [0, 3, 100, 130, 150, 200, 100_000, -1])
def test_a_file_that_is_cut_off_is_named(tmp_path, pixels, compressed, kept):
    path = tmp_path / NAME
    scipy.io.savemat(path, {"ff": pixels}, do_compression=compressed)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"is (no complete MATLAB|another) file") as caught:
        load_frey_faces(data_dir=tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"faces": np.zeros((560, 1965), np.uint8)}, "no variable 'ff'"),
        (
            {"ff": np.zeros((1965, 560), np.uint8)},
            r"'ff' is uint8 \(1965, 560\), expected uint8 \(560, 1965\)",
        ),
        ({"ff": np.zeros((560, 1965))}, "'ff' is float64"),
    ],
)
def test_another_file_is_named(tmp_path, variables, complaint):
    scipy.io.savemat(tmp_path / NAME, variables)
    with pytest.raises(ValueError, match=rf"{NAME} is another file: .*{complaint}"):
        load_frey_faces(data_dir=tmp_path)


def test_a_file_that_is_none_of_matlabs_is_named(tmp_path):
    (tmp_path / NAME).write_bytes(b"\x89HDF\r\n" + bytes(1000))
    with pytest.raises(ValueError, match=f"{NAME} is no complete MATLAB file"):
        load_frey_faces(data_dir=tmp_path)
