"""What the optimiser did with made-up gradients (G14): numbers, no judgement.

Nine runs are compared. Gradients `g` and `-g` on weights that are held: half the difference of the
updates is what the gradient does, half their sum what the weights do (decay), whatever the
optimiser. Gradients of random sign do the same where an optimiser normalises. A gradient that turns
tells a memory that ends from one that does not; a gradient that is 0 in places finds divisions by
it. Two sequences that differ in size alone tell
clipping: what is clipped to one size gives one and the same update.
"""

from __future__ import annotations

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.checks.optimizer_clipping import clipping_of
from jrecipe.checks.optimizer_probe import BIAS, RUNS, SHORT, Leaf, Probe
from jrecipe.train.compiled import jit_once
from jrecipe.types import PyTree

CONST, CONST_MINUS, MOVING, PARTIAL, TURN, NOISE, NOISE_MINUS, HELD, HELD_MINUS = range(RUNS)
_TURN_AT, _LOOK = 560, 40  # of SHORT updates: when the gradient turns, and the last ones looked at
_BLOCKS = 10
_DEAD = 0.02  # of the largest rate


@dataclasses.dataclass(frozen=True)
class Answers:
    """What came out, one entry per leaf where arrays.

    Attributes:
      leaves: the parameters.
      responds: bool, whether the gradient changes the update at all.
      visible: whether updates are large enough to change the weights in their precision.
      moves: bool, whether any update was not 0.
      ascent: cosine of what the gradient does with the gradient, in [-1, 1]; -1 is descent.
      raw: bool, whether the update is the gradient itself, untransformed.
      finite: bool, whether ordinary gradients give finite updates.
      finite_at_zero: bool, the same for gradients that are 0 in places.
      turned: cosine of late updates with the direction before the gradient turned; -1 if they
        follow the new gradient, 1 if they still follow the old one, NaN if too small to tell.
      shrink: share of the weights that is lost in `SHORT` updates without regard to the gradient;
        below 0 if they grow.
      shrink_300: the same in 300 updates.
      decay_ratio: size of what the weights do in one update, of what the gradient does.
      last_rate: the last update, counted from 0, with a rate of `_DEAD` of the largest or more.
      ramp: whether the rate still rises evenly from about 0 at the end.
      steps: updates that were looked at.
      first: the first update that moves anything; -1 if none does.
      period: updates between two that move the weights; 1 unless gradients are accumulated.
      unread: places within the period whose gradient has no influence.
      sawtooth: number of updates in which they grow in proportion to their number under one
        gradient before they begin anew; 1 if they do not.
      gain: update for as many equal micro-batches as are accumulated, over that for one batch; NaN
        if nothing is accumulated, or what is inside is not known.
      clipped: bool, whether a gradient 30 times smaller than the real one is still clipped.
      clip_from: size from which on it is, of the real gradient; NaN if it is not.
    """

    leaves: tuple[Leaf, ...]
    responds: np.ndarray
    visible: bool
    moves: np.ndarray
    ascent: np.ndarray
    raw: np.ndarray
    finite: np.ndarray
    finite_at_zero: np.ndarray
    turned: np.ndarray
    shrink: np.ndarray
    shrink_300: np.ndarray
    decay_ratio: np.ndarray
    last_rate: int
    ramp: bool
    steps: int
    first: int
    period: int
    unread: tuple[int, ...]
    sawtooth: int
    clipped: np.ndarray
    clip_from: float
    gain: float = float("nan")


def _weights(probe: Probe) -> np.ndarray:
    """Returns float32[n]: constant weights, biases at `BIAS`; against `sign` in leaves of one."""
    sizes = [leaf.weight if leaf.matrix else BIAS for leaf in probe.leaves]
    alone = np.bincount(probe.owner)[probe.owner] == 1
    return np.where(alone, -probe.sign, 1.0) * probe.values(sizes)


