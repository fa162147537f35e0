"""Looking inside (D13): known numbers, planted faults found, healthy twins left alone."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given
from small_tasks import CLASSES, FEATURES, HIDDEN, pictures, plain, small
from strategies import seeds

import jrecipe as jr
from jrecipe.checks import inside as module
from jrecipe.checks.inside import check_inside
from jrecipe.checks.inside_filters import as_pictures, noise
from jrecipe.checks.inside_judge import judge_inside
from jrecipe.checks.inside_layers import BINS, LayerInside, _histogram, _measured
from jrecipe.checks.inside_shown import MOST_LAYERS, drawn, table
from jrecipe.checks.result import Verdict
from jrecipe.figures import Histograms, Pictures, Table

ACTIVATIONS = {"relu": nn.relu, "tanh": nn.tanh, "sigmoid": nn.sigmoid, "silu": nn.silu}


class Stack(nn.Module):
    """Dense layers of eight units; layer 1 has a bias, or weights, of its own."""

    activation: str = "relu"
    depth: int = 3
    bias: float = 0.0
    gain: float = 1.0
    at: int = 1

    @nn.compact
    def __call__(self, x):
        for i in range(self.depth):
            odd = i == self.at
            x = nn.Dense(
                8,
                kernel_init=nn.initializers.variance_scaling(
                    self.gain**2 if odd else 1.0, "fan_in", "normal"
                ),
                bias_init=nn.initializers.constant(self.bias if odd else 0.0),
                name=f"layer{i}",
            )(x)
            x = ACTIVATIONS[self.activation](x)
        return nn.Dense(CLASSES, name="head")(x)


def look(**options) -> jr.checks.inside.Inside:
    return jr.look_inside(small(model=Stack(**options), val=pictures(200, 2)))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_numbers_are_those_of_the_network():
    task = small(model=Stack())
    inside = jr.look_inside(task, seed=3)
    model = jr.models.as_model(task.model)
    inputs, targets = map(jnp.asarray, pictures(23, 2))
    params = jr.train.reference.trainer_of(task).init(jax.random.key(3)).params
    x, found = inputs, {layer.path: layer for layer in inside.layers}
    for i in range(3):
        weights = params[f"layer{i}"]
        x = nn.relu(x @ weights["kernel"] + weights["bias"][None])
        layer = found[f"layer{i}/kernel"]
        np.testing.assert_allclose(layer.mean, x.mean(), rtol=1e-4)
        np.testing.assert_allclose(layer.deviation, x.std(), rtol=1e-4)
        assert layer.dead == pytest.approx(float((x == 0).all(axis=0).mean()))
        counts, edges = np.histogram(np.asarray(x), BINS, (layer.edges[0], layer.edges[-1]))
        np.testing.assert_allclose(layer.edges, edges, rtol=1e-5, atol=1e-6)
        assert np.abs(layer.counts - counts).sum() <= 4  # on an edge, by rounding
        assert layer.counts.sum() == x.size
    head = x @ params["head"]["kernel"] + params["head"]["bias"][None]
    assert found["head/kernel"].kind == "linear"
    np.testing.assert_allclose(found["head/kernel"].mean, head.mean(), rtol=1e-4, atol=1e-6)
    assert [layer.followed for layer in inside.layers] == [True] * 3 + [False]

    def loss(params):
        outputs = model.apply(params, {}, inputs)[0]
        return optax.softmax_cross_entropy_with_integer_labels(outputs, targets).mean()

    grads = jax.grad(loss)(params)
    for name in ("layer0", "layer2", "head"):
        want = jnp.linalg.norm(grads[name]["kernel"]) / jnp.linalg.norm(params[name]["kernel"])
        np.testing.assert_allclose(inside.gradients[f"{name}/kernel"], want, rtol=1e-4)
    assert np.isnan(inside.gradients["layer0/bias"])  # still all 0


@pytest.mark.slow
def test_a_bias_is_part_of_what_a_layer_makes():
    biased = small(model=Stack(activation="silu", bias=5.0, gain=0.0, depth=2, at=1))
    layer = jr.look_inside(biased).layers[1]
    assert (layer.kind, layer.dead, layer.saturated) == ("silu", 0.0, 0.0)
    assert layer.mean == pytest.approx(5.0 / (1 + np.exp(-5.0)), rel=1e-5)

    class Shifted(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(CLASSES, bias_init=nn.initializers.constant(7.0))(x) + 50.0

    (only,) = jr.look_inside(small(model=Shifted())).layers
    assert only.mean == pytest.approx(57.0, abs=1.5)


FAULTS = {
    "dead": ({"bias": -1e3}, "layer1/kernel", "dead-units"),
    "dead first layer": ({"bias": -1e3, "at": 0}, "layer0/kernel", "dead-units"),
    "saturated": ({"activation": "tanh", "gain": 100.0}, "layer1/kernel", "init-scale"),
    "logistic": ({"activation": "sigmoid", "gain": 500.0}, "layer1/kernel", "init-scale"),
    "vanishing": ({"activation": "sigmoid", "depth": 12}, "layer0/kernel", "init-scale"),
}
REPAIRED = {
    "dead": {},
    "dead first layer": {"at": 0},
    "saturated": {"activation": "tanh"},
    "logistic": {"activation": "sigmoid"},
    "vanishing": {"activation": "tanh", "depth": 12},
}


@pytest.mark.slow
@pytest.mark.thin(5)
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_with_its_layer(name):
    options, path, cause = FAULTS[name]
    inside = look(**options)
    finding = inside.complaints()
    assert finding.verdict is Verdict.WARNED
    assert (finding.suspects[0].where, finding.suspects[0].cause) == (path, cause)
    assert inside.table().rows[0][0] == path
    histograms = inside.figures()[1]
    marked = [c for c, ok in zip(histograms.captions, histograms.good, strict=True) if not ok]
    assert path.removesuffix("/kernel") in marked[0]


@pytest.mark.thin(5)
@pytest.mark.parametrize("name", REPAIRED)
def test_its_repaired_twin_is_left_alone(name):
    finding = look(**REPAIRED[name]).complaints()
    assert finding.verdict is Verdict.PASSED, finding.finding
    assert not finding.suspects


@pytest.mark.slow
@given(seed=seeds)
def test_a_saturated_unit_is_at_a_limit_for_19_examples_of_20(seed):
    rng = np.random.default_rng(seed)
    far = np.array([0, 94, 95, 100])  # how many of 100 examples are at a limit
    x = rng.uniform(-0.98, 0.98, (100, 4))
    for unit, count in enumerate(far):
        x[rng.permutation(100)[:count], unit] = rng.choice([-0.995, 0.995], count)
    x = jnp.asarray(x, jnp.float32)
    assert _measured("tanh", x)[-1] == 0.5
    assert _measured("logistic", (x + 1) / 2)[-1] == 0.5
    assert _measured("relu", x)[-1] == _measured("gate", x)[-1] == 0.0


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_what_the_last_layer_answers_may_saturate(activation):
    class Sure(nn.Module):
        @nn.compact
        def __call__(self, x):
            wide = nn.initializers.normal(1e4)
            return ACTIVATIONS[activation](nn.Dense(1, kernel_init=wide)(x))[:, 0]

    targets = np.arange(60) % 2.0
    data = pictures(60, 1)[0], targets.astype(np.float32)
    task = small(model=Sure(), train=data, val=data, loss=jr.losses.l2())
    inside = jr.look_inside(task)
    assert inside.layers[0].saturated == 1.0
    assert inside.complaints().verdict is Verdict.PASSED


def test_a_gate_may_be_open_for_all():
    class Gated(nn.Module):
        @nn.compact
        def __call__(self, x):
            opened = nn.Dense(8, bias_init=nn.initializers.constant(50.0))(x)
            return nn.Dense(CLASSES)(nn.Dense(8)(x) * nn.sigmoid(opened))

    inside = jr.look_inside(small(model=Gated()))
    assert [layer.kind for layer in inside.layers] == ["linear", "gate", "linear"]
    assert inside.complaints().verdict is Verdict.PASSED


@pytest.mark.slow
def test_a_network_of_any_kind_is_looked_into():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(FEATURES, HIDDEN, rngs=rngs)
            self.last = nnx.Linear(HIDDEN, CLASSES, rngs=rngs)

        def __call__(self, x):
            return self.last(nnx.relu(self.first(x)))

    for model in (Net, plain(norm=True)):
        inside = jr.look_inside(small(model=model))
        assert [(x.path, x.kind) for x in inside.layers] == [
            ("first/kernel", "relu"),
            ("last/kernel", "linear"),
        ]
        assert inside.gradients["first/kernel"] > 0


def foreign(predict):
    model = plain()
    return jr.Trainer(
        init=lambda key: model.init(key, jnp.zeros((1, FEATURES)))[0],
        step=lambda params, batch, key: (params, {"loss": jnp.zeros(())}),
        predict=predict or (lambda params, x: model.apply(params, {}, x)[0]),
        params=lambda params: params,
    )


def test_a_foreign_trainer_shows_its_layers_but_not_its_gradients():
    inside = jr.look_inside(small(model=None, trainer=foreign(None)))
    assert [layer.path for layer in inside.layers] == ["first/kernel", "last/kernel"]
    assert inside.gradients == {}
    assert "A foreign trainer does not show its gradients." in inside.notes
    assert inside.complaints().verdict is Verdict.PASSED


def test_what_cannot_be_traced_is_said_to_be_so():
    opaque = foreign(lambda params, x: np.asarray(x) @ np.ones((FEATURES, CLASSES), np.float32))
    task = small(model=None, trainer=opaque)
    with pytest.raises(jr.TaskError, match="a network that JAX can trace"):
        jr.look_inside(task)
    finding = check_inside(jr.fit(task, 2, progress=False))
    assert finding.verdict is Verdict.SKIPPED
    assert "trace" in finding.finding


def test_layers_in_a_loop_are_counted():
    class Recurrent(nn.Module):
        @nn.compact
        def __call__(self, x):
            states = nn.RNN(nn.SimpleCell(4))(x.reshape(len(x), 4, 4))
            return nn.Dense(CLASSES, name="head")(states[:, -1])

    inside = jr.look_inside(small(model=Recurrent()))
    assert [layer.path for layer in inside.layers] == ["head/kernel"]
    assert any("inside a loop" in note for note in inside.notes)


@pytest.mark.thin(2)
@pytest.mark.parametrize(
    ("what", "options", "said"),
    [
        (3, {}, "got int"),
        (None, {"split": "test"}, r"no split 'test'; there are \['train', 'val'\]"),
        (None, {"rows": 0}, "rows >= 1, got 0"),
    ],
)
def test_bad_arguments_are_refused(what, options, said):
    with pytest.raises(jr.TaskError, match=said):
        jr.look_inside(small() if what is None else what, **options)


@pytest.mark.slow
def test_two_programs_are_compiled(monkeypatch):
    made = []

    def counted(function):
        made.append(function.__name__)
        return jax.jit(function)

    monkeypatch.setattr(module, "jit_once", counted)
    monkeypatch.setattr("jrecipe.checks.inside_layers.jit_once", counted)
    look(depth=2)
    assert sorted(made) == ["measure", "relative"]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_run_is_looked_into_at_its_best_state():
    fit = jr.fit(small(model=Stack()), 30, progress=False)
    broken = dataclasses.replace(
        fit, state=dataclasses.replace(fit.state, params=plant(fit.state.params))
    )
    assert jr.look_inside(broken).complaints().verdict is Verdict.PASSED
    assert jr.look_inside(broken, best=False).complaints().suspects[0].where == "layer1/kernel"
    inside = jr.look_inside(fit, split="train", rows=10)
    assert (inside.split, inside.rows) == ("train", 10)
    same = dataclasses.replace(fit, task=fit.task.replace(val=fit.task.train))
    assert inside.layers[0].mean == jr.look_inside(same, rows=10).layers[0].mean
    assert inside.layers[0].mean != jr.look_inside(fit, rows=10).layers[0].mean
    assert "| layer0/kernel | relu | 8 |" in str(inside)


def plant(params):
    bias = params["layer1"]["bias"]
    return {**params, "layer1": {**params["layer1"], "bias": bias - 1e4}}


@pytest.mark.slow
def test_the_report_of_a_run_has_a_chapter():
    fit = jr.fit(small(model=Stack()), 30, progress=False)
    dead = dataclasses.replace(
        fit, best=dataclasses.replace(fit.best, params=plant(fit.best.params))
    )
    for run, verdict in ((fit, Verdict.PASSED), (dead, Verdict.WARNED)):
        report = jr.check_fit(run)
        (finding,) = (f for f in report.findings if f.item == "D13")
        assert (finding.verdict, finding.figures) == (verdict, ())
        chapter = report.sections[-1]
        assert chapter.title == "Inside the network"
        assert chapter.text[0] == finding.finding
        assert "does not look at pictures" in chapter.text[-1]
        page = report.to_html()
        assert page.count("Inside the network") == 1
        assert ("✗ 100% of 8 units dead" in page) == (verdict is Verdict.WARNED)
        assert len(page) < 100_000
    silent = jr.check_fit(dead, ignore=("inside",))
    assert [section.title for section in silent.sections] == ["Training"]


@pytest.mark.slow
def test_normalisation_is_no_layer_and_residual_branches_meet_in_one():
    class Residual(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.relu(nn.Dense(8, name="a")(x))
            x = nn.relu(x + nn.Dense(8, name="c")(nn.relu(nn.Dense(8, name="b")(x))))
            return nn.Dense(CLASSES, name="head")(nn.LayerNorm()(x + nn.Dense(8, name="d")(x)))

    layers = jr.look_inside(small(model=Residual())).layers
    assert [(x.path.removesuffix("/kernel"), x.kind) for x in layers] == [
        ("a", "relu"),
        ("b", "relu"),
        ("c", "relu"),
        ("d", "linear"),
        ("head", "linear"),
    ]


def layer(**changes) -> LayerInside:
    base = {
        "path": "a/kernel",
        "kind": "relu",
        "units": 4,
        "counts": np.ones(BINS, int),
        "edges": np.linspace(0, 1, BINS + 1),
        "mean": 0.5,
        "deviation": 0.3,
        "dead": 0.0,
        "saturated": 0.0,
        "followed": True,
    }
    return LayerInside(**{**base, **changes})


@pytest.mark.parametrize(
    ("layers", "rates", "where"),
    [
        ([layer(), layer(path="b", deviation=np.nan), layer(path="c", dead=1.0)], {}, "b"),
        ([layer(path="b", dead=0.9), layer(path="c", dead=1.0)], {}, "b"),
        ([layer(dead=0.89), layer(saturated=0.49)], {}, ""),
        ([layer(path="b", saturated=0.5)], {}, "b"),
        ([layer(dead=1.0, followed=False)], {}, ""),
        ([layer(path="b"), layer(path="c")], {"b": 1.0, "c": 9e-6}, "c"),
        ([layer(path="b"), layer(path="c")], {"b": 1.0, "c": 2e-5}, ""),
        ([layer(path="b"), layer(path="c")], {"b": 1.0, "c": 0.0}, ""),
        ([layer(path="b"), layer(path="c")], {"b": 1.0, "c": 1.0, "bias": 1e-9}, ""),
    ],
)
def test_the_judge_names_the_first_bad_layer(layers, rates, where):
    finding = judge_inside(layers, rates)
    assert (finding.suspects[0].where if finding.suspects else "") == where
    assert (finding.verdict is Verdict.WARNED) == bool(where)


def test_no_layers_are_no_verdict():
    assert judge_inside([], {}).verdict is Verdict.SKIPPED
    assert drawn([], {}, None) == ()


def test_worst_come_first_and_the_rest_is_counted():
    many = [layer(path=f"l{i}", dead=i / 100) for i in range(30)]
    shown, histograms = drawn(many, {}, None)
    assert isinstance(shown, Table)
    assert isinstance(histograms, Histograms)
    assert [row[0] for row in shown.rows] == [f"l{29 - i}" for i in range(MOST_LAYERS)]
    assert histograms.captions[0] == "l18, relu"  # in the order of the network
    assert "18 more are left out" in shown.title
    assert "18 more are left out" in histograms.title
    rates = {"l0": 1.0, "l1": 1e-3, "l2": np.nan}
    rows = table([layer(path=f"l{i}") for i in range(3)], rates).rows
    assert [(row[0], row[-1]) for row in rows] == [
        ("l1", "1.0e-03"),
        ("l0", "1.0e+00"),
        ("l2", "–"),
    ]


@given(seed=seeds)
def test_a_histogram_counts_every_finite_value(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 6)).astype(np.float32)
    x[0, 0], x[3, 2] = np.nan, np.inf
    counts, low, high = map(np.asarray, _histogram(jnp.asarray(x)))
    finite = x[np.isfinite(x)]
    assert (low, high, counts.sum()) == (finite.min(), finite.max(), finite.size)
    np.testing.assert_allclose(counts, np.histogram(finite, BINS)[0], atol=2)


def test_a_histogram_samples_every_unit():
    units = 64  # a power of two, as the step between the sampled values would be
    x = jnp.broadcast_to(jnp.arange(units, dtype=jnp.float32)[None], (2**14, units))
    counts = np.asarray(_histogram(x)[0])
    assert counts.sum() <= 2**18
    assert (counts > 0).all()
    assert counts.max() <= 2.1 * counts.min()


def test_a_constant_has_a_histogram():
    counts, low, high = map(np.asarray, _histogram(jnp.zeros((3, 2))))
    assert (counts.sum(), low, high) == (6, -0.5, 0.5)


@given(seed=seeds)
def test_noise_is_1_for_white_noise_and_less_for_smooth_filters(seed):
    rng = np.random.default_rng(seed)
    white = rng.normal(size=(200, 5, 5, 3))
    assert noise(white) == pytest.approx(1.0, abs=0.08)
    assert noise(3 * white + 7) == pytest.approx(noise(white))
    ramp = np.arange(5.0)[None, :, None, None] + np.arange(5.0)[None, None, :, None]
    assert noise(ramp) < 0.2
    chess = (-1.0) ** ramp
    assert noise(chess) > 1.5
    assert np.isnan(noise(white[:, :1]))
    assert np.isnan(noise(np.zeros((2, 3, 3, 1))))


def test_pictures_of_filters_have_0_in_the_middle():
    filters = np.random.default_rng(0).normal(size=(3, 2, 2, 1))
    filters[2] = 0.0
    shown = as_pictures(filters)
    assert shown.dtype == np.float32
    assert (shown[2] == 0.5).all()
    np.testing.assert_array_equal(np.sign(shown - 0.5), np.sign(filters))
    assert np.abs(shown[:2] - 0.5).max(axis=(1, 2, 3)).tolist() == [0.5, 0.5]


def looking(model, shape):
    rng = np.random.default_rng(0)
    data = rng.normal(size=(20, *shape)).astype(np.float32), np.arange(20) % CLASSES
    return jr.look_inside(small(model=model, train=data, val=data))


class Convolution(nn.Module):
    """One convolution."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(5, (3, 2), name="conv")(x))
        return nn.Dense(CLASSES)(x.mean((1, 2)))


