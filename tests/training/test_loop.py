import csv
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from latentgeo.data import load_digits
from latentgeo.models import VAE, Autoencoder, MLPDecoder, MLPEncoder
from latentgeo.training import ELBO, fit, load_checkpoint


def vae(seed=0):
    torch.manual_seed(seed)
    return VAE(MLPEncoder(12, 2, hidden=(8,)), MLPDecoder(2, 12, hidden=(8,)))


def data(rows=50):
    return torch.rand(rows, 12, generator=torch.Generator().manual_seed(1))


def assert_same_weights(first, second):
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


class FailsAt:
    """The bound, but one call of it raises or answers something else."""

    def __init__(self, call, *, error=None, value=None):
        self.calls = itertools.count(1)
        self.call, self.error, self.value = call, error, value

    def __call__(self, model, x):
        loss = ELBO()(model, x)
        if next(self.calls) != self.call:
            return loss
        if self.error is not None:
            raise self.error
        return loss * self.value


def test_the_loop_is_the_bare_loop_written_out():
    fitted, bare, x = vae(), vae(), data()
    history = fit(fitted, x, epochs=2, batch_size=20, seed=7, progress=False)
    torch.manual_seed(7)
    optimizer = torch.optim.Adam(bare.parameters(), lr=1e-3, fused=True)
    means = []
    for _ in range(2):
        total = 0.0
        for rows in torch.randperm(50).split(20):
            loss = ELBO()(bare, x[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        means.append(total / 50)
    assert_same_weights(fitted, bare)
    assert history.losses == pytest.approx(means, rel=1e-6)
    assert [record.epoch for record in history] == [1, 2]
    assert all(record.seconds > 0 for record in history)


def test_the_loss_falls():
    history = fit(vae(), data(), epochs=30, batch_size=10, seed=0, progress=False)
    assert history.losses[-1] < history.losses[0]


def test_equal_seeds_give_equal_weights_and_others_do_not():
    models = [vae(), vae(), vae()]
    for model, seed in zip(models, (5, 5, 6), strict=True):
        fit(model, data(), epochs=2, seed=seed, progress=False)
    assert_same_weights(models[0], models[1])
    assert not torch.equal(models[0].decoder.net[0].weight, models[2].decoder.net[0].weight)


def test_a_seeded_fit_leaves_the_callers_generators_alone():
    model = vae()
    torch.manual_seed(3)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fit(model, data(), epochs=1, seed=0, progress=False)
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(numpy_before, np.random.get_state()[1])  # noqa: NPY002


def test_a_seeded_fit_that_fails_leaves_the_callers_generators_alone():
    model = vae()
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError):
        fit(model, data(), epochs=1, seed=0, objective=FailsAt(1, error=RuntimeError()), progress=False)
    assert torch.equal(before, torch.get_rng_state())


def test_an_unseeded_fit_follows_the_callers_generator():
    first, second = vae(), vae()
    torch.manual_seed(3)
    fit(first, data(), epochs=1, progress=False)
    torch.manual_seed(3)
    fit(second, data(), epochs=1, progress=False)
    assert_same_weights(first, second)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_trains_in_training_mode_and_is_left_in_eval_mode(training):
    model, modes = vae().train(training), []

    def objective(model, x):
        modes.append(model.training)
        return ELBO()(model, x)

    fit(model, data(), objective=objective, epochs=1, progress=False)
    assert all(modes)
    assert not model.training


def test_numpy_and_images_are_taken_and_left_as_they_are():
    x = data().double().numpy().reshape(50, 1, 3, 4)
    before = x.copy()
    first, second = vae(), vae()
    fit(first, x, epochs=1, seed=0, progress=False)
    fit(second, data(), epochs=1, seed=0, progress=False)
    assert_same_weights(first, second)
    assert np.array_equal(x, before)


def test_any_model_and_objective_can_be_trained():
    model = Autoencoder(nn.Linear(12, 2), nn.Linear(2, 12))
    history = fit(
        model,
        data(),
        objective=lambda model, x: nn.functional.mse_loss(model(x), x),
        epochs=20,
        batch_size=10,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        progress=False,
    )
    assert history.losses[-1] < history.losses[0]


@pytest.mark.parametrize(
    "optimizer", [torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.SGD]
)
def test_resumed_training_equals_uninterrupted(tmp_path, optimizer):
    def run(model, epochs, folder, resume=False):
        made = optimizer(model.parameters(), lr=1e-3)
        return fit(
            model,
            data(),
            epochs=epochs,
            batch_size=20,
            optimizer=made,
            seed=4,
            checkpoint_dir=folder,
            resume=resume,
            progress=False,
        )

    whole, first, second = vae(), vae(), vae(seed=9)
    expected = run(whole, 5, tmp_path / "whole")
    run(first, 2, tmp_path / "parts")
    torch.manual_seed(123)
    before = torch.get_rng_state()
    history = run(second, 5, tmp_path / "parts", resume=True)
    assert torch.equal(before, torch.get_rng_state())
    assert_same_weights(whole, second)
    assert history.losses == expected.losses


@pytest.mark.parametrize("every", [1, 10])
def test_interrupted_training_resumes_as_if_nothing_had_happened(tmp_path, every):
    def run(model, objective=ELBO(), resume=False, folder=None):  # noqa: B008
        return fit(
            model,
            data(),
            objective=objective,
            epochs=4,
            batch_size=20,
            seed=4,
            checkpoint_dir=folder,
            checkpoint_every=every,
            resume=resume,
            progress=False,
        )

    whole, model = vae(), vae()
    expected = run(whole)
    with pytest.raises(KeyboardInterrupt):
        run(model, FailsAt(8, error=KeyboardInterrupt()), folder=tmp_path)
    assert not model.training
    model = vae(seed=9)
    assert load_checkpoint(tmp_path / "checkpoint.safetensors", model).epoch == 2
    history = run(model, resume=True, folder=tmp_path)
    assert_same_weights(whole, model)
    assert history.losses == expected.losses


def test_resume_without_a_checkpoint_starts_afresh(tmp_path):
    first, second = vae(), vae()
    fit(first, data(), epochs=2, seed=0, progress=False)
    fit(second, data(), epochs=2, seed=0, checkpoint_dir=tmp_path / "new", resume=True, progress=False)
    assert_same_weights(first, second)


def test_an_unseeded_run_that_finds_nothing_to_resume_advances_the_callers_generator(tmp_path):
    first, second = vae(), vae()
    torch.manual_seed(3)
    fit(first, data(), epochs=1, progress=False)
    expected = torch.get_rng_state()
    torch.manual_seed(3)
    fit(second, data(), epochs=1, checkpoint_dir=tmp_path, resume=True, progress=False)
    assert_same_weights(first, second)
    assert torch.equal(torch.get_rng_state(), expected)


def test_a_fresh_run_that_fails_leaves_the_earlier_one_aside_and_not_to_be_resumed(tmp_path):
    first, resumed, fresh = vae(), vae(), vae()
    fit(first, data(), epochs=5, checkpoint_dir=tmp_path, progress=False)
    objective = FailsAt(1, error=RuntimeError())
    with pytest.raises(RuntimeError):
        fit(vae(), data(), epochs=2, objective=objective, checkpoint_dir=tmp_path, progress=False)
    load_checkpoint(tmp_path / "checkpoint.safetensors.previous", resumed)
    assert_same_weights(first, resumed)
    resumed = vae()
    history = fit(resumed, data(), epochs=2, seed=0, checkpoint_dir=tmp_path, resume=True, progress=False)
    assert history.losses == fit(fresh, data(), epochs=2, seed=0, progress=False).losses
    assert_same_weights(fresh, resumed)
    assert {file.name for file in tmp_path.iterdir()} == {"checkpoint.safetensors", "history.csv"}


def test_resuming_a_finished_run_only_loads_it(tmp_path):
    first, second = vae(), vae(seed=9)
    expected = fit(first, data(), epochs=2, seed=0, checkpoint_dir=tmp_path, progress=False)
    history = fit(second, data(), epochs=2, checkpoint_dir=tmp_path, resume=True, progress=False)
    assert_same_weights(first, second)
    assert history == expected


def test_a_loss_that_is_not_finite_stops_with_its_place_and_keeps_the_last_good_checkpoint(tmp_path):
    model = vae()
    with pytest.raises(FloatingPointError, match="nan in epoch 3, step 2 of 3"):
        fit(
            model,
            data(),
            objective=FailsAt(8, value=math.nan),
            epochs=9,
            batch_size=20,
            checkpoint_dir=tmp_path,
            checkpoint_every=5,
            progress=False,
        )
    checkpoint = load_checkpoint(tmp_path / "checkpoint.safetensors", model)
    assert checkpoint.epoch == 2
    assert all(bool(value.isfinite().all()) for value in model.parameters())


def test_weights_spoilt_by_the_last_step_of_an_epoch_never_reach_a_checkpoint(tmp_path):
    model = Autoencoder(nn.Linear(12, 2), nn.Linear(2, 12))

    def objective(model, x):
        # Finite, but the derivative of sqrt at 0 is not.
        return (model(x) - model(x)).square().sum().sqrt() * model.encoder.weight.sum()

    with pytest.raises(FloatingPointError, match="weight held NaN or infinity after epoch 1"):
        fit(model, data(), objective=objective, epochs=2, checkpoint_dir=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_history_is_kept_as_csv(tmp_path):
    history = fit(vae(), data(), epochs=3, checkpoint_dir=tmp_path, progress=False)
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [float(row["loss"]) for row in rows] == history.losses


def test_the_bar_shows_the_loss(capsys):
    fit(vae(), data(), epochs=2, batch_size=20)
    shown = capsys.readouterr().err
    assert "6/6" in shown
    assert "loss=" in shown


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"epochs: .* got 0"):
        fit(vae(), data(), epochs=0)
    with pytest.raises(ValueError, match="batch_size"):
        fit(vae(), data(), epochs=1, batch_size=0)
    with pytest.raises(ValueError, match="checkpoint_dir"):
        fit(vae(), data(), epochs=1, resume=True)
    with pytest.raises(ValueError, match=r"data: .* N at least 1"):
        fit(vae(), torch.zeros(0, 12), epochs=1)
    with pytest.raises(ValueError, match=r"epochs: .* got 2\.5"):
        fit(vae(), data(), epochs=2.5)
    with pytest.raises(TypeError, match=r"data: expected a tensor or an array .* got LabelledImages"):
        fit(vae(), load_digits(), epochs=1)
    with pytest.raises(TypeError, match="data: expected floating"):
        fit(vae(), torch.zeros(5, 12, dtype=torch.uint8), epochs=1)
    with pytest.raises(ValueError, match="model: expected parameters"):
        fit(nn.Identity(), data(), epochs=1)
