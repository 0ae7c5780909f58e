import itertools
import os
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from latentgeo.models import VAE, MLPDecoder, MLPEncoder, RBFPrecision
from latentgeo.training import (
    Checkpoint,
    EpochRecord,
    History,
    checkpoints,
    load_checkpoint,
    save_checkpoint,
)


def network():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))


def trained(seed=0):
    torch.manual_seed(seed)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1 + 0.2, betas=(0.8, 0.9))
    model(torch.randn(5, 4)).square().sum().backward()
    optimizer.step()
    return model, optimizer


def test_weights_optimizer_epoch_and_history_return_as_they_were(tmp_path):
    model, optimizer = trained()
    history = History([EpochRecord(1, 0.1 + 0.2, 1.5)])
    save_checkpoint(tmp_path / "a" / "c.safetensors", model, optimizer, epoch=1, history=history)
    other, other_optimizer = trained(seed=1)
    checkpoint = load_checkpoint(tmp_path / "a" / "c.safetensors", other, other_optimizer)
    assert (checkpoint.epoch, checkpoint.history) == (1, history)
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    ours, theirs = optimizer.state_dict(), other_optimizer.state_dict()
    for key, entry in ours["state"].items():
        for name, value in entry.items():
            assert torch.equal(value, theirs["state"][key][name])
    assert theirs["param_groups"][0]["lr"] == 0.1 + 0.2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_dtype_returns(tmp_path, dtype):
    model, other = network().to(dtype), network().to(dtype)
    save_checkpoint(tmp_path / "c", model)
    load_checkpoint(tmp_path / "c", other)
    assert torch.equal(model[0].weight, other[0].weight)


def test_tied_weights_return(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    save_checkpoint(tmp_path / "c", model)
    load_checkpoint(tmp_path / "c", model)


def test_a_vae_with_fitted_precision_returns(tmp_path):
    def make(centers):
        variance = RBFPrecision(centers, torch.ones(4), 6, zeta=0.1)
        return VAE(MLPEncoder(6, 2), MLPDecoder(2, 6), likelihood="gaussian", variance=variance)

    model, other = make(torch.randn(4, 2)), make(torch.zeros(4, 2))
    save_checkpoint(tmp_path / "c", model)
    load_checkpoint(tmp_path / "c", other)
    z = torch.randn(5, 2)
    assert torch.equal(model.decode(z).stddev, other.decode(z).stddev)


@pytest.mark.parametrize("keep", [0, 5, 300, -1])
def test_a_truncated_file_is_named(tmp_path, keep):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, *trained())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"c\.safetensors is truncated"):
        load_checkpoint(path, network())


def test_one_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, *trained())
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"c\.safetensors is corrupt"):
        load_checkpoint(path, network())


@given(place=st.integers(0, 10**9), change=st.integers(1, 255))
def test_any_other_byte_is_noticed_or_says_the_same(tmp_path_factory, place, change):
    path = tmp_path_factory.mktemp("flipped") / "c.safetensors"
    model, optimizer = trained()
    save_checkpoint(path, model, optimizer, epoch=3, history=History([EpochRecord(3, 0.5, 1.0)]))
    expected, content = Checkpoint.read(path), bytearray(path.read_bytes())
    # As often in the header, which is the smaller part, as in the tensors.
    header = 8 + int.from_bytes(content[:8], "little")
    content[place % (header if place % 2 else len(content))] ^= change
    path.write_bytes(content)
    try:
        found = Checkpoint.read(path)
    except ValueError:
        return
    for name in ("epoch", "optimizer", "history"):
        assert getattr(found, name) == getattr(expected, name)
    assert found.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(value, found.tensors[name]) for name, value in expected.tensors.items())


@pytest.mark.parametrize(
    ("written", "changed"),
    [(rb"\"epoch\": 3", rb"\"epoch\": 4"), (b'"F32"', b'"I32"'), (b"[8,4]", b"[4,8]"), (b"[8,4]", b"[2,0]")],
)
def test_a_changed_header_is_noticed(tmp_path, written, changed):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, *trained(), epoch=3)
    content = path.read_bytes()
    assert written in content
    path.write_bytes(content.replace(written, changed, 1))
    with pytest.raises(ValueError, match=r"c\.safetensors is"):
        load_checkpoint(path, network())