class Flat(nn.Module):
    """One dense layer over all pixels."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(CLASSES, name="dense")(x.reshape(len(x), -1))


@pytest.mark.thin(5)
@pytest.mark.parametrize(
    ("model", "shape", "images"),
    [
        (Convolution(), (6, 6, 3), (5, 3, 2, 3)),
        (Convolution(), (6, 6, 1), (5, 3, 2, 1)),
        (Flat(), (6, 5, 3), (CLASSES, 6, 5, 3)),
        (Flat(), (6, 6), (CLASSES, 6, 6, 1)),
        (jr.models.ViT(CLASSES, patch_size=3, width=4, depth=0, heads=1), (6, 9, 3), (4, 3, 3, 3)),
    ],
)
def test_filters_of_the_first_layer_are_pictures(model, shape, images):
    inside = looking(model, shape)
    assert inside.filters.images.shape == images
    assert (np.diff(inside.filters.norms) <= 0).all()
    gallery = inside.figures()[-1]
    assert isinstance(gallery, Pictures)
    assert len(gallery.images) == images[0]


@pytest.mark.thin(3)
@pytest.mark.parametrize(
    ("model", "shape", "said"),
    [
        (Convolution(), (6, 6, 2), "2 channels"),
        (Flat(), (6, 5), "does not look at pictures"),  # steps of a sequence
        (Stack(), (FEATURES,), "does not look at pictures"),
    ],
)
def test_other_first_layers_say_why_there_are_no_filters(model, shape, said):
    inside = looking(model, shape)
    assert inside.filters is None
    assert any(said in note for note in inside.notes)


def test_a_filter_is_the_kernel_of_its_unit():
    inside = looking(Flat(), (4, 3, 1))
    task = small(model=Flat(), train=(np.zeros((20, 4, 3, 1), np.float32), np.arange(20) % CLASSES))
    kernel = jr.train.reference.trainer_of(task).init(jax.random.key(0)).params["dense"]["kernel"]
    strongest = np.asarray(kernel)[:, np.argmax(np.linalg.norm(kernel, axis=0))].reshape(4, 3)
    want = 0.5 + strongest / (2 * np.abs(strongest).max())
    np.testing.assert_allclose(inside.filters.images[0, ..., 0], want, rtol=1e-5)