def ask(probe: Probe, seed: int, clipping: bool = True) -> Answers:
    """Asks the optimiser everything.

    Args:
      probe: the optimiser.
      seed: decides the gradients of random sign.
      clipping: whether to look for clipping; not with weights of half precision.
    """
    steps = probe.longest
    rng = np.random.default_rng((seed % 2**32, 41))
    sizes = np.ones((RUNS, steps), np.float32)
    sizes[CONST_MINUS] = -1
    sizes[TURN, _TURN_AT:] = -1
    # Of many sizes, so that they never add up to exactly 0.
    sizes[[NOISE, HELD]] = rng.choice([-1.0, 1.0], steps) * rng.uniform(0.5, 1.5, steps)
    sizes[[NOISE_MINUS, HELD_MINUS]] = -sizes[NOISE]
    free = [MOVING, TURN, NOISE, NOISE_MINUS]
    hold = ~np.isin(np.arange(RUNS), free)
    pattern = probe.sign * probe.values([leaf.gradient for leaf in probe.leaves])
    weights = _weights(probe)
    patterns = np.tile(pattern, (RUNS, 1))
    single = len(probe.leaves) == 1
    patterns[PARTIAL] = np.where((probe.sign > 0) & ((probe.owner > 0) | single), pattern, 0)
    updates = probe.run(np.tile(weights, (RUNS, 1)), sizes, patterns, hold).astype(np.float64)

    bad = np.isnan(updates) | np.isinf(updates)
    # One gradient for ever may drive a method that tunes its own rate to infinity; noise does not.
    ordinary = [run for run in range(RUNS) if run != PARTIAL]
    wild = bad[[HELD, HELD_MINUS]].sum(axis=(0, 1)) + bad[ordinary, :20].sum(axis=(0, 1))
    finite = probe.by_leaf(wild) == 0
    finite_at_zero = probe.by_leaf(bad[PARTIAL, :100].sum(axis=0)) == 0
    pairs = ((CONST, CONST_MINUS), (HELD, HELD_MINUS), (NOISE, NOISE_MINUS), (MOVING, TURN))
    different = np.stack([(updates[a] != updates[b]).sum(axis=0) for a, b in pairs])
    responds = probe.by_leaf(different).sum(axis=0) > 0
    moves = probe.by_leaf((updates != 0).sum(axis=(0, 1))) > 0
    moved = np.flatnonzero((updates != 0).sum(axis=(0, 2)))
    updates[bad] = np.nan  # weights left to themselves may overflow; then there is no answer
    largest = np.nanmax(np.abs(updates[:, :SHORT]), axis=(0, 1), initial=0.0)

    odd = (updates[CONST] - updates[CONST_MINUS]) / 2
    late = updates[TURN, SHORT - _LOOK : SHORT].sum(axis=0)
    early = updates[TURN, _TURN_AT - _LOOK : _TURN_AT].sum(axis=0)
    shrink, shrink_300, ratio = _decay(probe, updates, weights)
    rate = _rate(probe, odd, responds)
    period = _period(updates[CONST])
    clipped, clip_from = (
        clipping_of(probe, rng, pattern, weights, responds)
        if clipping and finite.all()
        else (np.zeros(len(probe.leaves), bool), float("nan"))
    )
    return Answers(
        leaves=probe.leaves,
        responds=responds,
        visible=bool((largest > 1e-6 * np.abs(weights))[responds[probe.owner]].any()),
        moves=moves,
        ascent=np.minimum(
            _cosine(probe, odd.sum(axis=0), pattern),
            _cosine(probe, updates[MOVING, :SHORT].sum(axis=0), pattern),
        ),
        raw=probe.by_leaf((updates[CONST] != pattern).any(axis=0)) == 0,
        finite=finite,
        finite_at_zero=finite_at_zero,
        turned=_turned(probe, early, late, pattern),
        shrink=shrink,
        shrink_300=shrink_300,
        decay_ratio=ratio,
        last_rate=_last(rate),
        ramp=_ramps(rate) and _ramps(np.linalg.norm(updates[MOVING], axis=1)),
        steps=steps,
        first=int(moved[0]) if len(moved) else -1,
        period=period,
        unread=_unread(probe, pattern, weights, period) if period > 1 else (),
        sawtooth=_sawtooth(rate),
        clipped=clipped,
        clip_from=clip_from,
    )