def test_other_files_are_refused_and_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    path = tmp_path / "c.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=r"c\.safetensors"):
        load_checkpoint(path, network())
    assert not (tmp_path / "exploded").exists()
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="not a 'latentgeo checkpoint 2'"):
        load_checkpoint(path, network())


def test_another_structure_is_refused(tmp_path):
    path = tmp_path / "c"
    save_checkpoint(path, network())
    with pytest.raises(ValueError, match="model: does not fit"):
        load_checkpoint(path, nn.Linear(4, 2))
    with pytest.raises(ValueError, match="optimizer: the checkpoint holds none"):
        load_checkpoint(path, *trained())


def unchanged(model, refused):
    """Whether the model has the weights it had after what is refused."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match="does not fit the checkpoint"):
        refused()
    return all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


def test_a_model_of_another_shape_is_refused_and_left_as_it_is(tmp_path):
    save_checkpoint(tmp_path / "c", network())
    other = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    assert unchanged(other, lambda: load_checkpoint(tmp_path / "c", other))
    with pytest.raises(
        ValueError, match=r"2\.weight is \(2, 8\) in the checkpoint and \(3, 8\) in the model"
    ):
        load_checkpoint(tmp_path / "c", other)
    with pytest.raises(
        ValueError, match=r"weight is not there in .* and \(2, 4\) in the model, and \d+ more differ"
    ):
        load_checkpoint(tmp_path / "c", nn.Linear(4, 2))


OPTIMIZERS = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "Adam": torch.optim.Adam,
    "RMSprop": torch.optim.RMSprop,
    "groups": lambda parameters: torch.optim.Adam([{"params": [p]} for p in parameters]),
}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(("kept", "given"), list(itertools.permutations(OPTIMIZERS, 2)))
def test_another_optimizer_is_refused_and_the_model_left_as_it_is(kept, given, named):
    model, other = network(), network()
    checkpoint = Checkpoint.of(model, OPTIMIZERS[kept](model.parameters()))
    assert checkpoint.optimizer is not None
    if not named:  # as in files of earlier versions
        del checkpoint.optimizer["class"]
    assert unchanged(other, lambda: checkpoint.restore(other, OPTIMIZERS[given](other.parameters())))


def test_files_that_do_not_name_the_class_or_an_option_of_the_optimizer_are_read():
    model, optimizer = trained()
    checkpoint = Checkpoint.of(model, optimizer)
    assert checkpoint.optimizer is not None
    del checkpoint.optimizer["class"], checkpoint.optimizer["param_groups"][0]["maximize"]
    other, other_optimizer = trained(seed=1)
    checkpoint.restore(other, other_optimizer)
    assert torch.equal(model[0].weight, other[0].weight)
    assert other_optimizer.param_groups[0]["lr"] == 0.1 + 0.2


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_checkpoint(tmp_path / "nowhere", network())


def test_a_failed_write_leaves_the_old_checkpoint_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "c"
    model, optimizer = trained()
    save_checkpoint(path, model, optimizer, epoch=1)

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, model, optimizer, epoch=2)
    assert list(tmp_path.iterdir()) == [path]
    assert Checkpoint.read(path).epoch == 1


def test_a_write_that_breaks_off_leaves_the_old_checkpoint_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "c"
    model, optimizer = trained()
    save_checkpoint(path, model, optimizer, epoch=1)

    def broken(_, file, **__):
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save_file", broken)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, model, optimizer, epoch=2)
    assert list(tmp_path.iterdir()) == [path]
    assert Checkpoint.read(path).epoch == 1


def test_a_snapshot_does_not_follow_the_live_model():
    model, optimizer = trained()
    snapshot = Checkpoint.of(model, optimizer)
    with torch.no_grad():
        model[0].weight.zero_()
    assert snapshot.tensors["model.0.weight"].any()
