"""How many components of the latents carry information, by the order α of the bound and the dimension k."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.optimize import linear_sum_assignment

from latentgeo.diagnostics import active_units, encoded, pca_spectrum
from latentgeo.experiments.criteria import Criterion
from latentgeo.experiments.datasets import load_images
from latentgeo.experiments.experiment import Experiment, Findings, Place
from latentgeo.experiments.jobs import run_jobs
from latentgeo.experiments.record import Record
from latentgeo.experiments.studies.paper_vae import PaperModel, SweepConfig, order
from latentgeo.plots import COLORS, MARKERS, color_bar

_THRESHOLD = 0.01  # the paper's ε
_ALIGNED = "the eigenvectors tend to align with the main axis"
_UNDECIDED = 0.1  # eigenvalues from the threshold up to here are neither in use nor off


@dataclass(frozen=True)
class _Spectrum:
    """Of the posterior means of the test set: eigenvalues (k,), components (k, k), and Burda's active units (k,)."""

    model: PaperModel
    eigenvalues: np.ndarray
    components: np.ndarray
    active: np.ndarray

    @property
    def informative(self) -> np.ndarray:
        return self.eigenvalues > _THRESHOLD

    @property
    def loading(self) -> float:
        """The largest |entry| of an informative component, on average."""
        return float(np.abs(self.components).max(1)[self.informative].mean())

    @property
    def along_active(self) -> float:
        """How much of the squared length of an informative component lies along active latents, on average."""
        return float((self.components[self.informative][:, self.active] ** 2).sum(1).mean())


def study(config: SweepConfig, place: Place, record: Record) -> Findings:
    """Trains models of every dimension and order, and counts the components of their posterior means."""
    load_images(config.data, "test", place)  # before jobs try, and try again, where there are none
    spectra = run_jobs(_spectrum, config.models(place), place, label="models")
    counts = {key: [int(s.informative.sum()) for s in some] for key, some in _by(spectra).items()}
    mean = {key: float(np.mean(some)) for key, some in counts.items()}
    _leave_tables(record, spectra)
    _draw_eigenvalues(record, spectra)
    _draw_counts(record, counts)
    _draw_loadings(record, spectra[0])

    both = [k for k in config.latents if (k, 0.0) in mean]
    smallest, larger = min(config.latents), [k for k in config.latents if k >= 30]
    spreads = {alpha: np.ptp([mean[k, alpha] for k in larger]) for alpha in config.alphas if len(larger) > 1}
    undecided = [((s.eigenvalues > _THRESHOLD) & (s.eigenvalues < _UNDECIDED)).mean() for s in spectra]
    loadings = [s.loading for s in spectra]
    criteria = [
        Criterion(
            f"A sharp cut-off: components with an eigenvalue from {_THRESHOLD} to {_UNDECIDED}; mean share.",
            float(np.mean(undecided)),
            "<=",
            0.1,
            documented="eigenvalues near one, then near zero (figure 1)",
        ),
    ]
    if config.data == "mnist":
        criteria += [
            Criterion(
                "Informative components lie along active latents; smallest mean share of their squared length.",
                min(s.along_active for s in spectra),
                ">=",
                0.95,
                documented=_ALIGNED,
            ),
            Criterion(
                "The order 0 has at least as many informative components as the order 1; smallest mean difference.",
                min(mean[k, 0.0] - mean[k, 1.0] for k in both),
                ">=",
                0.0,
                documented="as α goes to 0 the number of components saturates (figure 2, left)",
            ),
            Criterion(
                "Informative components are aligned with single axes; mean of their largest loading.",
                float(np.mean(loadings)),
                ">",
                0.8,
                documented=_ALIGNED,
            ),
        ]
        count, documented = mean[smallest, 1.0], "around 15 (slides)"
        claim = f"Of {smallest} components 10 to 20 are informative with α = 1; mean number."
        criteria += [
            Criterion(claim, count, ">=", 10.0, documented=documented),
            Criterion("The same.", count, "<=", 20.0, documented=documented),
        ]
    else:
        fewest = float(min(mean.values()))
        criteria.append(Criterion("Some components are informative; smallest number.", fewest, ">=", 2.0))
    if spreads:
        criteria.append(
            Criterion(
                f"The number is the same for k from {min(larger)} to {max(larger)}; largest spread of means.",
                float(max(spreads.values())),
                "<=",
                3.0,
                documented="the number of components remains constant even for k = 40, 50",
            )
        )
    return Findings(
        numbers={
            "informative components": {
                f"k = {k}, α = {alpha:g}": {
                    "mean": mean[k, alpha],
                    "spread": float(np.std(some)),
                    "seeds": some,
                }
                for (k, alpha), some in counts.items()
            },
            "active units": {
                f"k = {k}, α = {alpha:g}": [int(s.active.sum()) for s in some]
                for (k, alpha), some in _by(spectra).items()
            },
            "spread of the number over large k": {f"α = {alpha:g}": float(s) for alpha, s in spreads.items()},
            "largest loading, by model": loadings,
        },
        criteria=tuple(criteria),
        deviations=(
            *config.not_written,
            f"{config.epochs} epochs in place of 1000, and {len(config.seeds)} runs; the paper says 3 in its text "
            "and 10 in its captions.",
            f"The paper does not say how many samples the bound has in training: {config.num_samples} here"
            + (", one of them differentiated, drawn by its weight." if config.backward == "one" else "."),
        ),
    )


