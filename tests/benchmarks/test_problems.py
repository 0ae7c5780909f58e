"""Trained problems: the cache gives what training gave, and a recipe is all that a decoder depends on."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path

import problems
import pytest
import torch
from autoencoders import GreyLevels, RBFDigits
from residual import ResidualColours, read_cifar10

GREY = GreyLevels(latent_dim=3, data="digits", hidden=(8,), epochs=1)
RBF = RBFDigits(data="digits", per_class=60, epochs=1, num_centers=8)
COLOURS = ResidualColours(latent_dim=4, widths=(8, 6, 4, 4), steps=3, batch_size=4)


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """Records of a small set in CIFAR-10's layout, found through LATENTGEO_DATA."""
    records = torch.randint(256, (30, 3073), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    records[:, 0] %= 10
    (tmp_path / "cifar10").mkdir()
    for name in ("data_batch_1.bin.gz", "test_batch.bin.gz"):
        (tmp_path / "cifar10" / name).write_bytes(gzip.compress(records.numpy().tobytes()))
    monkeypatch.setenv("LATENTGEO_DATA", str(tmp_path))
    return records


@pytest.mark.parametrize("recipe", [GREY, RBF, COLOURS], ids=lambda r: type(r).__name__)
def test_cache_gives_what_training_gave(recipe, cifar10, tmp_path: Path, monkeypatch) -> None:
    first = problems.prepare("some", recipe, pairs=5, cache=tmp_path)
    before = torch.get_rng_state()
    again = problems.prepare("some", recipe, pairs=5, cache=tmp_path / "other")
    assert torch.equal(torch.get_rng_state(), before)

    monkeypatch.setattr(type(recipe), "train", None)  # neither trained anew nor in need of the data
    cached = problems.prepare("some", recipe, pairs=5, cache=tmp_path)
    torch.testing.assert_close(cached.metric()(cached.start), first.metric()(first.start), rtol=0, atol=0)
    torch.testing.assert_close(again.metric()(again.start), first.metric()(first.start))
    assert cached.start.shape == cached.end.shape == (5, cached.latents.shape[1])
    assert not any(module.training for module in cached.decoder.modules())
    header = json.loads(next(tmp_path.glob("some-*.json")).read_text())
    assert header["description"] == recipe.description
    assert header["seed"] == recipe.seed


@pytest.mark.parametrize("recipe", [GREY, RBF, COLOURS], ids=lambda r: type(r).__name__)
def test_every_field_of_a_recipe_changes_its_digest(recipe) -> None:
    digests = {problems.digest(recipe)}
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        other = value[:-1] if isinstance(value, tuple) else "mnist" if isinstance(value, str) else value + 1
        digests.add(problems.digest(dataclasses.replace(recipe, **{field.name: other})))
    assert len(digests) == 1 + len(dataclasses.fields(recipe))


def test_points_are_codes_of_data_in_another_dtype_too(tmp_path: Path) -> None:
    single = problems.prepare("some", GREY, pairs=5, cache=tmp_path)
    double = problems.prepare("some", GREY, pairs=5, cache=tmp_path, dtype=torch.float64)
    assert double.metric()(double.end).dtype == torch.float64
    torch.testing.assert_close(double.latents.float(), single.latents)
    torch.testing.assert_close(double.metric()(double.end).float(), single.metric()(single.end))


def test_std_of_the_stochastic_decoder_grows_away_from_the_data(tmp_path: Path) -> None:
    problem = problems.prepare("some", RBF, pairs=5, cache=tmp_path)
    near, far = (problem.decoder(z)[1].mean() for z in (problem.latents, 100 + problem.latents))
    assert far > 2 * near


def test_wrong_names_and_too_many_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name: expected one of mnist2"):
        problems.load("mnist3")
    with pytest.raises(ValueError, match="pairs: expected a number from 1 to 148"):
        problems.prepare("some", GREY, pairs=149, cache=tmp_path)


def test_cifar10_is_read_channel_by_channel(cifar10: torch.Tensor) -> None:
    images = read_cifar10("train", None)
    assert images.shape == (30, 3, 32, 32)
    assert images[7, 2, 5, 9] == cifar10[7, 1 + 2 * 1024 + 5 * 32 + 9] / 255


def test_files_of_another_kind_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("LATENTGEO_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"data_batch_1\.bin"):
        read_cifar10("train", tmp_path)
    for content in (b"\0" * 3072, b"\x0b" + b"\0" * 3072):
        (tmp_path / "data_batch_1.bin").write_bytes(content)
        with pytest.raises(ValueError, match=r"no binary file of CIFAR-10"):
            read_cifar10("train", tmp_path)