def _cosine(probe: Probe, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the cosine between float[n] and float[n] for each leaf; NaN where one is 0."""
    product = probe.by_leaf(a * b)
    length = np.sqrt(probe.by_leaf(a**2) * probe.by_leaf(b**2))
    return np.where(length > 0, product / np.maximum(length, 1e-300), np.nan)


def _turned(probe: Probe, early: np.ndarray, late: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    before, after = (np.sqrt(probe.by_leaf(x**2)) for x in (early, late))
    old = _cosine(probe, early, pattern)
    new = _cosine(probe, late, pattern)
    visible = (after > 1e-3 * before) & (old < -0.2)
    return np.where(visible, -new, np.nan)


def _decay(
    probe: Probe, updates: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measures what the weights do on their own; see `Answers`.

    Held weights show that it is there: nothing but the weights is then common to both signs. What
    it comes to is the smaller of that and of what freely moving weights do.
    """
    size = probe.by_leaf(weights.astype(np.float64) ** 2)
    held = (updates[HELD, :SHORT] + updates[HELD_MINUS, :SHORT]) / 2
    free = (updates[NOISE, :SHORT] + updates[NOISE_MINUS, :SHORT]) / 2
    held_loss, free_loss = (-probe.by_leaf(even * weights) / size for even in (held, free))
    blocks = held_loss.reshape(_BLOCKS, -1, len(size)).sum(axis=1)
    there = blocks[np.abs(blocks).max(axis=1) > 0]
    steady = (np.sign(there) == np.sign(there.sum(axis=0))).all(axis=0)

    def lost(t: int) -> np.ndarray:
        a = -np.expm1(-np.clip(held_loss[:t].sum(axis=0), -50, 50))
        b = free_loss[:t].sum(axis=0)
        same = steady & (np.sign(a) == np.sign(b))
        return np.where(same, np.where(np.abs(a) < np.abs(b), a, b), 0.0)

    odd = (updates[HELD, :SHORT] - updates[HELD_MINUS, :SHORT]) / 2
    power = [np.sqrt(probe.by_leaf((x**2).sum(axis=0))) for x in (held, odd)]
    ratio = power[0] / np.maximum(power[1], 1e-300)
    return lost(SHORT), lost(300), ratio


def _rate(probe: Probe, odd: np.ndarray, responds: np.ndarray) -> np.ndarray:
    """Returns float[t]: the size of what the gradient does, every leaf with the same weight."""
    size = np.sqrt(probe.by_leaf(odd**2))[:, responds]
    if not size.size:
        return np.zeros(len(odd))
    return (size / np.maximum(size.max(axis=0), 1e-300)).mean(axis=1)


def _last(rate: np.ndarray) -> int:
    """Returns the last update with a rate that counts; medians, as the first may be a spike."""
    active = rate[rate > 0]  # not those where gradients are only collected
    if not len(active):
        return -1
    width = int(np.clip(len(active) // 4, 1, 5))  # what lasts three updates is no spike
    peak = np.median(np.lib.stride_tricks.sliding_window_view(active, width), axis=1).max()
    counts = np.flatnonzero((rate >= _DEAD * peak) | np.isnan(rate))
    return int(counts[-1]) if len(counts) else -1


def _ramps(rate: np.ndarray) -> bool:
    """Tells whether a rate rises evenly from about 0 all the way."""
    parts = [
        rate[int(len(rate) * share) - 50 : int(len(rate) * share)].mean()
        for share in (0.25, 0.5, 1.0)
    ]
    if not parts[0] > 0:
        return False
    return all(1.8 < b / a < 2.2 for a, b in itertools.pairwise(parts))


def _period(updates: np.ndarray) -> int:
    """Returns the number of updates between two that are not 0."""
    moving = np.flatnonzero((updates != 0).any(axis=1))
    if len(moving) < 4:
        return 1
    gaps = np.diff(moving)
    return int(gaps[0]) if (gaps == gaps[0]).all() else 1


def _sawtooth(rate: np.ndarray) -> int:
    """Returns the period of a rate that goes 1, 2, 3, ..., k and begins anew; 1 if it does not."""
    end = rate[-200:]
    falls = np.flatnonzero(end[1:] < 0.9 * end[:-1]) + 1
    if len(falls) < 3 or len(set(np.diff(falls))) > 1:
        return 1
    teeth = end[falls[0] : falls[-1]].reshape(len(falls) - 1, -1)
    length = teeth.shape[1]
    grown = teeth / np.maximum(teeth[:, :1], 1e-300)
    return length if np.allclose(grown, np.arange(1, length + 1), rtol=0.02) else 1


def gain_of(outer: Probe, inner: Probe) -> float:
    """Returns the size of the first update of one optimiser over that of another; NaN if none."""
    sizes = np.ones((RUNS, 300), np.float32)
    found = []
    for probe in (outer, inner):
        pattern = probe.sign * probe.values([leaf.gradient for leaf in probe.leaves])
        weights, patterns = (np.tile(x, (RUNS, 1)) for x in (_weights(probe), pattern))
        updates = probe.run(weights, sizes, patterns, np.ones(RUNS, bool))[0].astype(np.float64)
        size = np.linalg.norm(updates, axis=1)
        found.append(size[size > 0][:1])
    return float(found[0][0] / found[1][0]) if all(map(len, found)) else float("nan")


def _unread(probe: Probe, pattern: np.ndarray, weights: np.ndarray, period: int) -> tuple[int, ...]:
    """Finds places within a period whose gradient alone moves nothing."""
    places = np.unique(np.linspace(0, period - 1, min(period, RUNS)).astype(int))
    steps = min(probe.longest, max(300, 4 * period))
    sizes = np.zeros((RUNS, steps), np.float32)
    for run, place in enumerate(places):
        sizes[run, place::period] = 1
    everywhere = [np.tile(x, (RUNS, 1)) for x in (weights, pattern)]
    updates = probe.run(everywhere[0], sizes, everywhere[1], np.ones(RUNS, bool))
    cosine = np.nan_to_num(np.abs(updates @ pattern)).sum(axis=1)[: len(places)]
    if not cosine.max() > 0:
        return ()
    return tuple(int(p) for p, x in zip(places, cosine, strict=True) if x < 1e-2 * cosine.max())


def responds_at_size(
    tx: optax.GradientTransformation, params: PyTree, grads: PyTree, steps: int
) -> np.ndarray:
    """Tells which leaves respond to a gradient, with the real shapes: bool[leaves].

    Args:
      tx: the optimiser.
      params: the real parameters.
      grads: a real gradient; where it is 0, ones are taken.
      steps: updates to look at.
    """

    def respond(params: PyTree, grads: PyTree) -> list[jax.Array]:
        full = jax.tree.map(lambda g: jnp.where(g == 0, jnp.ones_like(g), g), grads)
        minus = jax.tree.map(jnp.negative, full)

        def one(carry: PyTree, _: None) -> tuple[PyTree, list[jax.Array]]:
            a, state_a = tx.update(full, carry[0], params)
            b, state_b = tx.update(minus, carry[1], params)
            pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
            return (state_a, state_b), [(x != y).any() for x, y in pairs]

        state = tx.init(params)
        return [x.any() for x in jax.lax.scan(one, (state, state), None, length=steps)[1]]

    return np.array([bool(x) for x in jit_once(respond)(params, grads)])
