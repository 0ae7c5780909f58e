import csv
import signal

import numpy as np
import pytest
import torch
from torch import nn

from latentgeo.models import VAE, Autoencoder, MLPDecoder, MLPEncoder
from latentgeo.training import ELBO, IWAE, BurdaSchedule, Checkpoint, ReconstructionLoss, evaluate, fit


def vae(seed=0):
    torch.manual_seed(seed)
    return VAE(MLPEncoder(12, 2, hidden=(8,)), MLPDecoder(2, 12, hidden=(8,)))


def data(rows=50, seed=1):
    return torch.rand(rows, 12, generator=torch.Generator().manual_seed(seed))


def train(model, epochs=3, **options):
    return fit(model, data(), epochs=epochs, **({"batch_size": 20, "seed": 7, "progress": False} | options))


def assert_same_weights(first, second):
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


def different(first, second):
    return not torch.equal(first.decoder.net[0].weight, second.decoder.net[0].weight)


def test_the_loop_with_everything_is_the_bare_loop_written_out():
    fitted, bare, x, held_out = vae(), vae(), data(), data(30, seed=2)
    schedule = BurdaSchedule(num_stages=2, first=1e-2, last=1e-3)
    history = train(fitted, schedule=schedule, transform=torch.bernoulli, validation=held_out)
    expected = []
    torch.manual_seed(7)
    optimizer = torch.optim.Adam(bare.parameters(), fused=True)
    for epoch in (1, 2, 3):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 if epoch == 1 else 1e-3
        for rows in torch.randperm(50).split(20):
            loss = ELBO()(bare, torch.bernoulli(x[rows]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        state = torch.get_rng_state()
        expected.append(evaluate(bare, held_out, transform=torch.bernoulli, batch_size=20, seed=0))
        torch.set_rng_state(state)
    assert_same_weights(fitted, bare)
    assert history.validation == pytest.approx(expected, rel=1e-6)


def test_a_full_batch_is_the_data_in_their_order():
    seen, model, bare = [], vae(), vae()

    def objective(model, x):
        seen.append(x)
        return ELBO()(model, x)

    train(model, batch_size=None, objective=objective)
    assert len(seen) == 3
    assert all(torch.equal(x, data()) for x in seen)
    torch.manual_seed(7)
    optimizer = torch.optim.Adam(bare.parameters(), lr=1e-3, fused=True)
    for _ in range(3):
        optimizer.zero_grad()
        ELBO()(bare, data()).backward()
        optimizer.step()
    assert_same_weights(model, bare)


def test_random_binarization_draws_each_batch_anew_and_follows_the_seed():
    seen = []

    def objective(model, x):
        seen.append(x)
        return ELBO()(model, x)

    models = [vae(), vae(), vae()]
    for model, seed in zip(models, (7, 7, 8), strict=True):
        train(model, epochs=2, batch_size=None, transform=torch.bernoulli, objective=objective, seed=seed)
    assert set(torch.cat(seen).unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])
    assert_same_weights(models[0], models[1])
    assert different(models[0], models[2])


@pytest.mark.parametrize("batch_size", [20, None])
def test_a_transform_may_write_into_its_batch(batch_size):
    x, held_out = data(), data(30, seed=2)
    options = {"epochs": 2, "batch_size": batch_size, "seed": 7, "progress": False}
    first, second = vae(), vae()
    fit(first, x, transform=lambda batch: batch.mul_(0.5), validation=held_out, **options)
    assert torch.equal(x, data())
    assert torch.equal(held_out, data(30, seed=2))
    fit(second, x, transform=lambda batch: 0.5 * batch, **options)
    assert_same_weights(first, second)


def test_learning_rates_of_numpy_reach_the_checkpoint(tmp_path):
    train(vae(), 1, schedule=lambda _: np.float32(0.25), checkpoint_dir=tmp_path)
    checkpoint = Checkpoint.read(tmp_path / "checkpoint.safetensors")
    assert checkpoint.optimizer is not None
    assert checkpoint.optimizer["param_groups"][0]["lr"] == 0.25


def test_validation_does_not_change_the_run():
    first, second = vae(), vae()
    plain = train(first)
    history = train(second, validation=data(30, seed=2).double().numpy())
    assert_same_weights(first, second)
    assert history.losses == plain.losses
    assert plain.validation == [None, None, None]
    assert history.validation[-1] < history.validation[0]
    assert history.validation[-1] == evaluate(second, data(30, seed=2), batch_size=20, seed=0)


def test_validation_is_a_column_of_the_history(tmp_path):
    history = train(vae(), validation=data(30, seed=2), checkpoint_dir=tmp_path)
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["validation"]) for row in rows] == history.validation


