import gzip
import tarfile

import numpy as np
import pooch
import pytest
import torch

from latentgeo.data import load_cifar10

RECORD = 3073


def records(count: int, seed: int) -> bytes:
    """A batch of noise with classes 0 to 9."""
    draws = np.random.default_rng(seed).integers(0, 256, (count, RECORD), dtype=np.uint8)
    draws[:, 0] = draws[:, 0] % 10
    return draws.tobytes()


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_provided_files_are_natural_images_of_ten_classes(provided, split):
    """Channels first, rows next: neighbours along both axes are alike, colours of a pixel too."""
    name = {"train": "data_batch_1.bin.gz", "test": "test_batch.bin.gz"}[split]
    images, labels = load_cifar10(split, data_dir=provided("cifar10", name))
    assert images.shape == (len(labels), 3, 32, 32)
    assert images.dtype == torch.float32
    assert (float(images.min()), float(images.max())) == (0.0, 1.0)
    assert len(set(torch.bincount(labels, minlength=10).tolist())) == 1  # as many of each class
    spread = images.var()
    for axis in (1, 2, 3):
        assert images[:1000].diff(dim=axis).square().mean() < 0.3 * spread


def test_a_record_is_a_class_and_three_planes_of_rows(tmp_path):
    content = records(4, seed=0)
    (tmp_path / "test_batch.bin").write_bytes(content)
    images, labels = load_cifar10("test", data_dir=tmp_path)
    for n, channel, row, column in ((0, 0, 0, 0), (1, 2, 5, 7), (3, 1, 31, 30)):
        byte = content[n * RECORD + 1 + channel * 1024 + row * 32 + column]
        assert float(images[n, channel, row, column]) == pytest.approx(byte / 255)
    assert labels.tolist() == [content[n * RECORD] for n in range(4)]
    assert labels.dtype == torch.int64


def test_of_the_training_batches_those_that_are_there_are_taken_in_order(tmp_path):
    (tmp_path / "data_batch_4.bin").write_bytes(records(2, seed=4))
    (tmp_path / "data_batch_1.bin.gz").write_bytes(gzip.compress(records(3, seed=1)))
    images, labels = load_cifar10(data_dir=tmp_path)
    assert images.shape == (5, 3, 32, 32)
    expected = np.frombuffer(records(3, seed=1) + records(2, seed=4), dtype=np.uint8).reshape(-1, RECORD)
    assert labels.tolist() == expected[:, 0].tolist()
    assert torch.equal((images * 255).round().to(torch.uint8).flatten(1), torch.tensor(expected[:, 1:]))


@pytest.mark.parametrize("place", ["option", "variable", "cache"])
@pytest.mark.parametrize("below", [".", "cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin"])
def test_files_are_found_in_every_place(tmp_path, monkeypatch, offline, place, below):
    root = offline if place == "cache" else tmp_path
    (root / below).mkdir(exist_ok=True, parents=True)
    (root / below / "test_batch.bin").write_bytes(records(2, seed=0))
    if place == "variable":
        monkeypatch.setenv("LATENTGEO_DATA", str(root))
    _, labels = load_cifar10("test", data_dir=root if place == "option" else None)
    assert len(labels) == 2


def test_the_first_place_that_has_any_is_taken_alone(tmp_path, monkeypatch):
    for name, batch, count in (("first", 2, 2), ("second", 1, 3)):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"data_batch_{batch}.bin").write_bytes(records(count, seed=0))
    monkeypatch.setenv("LATENTGEO_DATA", str(tmp_path / "second"))
    assert len(load_cifar10(data_dir=tmp_path / "first").labels) == 2


def test_the_archive_is_downloaded_with_its_checksum_and_unpacked_into_the_cache(
    tmp_path, monkeypatch, offline
):
    (tmp_path / "test_batch.bin").write_bytes(records(2, seed=0))
    asked = {}

    def retrieve(url, known_hash, fname, path, processor):
        asked.update(url=url, known_hash=known_hash)
        path.mkdir()
        with tarfile.open(path / fname, "w:gz") as archive:
            archive.add(tmp_path / "test_batch.bin", "cifar-10-batches-bin/test_batch.bin")
        return processor(str(path / fname), "download", None)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert len(load_cifar10("test").labels) == 2
    assert asked["url"].endswith("cifar-10-binary.tar.gz")
    assert asked["known_hash"] == "md5:c32a1d4ab5d03f1284b67883e8d87530"
    asked.clear()
    assert len(load_cifar10("test").labels) == 2
    assert not asked  # the second time it is there


def test_missing_files_without_network_say_where_and_what_and_how(tmp_path, offline):
    with pytest.raises(FileNotFoundError) as caught:
        load_cifar10(data_dir=tmp_path)
    sentence = str(caught.value)
    for part in (
        str(tmp_path),
        str(offline),
        "data_batch_1.bin",
        "data_batch_5.bin",
        "data_dir",
        "LATENTGEO_DATA",
    ):
        assert part in sentence


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("test_batch.bin", records(2, seed=0)[:-1], "6145 bytes, expected a positive multiple of 3073"),
        ("test_batch.bin", b"", "0 bytes"),
        ("test_batch.bin", b"\x0a" + bytes(RECORD - 1), "a class 10, expected 0 to 9"),
        ("test_batch.bin.gz", gzip.compress(records(2, seed=0), mtime=0)[:-9], "no complete gzip file"),
        ("test_batch.bin.gz", records(2, seed=0), "no complete gzip file"),
        ("test_batch.bin.gz", gzip.compress(records(1, seed=0)[:-5], mtime=0), "3068 bytes"),
    ],
    ids=["cut off", "empty", "class", "gzip cut off", "not gzip", "gzip of a part"],
)
def test_a_corrupt_file_is_named(tmp_path, name, content, complaint):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=complaint) as caught:
        load_cifar10("test", data_dir=tmp_path)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match=r"split: .* got 'valid'"):
        load_cifar10("valid")
