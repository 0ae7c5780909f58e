"""The README's example runs as it stands, and what it shows exists."""

import re
from pathlib import Path

import pytest
import torch

import latentgeo as lg
from latentgeo.data import load_digits
from latentgeo.models import VAE, MLPDecoder, MLPEncoder
from latentgeo.training import reference_model

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.filterwarnings(
    "ignore::latentgeo.ConvergenceWarning"
)  # of k-means, which is content with few segments
def test_first_example_runs() -> None:
    torch.manual_seed(0)
    vae = reference_model("digits")
    with torch.no_grad():
        z = vae.encode(load_digits().of_classes((0, 1, 2), per_class=4).images.flatten(1)).mean
    names = {"vae": vae, "z": z, "z_start": z[:3].clone().requires_grad_(), "z_end": z[3:6]}
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example is not None
    exec(example.group(1), names)
    assert len(names["result"].status) == 3
    assert names["frames"].shape == (12, 64)
    assert names["z_start"].grad.isfinite().all()
    assert any(p.grad is not None and p.grad.any() for p in vae.decoder.parameters())
    assert set(names["labels"].tolist()) == {0, 1, 2}


def test_example_of_the_encoders_gaussians_runs() -> None:
    torch.manual_seed(0)
    data = torch.rand(40, 9)
    names = {"torch": torch, "vae": VAE(MLPEncoder(9, 3), MLPDecoder(3, 9)).eval(), "data": data}
    names |= {"x": data[:5], "y": data[5:10]}
    example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1]
    with torch.no_grad():
        exec(example, names)
    assert names["way"].batch_shape == (12, 5)
    assert names["center"].shape == (2, 3)
    assert len(set(names["labels"].tolist())) == 10


@pytest.mark.filterwarnings("ignore::latentgeo.ConvergenceWarning")  # of a mixture of few points
def test_example_of_statistics_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    vae, digits = reference_model("digits"), load_digits().of_classes((0, 1), per_class=8)
    with torch.no_grad():
        z = vae.encode(digits.images.flatten(1)).mean
    names = {"metric": lg.EuclideanMetric(2), "z": z[:12], "classes": digits.labels[:12]}
    names["z_new"] = z[12:]
    exec(re.findall(r"```python\n(.*?)```", README, re.DOTALL)[2], names)
    assert names["distances"].shape == (12, 12)
    assert (tmp_path / "distances.npy").exists()
    assert set(names["nearest"].tolist()) <= {0, 1}
    assert names["log_p"].isfinite().all()
    assert names["draws"].shape == (10, 2)
    assert names["axes"].components_.shape == (2, 2)
    assert names["walk"].shape == (101, 5, 2)


def test_example_of_training_and_diagnosis_runs(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names = {"torch": torch, "images": torch.rand(20, 784)}
    exec(re.findall(r"```python\n(.*?)```", README, re.DOTALL)[3], names)
    assert len(names["history"]) == 2
    assert names["estimate"].shape == names["effective"].shape == (20,)
    assert "active" in capsys.readouterr().out
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_linked_files_exist() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
