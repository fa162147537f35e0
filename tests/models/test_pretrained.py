"""Weights load by name, give what their originals gave, and bring their normalisation along."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden.weights import OUTPUTS, RESNETS, arrays_of, pictures
from shared_data import SHARED, cifar10_test, needs_shared_data

import jrecipe as jr
from jrecipe.models import load_pretrained
from jrecipe.types import TaskError

pytestmark = pytest.mark.thin(2)

GOLDEN = Path(__file__).parent / "golden" / "golden.npz"
WEIGHTS = {name: arrays_of(name) for name in ("resnet20", "resnet18_thin", "squeezenet")}


def stored(tmp_path, arrays, name="weights.npz"):
    path = tmp_path / name
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        save_file = pytest.importorskip("safetensors.numpy").save_file
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    return path


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("resnet18_thin", ".safetensors"),
        ("resnet20", ".npz"),
        ("resnet50_thin", ".npz"),
        ("squeezenet", ".npz"),
        *(
            pytest.param(name, ".npz", marks=pytest.mark.slow)
            for name in ("resnet18_thin", "resnet34_thin", "resnet18", "resnet50")
        ),
    ],
)
def test_outputs_equal_those_of_torch(name, suffix, tmp_path):
    path = stored(tmp_path, arrays_of(name), f"weights{suffix}")
    found = load_pretrained(path, outputs=2 if name == "squeezenet" else None)
    x = found.preprocess(pictures(32 if name == "resnet20" else 70))
    with np.load(GOLDEN) as golden:
        want = {
            kind: golden[f"{name}_{kind}"]
            for kind in ("features", "logits")[: 1 + (name in RESNETS)]
        }

    def run(variables, x):
        apply = found.module.apply
        return {"features": apply(variables, x, method="features"), "logits": apply(variables, x)}

    got = jax.jit(run)(found.variables, x)
    for kind, value in want.items():
        assert np.abs(value[0] - value[1]).max() > 0.05 * np.abs(value).max()
        np.testing.assert_allclose(got[kind], value, rtol=1e-4, atol=2e-5 * np.abs(value).max())


def test_a_new_last_layer_starts_at_zero_and_the_rest_stays(tmp_path):
    path = stored(tmp_path, WEIGHTS["resnet20"])
    old, new = load_pretrained(path), load_pretrained(path, outputs=3)
    assert (old.module.outputs, new.module.outputs) == (OUTPUTS, 3)
    head = new.variables["params"]["output"]["dense"]
    assert {name: leaf.shape for name, leaf in head.items()} == {"bias": (3,), "kernel": (64, 3)}
    assert not any(leaf.any() for leaf in head.values())
    rest = lambda found: {**found.variables["params"], "output": 0}  # noqa: E731
    jax.tree.map(np.testing.assert_array_equal, rest(old), rest(new))
    assert old.variables["params"]["output"]["dense"]["kernel"].any()


@pytest.mark.exhaustive
def test_the_model_starts_from_the_weights_whatever_the_key_and_trains(tmp_path):
    few = {k: v for k, v in WEIGHTS["resnet20"].items() if ".1." not in k and ".2." not in k}
    found = load_pretrained(stored(tmp_path, few), outputs=2)
    assert found.module.depth == 8
    x, y = np.tile(found.preprocess(pictures(8)), (8, 1, 1, 1)), np.arange(16) % 2
    for seed in (0, 1):
        params, state = found.model.init(jax.random.key(seed), x)
        jax.tree.map(np.testing.assert_array_equal, {"params": params, **state}, found.variables)
    task = jr.Task(
        model=found.model,
        loss=jr.losses.softmax_cross_entropy(),
        train=(x, y),
        val=(x, y),
        batch_size=8,
    )
    before = jax.tree.map(np.copy, found.variables)
    fitted = jr.fit(task, steps=2)
    jax.tree.map(np.testing.assert_array_equal, before, found.variables)
    moved = fitted.state.params["conv1"]["kernel"] - found.variables["params"]["conv1"]["kernel"]
    assert np.abs(moved).max() > 0


@pytest.mark.parametrize("name", ["resnet20", "squeezenet"])
def test_preprocess_is_what_the_weights_were_trained_with(name, tmp_path):
    found = load_pretrained(stored(tmp_path, WEIGHTS[name]), outputs=2)
    x = pictures(32)
    if name == "squeezenet":
        want = x[..., ::-1].astype(float) - [103.939, 116.779, 123.68]
    else:
        want = (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    got = found.preprocess(x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(jax.jit(found.preprocess)(x), want, rtol=1e-5, atol=1e-4)
    mine = load_pretrained(found.source, outputs=2, mean=(0.1, 0.2, 0.3), std=(1, 2, 4))
    assert (mine.mean, mine.std) == ((0.1, 0.2, 0.3), (1.0, 2.0, 4.0))
    assert mine.white == found.white


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((2, 8, 8, 3), np.float32), ["float32[2, 8, 8, 3]", "not normalised"]),
        (np.zeros((2, 8, 8, 1), np.uint8), ["[2, 8, 8, 1]", "grey"]),
        (np.zeros((8, 8, 3), np.uint8), ["[8, 8, 3]"]),
    ],
)
def test_preprocess_refuses_what_is_no_stored_picture(given, words, tmp_path):
    found = load_pretrained(stored(tmp_path, WEIGHTS["resnet20"]))
    for convert in (np.asarray, jnp.asarray):
        with pytest.raises(TaskError) as error:
            found.preprocess(convert(given))
        for word in words:
            assert word in str(error.value)


def changed(name, **changes):
    """Returns the arrays of a network with some replaced; None takes one out."""
    arrays = WEIGHTS[name] | {key.replace("__", "."): value for key, value in changes.items()}
    return {key: value for key, value in arrays.items() if value is not None}


BN = np.ones(16, np.float32)
CASES = {
    "missing": (changed("resnet20", bn1__weight=None), {}, ["lacks bn1.weight"]),
    "unexpected": (changed("resnet20", bn9__weight=BN), {}, ["unknown bn9.weight"]),
    "shape": (changed("resnet20", bn1__weight=BN[:3]), {}, ["bn1.weight [3] instead of [16]"]),
    "kernel": (
        changed("resnet20", conv1__weight=np.ones((16, 4, 3, 3))),
        {},
        ["conv1.weight [3, 3, 4, 16] instead of [3, 3, 3, 16]"],
    ),
    "many": (
        {k: v for k, v in WEIGHTS["resnet18_thin"].items() if "layer3.1" not in k or "conv1" in k},
        {},
        ["lacks layer3.1.bn1.running_mean", " and 6 more"],
    ),
    "blocks": (
        {k: v for k, v in WEIGHTS["resnet18_thin"].items() if "layer3.1" not in k},
        {},
        ["[2, 2, 1, 2] basic", "18, 34, 50"],
    ),
    "network": ({"a.weight": BN, "b": BN}, {}, ["unknown network (a.weight, b"]),
    "no head": (WEIGHTS["squeezenet"], {}, ["conv10", "outputs"]),
    "no linear": (changed("resnet20", linear__weight=None), {}, ["linear.weight", "outputs"]),
    "mean": (WEIGHTS["resnet20"], {"mean": (0.5,)}, ["mean", "three", "(0.5,)"]),
    "std": (WEIGHTS["resnet20"], {"std": (0.5, 0, 1)}, ["std", "above 0"]),
}


@pytest.mark.thin(4)
@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_named(case, tmp_path):
    arrays, options, words = CASES[case]
    with pytest.raises(TaskError) as error:
        load_pretrained(stored(tmp_path, arrays), **options)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_prefixes_and_counters_of_torch_do_not_matter(tmp_path):
    arrays = {f"module.{name}": array for name, array in WEIGHTS["resnet20"].items()}
    arrays["module.bn1.num_batches_tracked"] = np.array(7)
    plain = load_pretrained(stored(tmp_path, WEIGHTS["resnet20"], "plain.npz"))
    prefixed = load_pretrained(stored(tmp_path, arrays, "prefixed.npz"))
    jax.tree.map(np.testing.assert_array_equal, plain.variables, prefixed.variables)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".pkl", ".PTH"])
def test_pickled_formats_are_refused_unread(suffix, tmp_path):
    path = tmp_path / f"weights{suffix}"
    with pytest.raises(TaskError, match=r"pickled.*safetensors"):
        load_pretrained(path)  # not even there


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"x")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and then nothing")
    np.savez(tmp_path / "objects.npz", a=np.array([{}, None], object))
    with open(tmp_path / "single.npz", "wb") as file:
        np.save(file, np.ones(3))
    cases = {
        "a.h5": "unknown format",
        "absent.npz": "does not exist",
        "broken.npz": "cannot be read as an .npz",
        "objects.npz": "without pickles",
        "single.npz": "one array",
    }
    for name, words in cases.items():
        with pytest.raises(TaskError, match=words) as error:
            load_pretrained(tmp_path / name)
        assert name in str(error.value)


def test_broken_safetensors_are_named_or_the_package_to_install(tmp_path):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(b"\xff" * 40)
    with pytest.raises(TaskError, match=r"cannot be read as safetensors|jrecipe\[pretrained\]"):
        load_pretrained(path)


@needs_shared_data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "share"), [(20, 0.91725), (32, 0.92175), (44, 0.93125), (56, 0.9345)]
)
def test_cifar_resnets_reach_their_accuracy(depth, share):
    found = load_pretrained(SHARED / "pretrained" / f"resnet{depth}_cifar10.npz")
    assert found.module.depth == depth
    x, y = cifar10_test()

    @jax.jit
    def answers(variables, pictures):
        return found.module.apply(variables, found.preprocess(pictures)).argmax(-1)

    parts = [answers(found.variables, x[i : i + 500]) for i in range(0, len(x), 500)]
    assert abs(np.mean(np.concatenate(parts) == y) - share) < 0.0005


@needs_shared_data
@pytest.mark.slow
def test_wrong_normalisation_costs_accuracy_and_raises_nothing():
    path = SHARED / "pretrained" / "resnet20_cifar10.npz"
    x, y = (part[:1000] for part in cifar10_test())

    def accuracy(**options):
        found = load_pretrained(path, **options)
        outputs = jax.jit(found.module.apply)(found.variables, found.preprocess(x))
        return np.mean(outputs.argmax(-1) == y)

    assert accuracy() > 0.9 > 0.6 > accuracy(mean=(0, 0, 0), std=(1, 1, 1))


@needs_shared_data
@pytest.mark.slow
def test_squeezenet_features_know_more_than_random_ones():
    from sklearn.linear_model import LogisticRegression

    x, y = (part[:1500] for part in cifar10_test())
    large = np.repeat(np.repeat(x, 3, axis=1), 3, axis=2)
    found = load_pretrained(SHARED / "pretrained" / "squeezenet11_notop_imagenet.npz", outputs=2)
    run = jax.jit(lambda v, x: found.module.apply(v, found.preprocess(x), method="features"))

    def probe(variables):
        features = np.concatenate([run(variables, large[i : i + 250]) for i in range(0, 1500, 250)])
        features = (features - features.mean(0)) / (features.std(0) + 1e-6)
        fitted = LogisticRegression(C=0.01, max_iter=500).fit(features[:1000], y[:1000])
        return fitted.score(features[1000:], y[1000:])

    random = found.module.init(jax.random.key(0), found.preprocess(large[:1]))
    trained, untrained = probe(found.variables), probe(random)
    assert trained > 0.6
    assert trained > untrained + 0.2