def _spectrum(model: PaperModel) -> _Spectrum:
    means = encoded(model.train(), model.rows("test"), seed=0).means.cpu()
    spectrum = pca_spectrum(means)
    active = active_units(means, _THRESHOLD).numpy()
    return _Spectrum(model, spectrum.eigenvalues.numpy(), spectrum.components.numpy(), active)


def _by(spectra: Sequence[_Spectrum]) -> dict[tuple[int, float], list[_Spectrum]]:
    """Those of all seeds, by dimension and order."""
    groups: dict[tuple[int, float], list[_Spectrum]] = {}
    for spectrum in spectra:
        groups.setdefault((spectrum.model.latents, spectrum.model.alpha), []).append(spectrum)
    return groups


def _leave_tables(record: Record, spectra: Sequence[_Spectrum]) -> None:
    record.table(
        "counts.csv",
        [
            {
                "k": s.model.latents,
                "alpha": s.model.alpha,
                "seed": s.model.seed,
                "informative components": int(s.informative.sum()),
                "active units": int(s.active.sum()),
                "mean of largest loadings": s.loading,
            }
            for s in spectra
        ],
    )
    record.table(
        "eigenvalues.csv",
        [
            {
                "k": s.model.latents,
                "alpha": s.model.alpha,
                "seed": s.model.seed,
                "component": i,
                "eigenvalue": float(x),
            }
            for s in spectra
            for i, x in enumerate(s.eigenvalues, start=1)
        ],
    )


def _draw_eigenvalues(record: Record, spectra: Sequence[_Spectrum]) -> None:
    groups = _by(spectra)
    dimensions = sorted({k for k, _ in groups})
    colors = dict(zip(sorted({alpha for _, alpha in groups}, reverse=True), COLORS, strict=False))
    drawing = Figure(figsize=(1 + 2.8 * len(dimensions), 3.2), layout="constrained")
    panels = drawing.subplots(1, len(dimensions), sharey=True, squeeze=False)[0]
    for k, axes in zip(dimensions, panels, strict=True):
        for alpha, color in colors.items():
            if (k, alpha) in groups:
                values = np.mean([s.eigenvalues for s in groups[k, alpha]], axis=0)
                axes.plot(np.arange(1, k + 1), values, ".-", color=color, label=f"α = {order(alpha)}")
        axes.axhline(_THRESHOLD, color="black", linestyle="--", linewidth=0.8, zorder=0)
        axes.set(title=f"k = {k}", xlabel="component", xlim=(0, k + 1))
    panels[0].set(ylabel="eigenvalue", ylim=(0, None))
    handles = {
        label: h for axes in panels for h, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    drawing.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False)
    record.figure(
        drawing,
        "eigenvalues.png",
        title="Eigenvalues of posterior means",
        caption="Principal components of the posterior means of the test set, mean over seeds, for each order α of "
        f"the bound. Components above the dashed line, at {_THRESHOLD}, carry information.",
        alt="Falling curves: eigenvalues stay high for some components and then drop to zero.",
    )


