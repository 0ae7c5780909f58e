import pytest
import torch

from latentgeo.data import load_digits


def test_digits_are_grey_levels_with_their_classes():
    images, labels = load_digits()
    assert images.shape == (1797, 1, 8, 8)
    assert images.dtype == torch.float32
    assert (float(images.min()), float(images.max())) == (0.0, 1.0)
    assert labels.dtype == torch.int64
    assert labels.unique().tolist() == list(range(10))


def test_classes_are_chosen_in_order():
    digits = load_digits()
    some = digits.of_classes((7, 3), per_class=10)
    assert torch.bincount(some.labels).tolist() == [0, 0, 0, 10, 0, 0, 0, 10]
    assert torch.equal(some.images[some.labels == 3], digits.images[digits.labels == 3][:10])
    assert len(digits.of_classes(range(10)).labels) == 1797


def test_too_few_of_a_class_are_refused():
    with pytest.raises(ValueError, match="at least 500 images of 3, got"):
        load_digits().of_classes((3,), per_class=500)
    with pytest.raises(ValueError, match="images of 11, got 0"):
        load_digits().of_classes((11,))


@pytest.mark.usefixtures("unchecked")
def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="classes: expected at least one, got none"):
        load_digits().of_classes(())
    for count in (0, 2.5):
        with pytest.raises(ValueError, match=f"per_class: expected a positive integer or None, got {count}"):
            load_digits().of_classes((0,), per_class=count)
