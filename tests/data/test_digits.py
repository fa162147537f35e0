import numpy as np
import pytest

from jrecipe.data.digits import load_digits


def test_digits_are_complete_and_in_all_splits():
    splits = load_digits(seed=3)
    sources = (splits.train, splits.val, splits.test)
    assert sum(len(source) for source in sources) == 1797
    assert [round(len(source) / 1797, 2) for source in sources] == [0.6, 0.2, 0.2]
    everything = [source.take(np.arange(len(source))) for source in sources]
    counts = [np.bincount(targets, minlength=10) for _, targets in everything]
    total = np.sum(counts, axis=0)
    assert total.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    for share, count in zip((0.6, 0.2, 0.2), counts, strict=True):
        np.testing.assert_allclose(count, share * total, atol=1.0)
    inputs, targets = everything[0]
    assert inputs.shape[1:] == (8, 8, 1)
    assert (inputs.dtype, targets.dtype) == (np.float32, np.int32)
    assert abs(inputs.mean()) < 1e-5
    assert splits.class_names == tuple("0123456789")


def test_decoded_digits_are_the_stored_ones():
    from sklearn.datasets import load_digits as read

    stored = {picture.tobytes() for picture in read().images}
    splits = load_digits(seed=0)
    inputs, _ = splits.test.take(np.arange(len(splits.test)))
    decoded = np.round(splits.encoder.decode(inputs) * 16.0).astype(np.float64)[..., 0]
    assert all(picture.tobytes() in stored for picture in decoded)


@pytest.mark.parametrize("other", [1, 2])
def test_the_split_is_a_function_of_the_seed(other):
    first, again, different = load_digits(0), load_digits(0), load_digits(other)
    np.testing.assert_array_equal(first.train.inputs, again.train.inputs)
    assert not np.array_equal(first.train.targets, different.train.targets)
