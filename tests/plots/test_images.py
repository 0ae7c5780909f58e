"""Images stand where they should, in their own grey levels and colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch.distributions import Normal

from latentgeo.diagnostics import latent_traversal
from latentgeo.plots import decoded_strips, image_grid, image_strip


@pytest.mark.parametrize("shape", [(5, 8, 6), (5, 1, 8, 6), (5, 3, 8, 6)])
def test_strip_is_the_images_in_a_row_with_gaps_that_show_the_page(axes, shape):
    images = torch.rand(shape)
    row = np.asarray(image_strip(axes, images).get_array())
    assert row.shape == (8, 5 * 6 + 4, 4)
    third = images[2] if len(shape) == 3 else images[2, 0]
    np.testing.assert_allclose(row[:, 14:20, 0], third, rtol=1e-6)
    assert (row[:, [6, 13, 20, 27], 3] == 0).all()
    assert len(axes.get_xticks()) == 0


def test_grid_has_a_row_for_each_latent_and_a_column_for_each_value(axes):
    grid = latent_traversal(
        lambda z: z.reshape(-1, 1, 1, 2).expand(-1, 1, 3, 2), torch.zeros(2), [0, 1], [0.25, 1.0]
    )
    shown = np.asarray(image_grid(axes, grid).get_array())
    assert shown.shape == (2 * 3 + 1, 2 * 2 + 1, 4)
    clear = shown[..., 3] == 0
    assert clear[3].all()
    assert clear[:, 2].all()
    assert int(clear.sum()) == 5 + 7 - 1
    np.testing.assert_allclose(shown[0, :, 0], [0.25, 0, 0, 1, 0])
    np.testing.assert_allclose(shown[-1, :, 0], [0, 0.25, 0, 0, 1])


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_rows_of_a_grid_are_strips(axes, channels):
    images = torch.rand(2, 5, *channels, 8, 6)
    grid = np.asarray(image_grid(axes, images).get_array())
    for start, row in zip((0, 9), images, strict=True):
        np.testing.assert_array_equal(grid[start : start + 8], image_strip(axes, row).get_array())


def test_colours_are_kept_and_grey_levels_are_scaled(axes):
    colour = torch.rand(1, 1, 3, 2, 2)
    shown = np.asarray(image_grid(axes, colour).get_array())
    np.testing.assert_allclose(shown[..., :3], colour[0, 0].permute(1, 2, 0), rtol=1e-6)
    grey = np.array([[[-1.0, 0.0, 1.0, 5.0]]])
    np.testing.assert_allclose(
        np.asarray(image_strip(axes, grey, limits=(-1.0, 1.0)).get_array())[0, :, 0], [0, 0.5, 1, 1]
    )


@pytest.mark.usefixtures("unchecked")  # for limits that are integers
def test_unsigned_grey_levels_below_black_are_black(axes):
    shown = np.asarray(image_strip(axes, np.full((1, 2, 2), 5, np.uint8), limits=(10, 255)).get_array())
    assert (shown[..., :3] == 0).all()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("draw", "images", "message"),
    [
        (image_strip, np.zeros((5, 64)), r"images: expected shape \(n, height, width\) .* got \(5, 64\)"),
        (image_strip, np.zeros((5, 2, 8, 8)), r"images: expected shape .* got \(5, 2, 8, 8\)"),
        (image_strip, np.zeros((0, 8, 8)), "images: expected shape"),
        (image_strip, np.full((1, 8, 8), np.nan), "images: expected finite"),
        (image_grid, np.zeros((2, 3, 8)), r"images: expected shape \(rows, columns, .* got \(2, 3, 8\)"),
        (image_grid, np.zeros((2, 3, 2, 8, 8)), r"images: expected shape .* got \(2, 3, 2, 8, 8\)"),
    ],
)
def test_what_is_no_image_is_named(draw, images, message):
    with pytest.raises(ValueError, match=message):
        draw(Figure().subplots(), images)


@pytest.mark.parametrize(("draw", "shape"), [(image_strip, (5, 8, 8)), (image_grid, (1, 1, 2, 2))])
def test_black_is_below_white(axes, draw, shape):
    with pytest.raises(ValueError, match="black below white"):
        draw(axes, np.ones(shape), limits=(1.0, 0.0))


def decode(z):
    """Flat images of 2 x 3, all of one grey level: the first coordinate."""
    return z[:, :1].expand(-1, 6)


def test_strips_are_what_curves_decode_to_with_words_beside_the_rows(axes):
    curves = torch.rand(2, 4, 5)
    image = decoded_strips(
        axes,
        lambda z: Normal(decode(z), 1.0),
        curves,
        image_shape=(2, 3),
        names=("geodesic", "straight"),
        captions=("length 1", "length 2"),
    )
    shown = np.asarray(image.get_array())
    assert shown.shape == (2 * 2 + 1, 4 * 3 + 3, 4)
    np.testing.assert_allclose(shown[0, ::4, 0], curves[0, :, 0], rtol=1e-6)
    np.testing.assert_allclose(shown[-1, ::4, 0], curves[1, :, 0], rtol=1e-6)
    np.testing.assert_allclose(axes.get_yticks(), [0.5, 3.5])  # the middles of rows 0-1 and 3-4
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["geodesic", "straight"]
    assert [(text.get_text(), text.get_position()[1]) for text in axes.texts] == [
        ("length 1", 0.5),
        ("length 2", 3.5),
    ]


@pytest.mark.parametrize("inside", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("outside", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("answer", [lambda x: x, lambda x: (x, x.exp())], ids=["mean", "mean and std"])
def test_strips_take_the_decoders_that_metrics_take(axes, inside, outside, answer):
    flat = torch.nn.Linear(5, 6, dtype=inside)
    curves = torch.rand(2, 4, 5, dtype=outside)
    shown = np.asarray(
        decoded_strips(axes, lambda z: answer(flat(z)), curves, image_shape=(2, 3)).get_array()
    )
    with torch.no_grad():
        expected = flat(curves.to(inside))[:, :, 0].float().clamp(0, 1)
    np.testing.assert_allclose(shown[::3, ::4, 0], expected, rtol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_strips_refuse_decoders_that_metrics_refuse(axes):
    curves = torch.rand(2, 4, 6)
    with pytest.raises(
        TypeError, match=r"decode must return a tensor, \(mean, std\) or a distribution, got dict"
    ):
        decoded_strips(axes, lambda z: {"mean": z}, curves, image_shape=(2, 3))
    with pytest.raises(ValueError, match="decode holds a Dropout layer in training mode"):
        decoded_strips(axes, torch.nn.Dropout(), curves, image_shape=(2, 3))


@pytest.mark.usefixtures("unchecked")
def test_strips_refuse_what_does_not_match(axes):
    curves = torch.rand(2, 4, 5)
    with pytest.raises(ValueError, match=r"curves: expected shape \(rows, n, d\)"):
        decoded_strips(axes, decode, curves[0])
    with pytest.raises(ValueError, match="names: expected one for each of 2 rows, got 1"):
        decoded_strips(axes, decode, curves, image_shape=(2, 3), names=["a"])
    with pytest.raises(ValueError, match="images: expected shape"):
        decoded_strips(axes, decode, curves)