def _draw_counts(record: Record, counts: dict[tuple[int, float], list[int]]) -> None:
    orders = sorted({alpha for _, alpha in counts}, reverse=True)
    dimensions = sorted({k for k, _ in counts})
    drawing = Figure(figsize=(4.8, 3.6), layout="constrained")
    axes = drawing.subplots()
    for k, color, marker in zip(dimensions, COLORS, MARKERS, strict=False):
        there = [i for i, alpha in enumerate(orders) if (k, alpha) in counts]
        some = [counts[k, orders[i]] for i in there]
        axes.errorbar(
            np.array(there) + 0.06 * (dimensions.index(k) - (len(dimensions) - 1) / 2),
            np.mean(some, axis=1),
            np.std(some, axis=1),
            color=color,
            marker=marker,
            capsize=3,
            label=f"k = {k}",
        )
    axes.set_xticks(range(len(orders)), [order(alpha) for alpha in orders])
    axes.set(xlabel="α", ylabel="informative components", ylim=(0, None))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    record.figure(
        drawing,
        "counts.png",
        title="Components that carry information",
        caption="The number of eigenvalues above the threshold, mean and spread over seeds, against the order of the "
        "bound, for each dimension k.",
        alt="One line a dimension, of the number of informative components against alpha.",
    )


def _draw_loadings(record: Record, spectrum: _Spectrum) -> None:
    drawing = Figure(figsize=(4.4, 3.6), layout="constrained")
    axes = drawing.subplots()
    loadings = np.abs(spectrum.components)
    _, latents = linear_sum_assignment(loadings, maximize=True)
    shown = axes.imshow(loadings[:, latents], cmap="Greys", vmin=0, vmax=1)
    axes.axhline(spectrum.informative.sum() - 0.5, color=COLORS[5], linewidth=1)
    axes.set(xlabel="latent, matched with components", ylabel="component", xticks=[], yticks=[])
    color_bar(axes, shown, label="|loading|")
    record.figure(
        drawing,
        "loadings.png",
        title="Principal components and axes",
        caption=f"Absolute loadings of the components on the latents, k = {spectrum.model.latents}, "
        f"α = {order(spectrum.model.alpha)}, seed {spectrum.model.seed}. Above the line are the informative ones. "
        "Black squares, one a row: a component is an axis.",
        alt="A matrix that is dark along its diagonal.",
    )


EXPERIMENT = Experiment(
    name="renyi-components",
    summary="how many latent components carry information, by the order of the bound and the dimension",
    source="Peste, Malagò, Sârbu, figures 1 and 2 (left); Malagò, Peste, Sârbu, slides, PCA analysis",
    presets={
        "quick": SweepConfig(
            data="digits",
            seeds=(0,),
            hidden=(64, 64),
            epochs=40,
            batch_size=50,
            learning_rate=2e-3,
            latents=(30, 40),
            further_alphas=(0.0,),
        ),
        "standard": SweepConfig(),
        "full": SweepConfig(
            seeds=tuple(range(10)),
            epochs=1000,
            backward="all",
            alphas=(1.0, 0.5, 0.0, -2.0, -np.inf),
            further_alphas=(),
        ),
    },
    study=study,
)
