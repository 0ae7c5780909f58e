import gzip

import pytest
import torch

from latentgeo.data import load_mnist

TEST_FILES = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


@pytest.fixture(scope="module")
def mnist_dir(provided):
    return provided("mnist", TEST_FILES[0])


def test_the_test_split_is_the_canonical_one(mnist_dir):
    images, labels = load_mnist("test", data_dir=mnist_dir)
    assert images.shape == (10000, 1, 28, 28)
    assert images.dtype == torch.float32
    assert (float(images.min()), float(images.max())) == (0.0, 1.0)
    assert labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_the_training_split_is_the_canonical_one(mnist_dir):
    images, labels = load_mnist(data_dir=mnist_dir)
    assert images.shape == (60000, 1, 28, 28)
    assert labels[:5].tolist() == [5, 0, 4, 1, 9]


@pytest.mark.parametrize("place", ["option", "variable", "cache"])
@pytest.mark.parametrize("below", [".", "mnist"])
def test_files_are_found_in_every_place(mnist_dir, tmp_path, monkeypatch, offline, place, below):
    root = offline if place == "cache" else tmp_path
    (root / below).mkdir(exist_ok=True)
    for name in TEST_FILES:
        (root / below / name).symlink_to(mnist_dir / name)
    if place == "variable":
        monkeypatch.setenv("LATENTGEO_DATA", str(root))
    _, labels = load_mnist("test", data_dir=root if place == "option" else None)
    assert len(labels) == 10000


def test_missing_files_without_network_say_where_and_what_and_how(tmp_path, offline):
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist("test", data_dir=tmp_path)
    sentence = str(caught.value)
    for part in (str(tmp_path), str(offline), *TEST_FILES, "data_dir", "LATENTGEO_DATA"):
        assert part in sentence


def test_another_content_is_refused_with_its_checksum(tmp_path):
    for name in TEST_FILES:
        (tmp_path / name).write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x01\x05"))
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte\.gz is corrupt: .* expected 2646ac64"):
        load_mnist("test", data_dir=tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"not gzip", gzip.compress(b"x" * 10000, mtime=0)[:-9], b""],
    ids=["not gzip", "cut off", "empty"],  # a name made of gzip's bytes holds the time of the collection
)
def test_a_truncated_file_is_named(tmp_path, content):
    for name in TEST_FILES:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte\.gz is"):
        load_mnist("test", data_dir=tmp_path)


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match=r"split: .* got 'valid'"):
        load_mnist("valid")
