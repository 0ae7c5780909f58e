"""A decoder from another library: a VAE of pythae (https://pythae.readthedocs.io), trained by pythae itself.

pythae's decoders answer with a `ModelOutput`, a dictionary, and not with a tensor. One lambda is all it takes.

    pip install pythae
"""

import tempfile

import torch

from latentgeo import geodesic, logmap, pullback_metric
from latentgeo.data import load_digits

try:
    from pythae.models import VAE, VAEConfig
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig
except ImportError as error:
    raise SystemExit(f"This example needs pythae ({error}): pip install pythae") from error


def train(images: torch.Tensor, epochs: int) -> VAE:
    """A VAE of pythae with its default networks, trained by pythae."""
    torch.manual_seed(0)
    model = VAE(VAEConfig(input_dim=tuple(images.shape[1:]), latent_dim=2, reconstruction_loss="bce"))
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(output_dir=folder, num_epochs=epochs, learning_rate=1e-3, no_cuda=True)
        TrainingPipeline(training_config=config, model=model)(train_data=images)
    return model.cpu().eval()


def main(epochs: int = 50) -> None:
    """Trains, and measures distances between digits as the decoder sees them."""
    digits = load_digits().of_classes((0, 1, 2))
    model = train(digits.images, epochs)
    with torch.no_grad():
        z = model.encoder(digits.images).embedding

    # The adaptor: from a batch of latent points to a batch of tensors, images as they come. (The default networks of
    # pythae have ReLU inside. Lengths are right all the same; where a geodesic is not, its status says so.)
    metric = pullback_metric(lambda batch: model.decoder(batch).reconstruction)

    start, end = z[digits.labels == 0][:8], z[digits.labels == 1][:8]
    result = geodesic(metric, start, end)
    print(result)

    # Beside the lengths of the straight lines, by 256 small steps:
    t = torch.linspace(0, 1, 257)[:, None, None]
    with torch.no_grad():
        images = model.decoder((start + t * (end - start)).reshape(-1, 2)).reconstruction
    straight = images.reshape(257, 8, -1).diff(dim=0).norm(dim=2).sum(0)
    for status, length, line in zip(result.status, result.length, straight, strict=True):
        print(f"geodesic {length:.3f}  straight line {line:.3f}  {status.name}")

    # The logarithm points along the geodesic, and is as long as it.
    velocity = logmap(metric, start, end)
    print(f"lengths of logarithms: {[round(v, 3) for v in metric.norm(start, velocity).tolist()]}")


if __name__ == "__main__":
    main()