def test_a_callback_sees_every_step_in_eval_mode_and_does_not_change_the_run():
    first, second, seen = vae(), vae(), []

    def callback(model, epoch, step):
        seen.append((epoch, step, model.training))
        torch.randn(3)
        model.train()

    train(first)
    train(second, callback=callback)
    assert_same_weights(first, second)
    assert seen == [(epoch, step, False) for epoch in (1, 2, 3) for step in (1, 2, 3)]


def test_a_callback_leaves_parts_in_the_modes_they_were_given():
    modes, model = [], vae()
    model.decoder.net.add_module("dropout", nn.Dropout())

    def objective(model, x):
        modes.append(model.decoder.net.dropout.training)
        return ELBO()(model, x)

    train(model, epochs=1, objective=objective, callback=lambda *_: None)
    assert modes == [True] * 3


@pytest.mark.parametrize("stopped_at", [2, 3])
def test_ctrl_c_in_the_middle_then_resume_with_all_options_equals_uninterrupted(tmp_path, stopped_at):
    options = {
        "objective": IWAE(3),
        "schedule": BurdaSchedule(num_stages=3, first=1e-2),
        "transform": torch.bernoulli,
        "validation": data(30, seed=2),
    }

    def interrupt(_, epoch, step):
        if (epoch, step) == (stopped_at, 2):
            signal.raise_signal(signal.SIGINT)

    whole, first, second = vae(), vae(), vae(seed=9)
    expected = train(whole, 5, **options)
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        train(first, 5, callback=interrupt, checkpoint_dir=tmp_path, checkpoint_every=10, **options)
    assert torch.equal(before, torch.get_rng_state())
    assert not first.training
    history = train(second, 5, checkpoint_dir=tmp_path, resume=True, seed=123, **options)
    assert_same_weights(whole, second)
    assert history.losses == expected.losses
    assert history.validation == expected.validation


def test_mixed_precision_multiplies_in_bfloat16_and_trains_like_the_rest():
    dtypes, models = [], [vae(), vae()]
    models[1].decoder.net[-1].register_forward_hook(lambda *parts: dtypes.append(parts[-1].dtype))
    plain, mixed = (
        train(model, epochs=20, autocast=autocast)
        for model, autocast in zip(models, (None, torch.bfloat16), strict=True)
    )
    assert set(dtypes) == {torch.bfloat16}
    assert all(parameter.dtype == torch.float32 for parameter in models[1].parameters())
    assert mixed.losses != plain.losses
    # Eight bits: the losses differ by less than what one of 256 makes of them.
    assert mixed.losses == pytest.approx(plain.losses, rel=4e-3)


def test_a_plain_autoencoder_is_trained_by_its_reconstruction():
    model = Autoencoder(MLPEncoder(12, 2), MLPDecoder(2, 12))
    history = train(model, epochs=20, objective=ReconstructionLoss("bernoulli"), validation=data(30, seed=2))
    assert history.losses[-1] < history.losses[0]
    assert history.validation[-1] < history.validation[0]


@pytest.mark.usefixtures("unchecked")
def test_bad_options_are_named():
    with pytest.raises(ValueError, match=r"autocast: expected torch\.bfloat16"):
        train(vae(), autocast=torch.float16)
    with pytest.raises(ValueError, match="schedule: expected a learning rate for epoch 2, got nan"):
        train(vae(), schedule=lambda epoch: 1e-3 if epoch == 1 else float("nan"))
    with pytest.raises(ValueError, match=r"validation: .* N at least 1"):
        train(vae(), validation=torch.zeros(0, 12))
    with pytest.raises(TypeError, match="validation: expected floating"):
        train(vae(), validation=np.zeros((3, 12), dtype=np.uint8))
