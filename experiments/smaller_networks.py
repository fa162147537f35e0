"""What do 8 bits, pruning and low rank cost a small convolutional network, and what do they save?

Question: a ConvNet trained on the bundled digits and one on Fashion-MNIST are made smaller in eight
ways. Each is compared with its original on the test split, which nothing was chosen on: bytes of
its weights as a file, time of a call, throughput, accuracy. Then each original and its 8-bit form
are exported and compared on up to 1,000 test pictures.

Command: python experiments/smaller_networks.py --data FOLDER --out FOLDER
FOLDER holds the IDX files of Fashion-MNIST; without --data only the digits are done. --formats
names what to export to, as stablehlo,onnx (the extra `onnx`).

Hardware, time and results: docs/deploy.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optax

import jrecipe as jr
from jrecipe import squeeze

CHECKED = 1_000  # test pictures on which exports are compared


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much to train.

    Attributes:
      width: channels of the first stage.
      steps: updates of the original.
      more: updates of each training on.
      batch: pictures in a batch.
      calls: of each network, whose times are measured.
    """

    width: int
    steps: int
    more: int
    batch: int = 64
    calls: int = 100


SCALES = {
    "smoke": Scale(width=4, steps=20, more=10, batch=32, calls=3),
    "digits": Scale(width=32, steps=1_500, more=400),
    "fashion": Scale(width=16, steps=600, more=150),
}
RATE = 1e-3  # of Adam; a third of it when training on


def trained(splits: jr.data.Splits, scale: Scale, seed: int) -> jr.Fit:
    """Returns the original, trained."""
    task = jr.Task(
        model=jr.models.ConvNet(len(splits.class_names), width=scale.width),
        loss=jr.losses.softmax_cross_entropy(),
        train=splits.train,
        val=splits.val,
        test=splits.test,
        optimizer=optax.adam(RATE),
        batch_size=scale.batch,
        class_names=splits.class_names,
        name=splits.name,
    )
    return jr.fit(task, steps=scale.steps, seed=seed, progress=False)


def made_smaller(fit: jr.Fit, scale: Scale, seed: int) -> dict[str, squeeze.Network]:
    """Returns the original and what is made of it, by name."""
    task, network = fit.task, squeeze.network_of(fit)
    few = task.train.take(np.arange(2))[0]
    units = squeeze.all_but_last(network, few)

    def more(link: optax.GradientTransformation, model: Any = None) -> squeeze.Network:
        tx = optax.chain(optax.adam(RATE / 3), link)
        begun = task if model is None else task.replace(model=model)
        return squeeze.train_on(begun, network, tx, steps=scale.more, seed=seed)

    def pruned(share: float, **options: Any) -> squeeze.Network:
        every = max(scale.more // 20, 1)
        return more(squeeze.prune(share, end=scale.more // 2, every=every, **options))

    half = pruned(0.5)
    found = {
        "original": network,
        "int8 weights": squeeze.quantise(network),
        "int8 weights, trained for it": squeeze.quantise(
            more(optax.identity(), squeeze.quantise_aware(network.model))
        ),
        "50 % pruned": half,
        "50 % pruned, int8 weights": squeeze.quantise(half),
        "80 % pruned": pruned(0.8),
        "25 % of units pruned": pruned(0.25, structured=True, mask=units),
        "rank for 95 % of the squares": squeeze.low_rank(network, 0.95),
    }
    if importlib.util.find_spec("qwix") is not None:
        layers = squeeze.quantise_activations(network, few)
        found["int8 weights and activations"] = layers
    return found


def exported(
    fit: jr.Fit, formats: Sequence[str], out: Path, name: str
) -> list[dict[str, float | str]]:
    """Exports the original and its 8-bit form; returns how far each is from its network."""
    source = fit.task.test
    inputs = source.take(np.arange(min(CHECKED, len(source))))[0]
    network = squeeze.network_of(fit)
    rows = []
    for kind, made in (("original", network), ("int8 weights", squeeze.quantise(network))):
        for to in formats:
            folder = out / f"{name}-{kind.partition(' ')[0]}-{to}"
            found = squeeze.export(made, folder, to=to, inputs=inputs)
            rows.append({"network": kind, "format": to, "bytes": found.record["bytes"]})
            rows[-1] |= found.record["checked"]
    return rows


def study(
    name: str, splits: jr.data.Splits, scale: Scale, formats: Sequence[str], out: Path, seed: int
) -> dict[str, Any]:
    """Trains, makes smaller, compares and exports one network; writes NAME.json."""
    begun = time.perf_counter()
    fit = trained(splits, scale, seed)
    networks = made_smaller(fit, scale, seed)
    found = squeeze.compare(networks, fit.task, calls=scale.calls)
    exports = exported(fit, formats, out, name)
    seconds = time.perf_counter() - begun
    plain = [kind for kind in networks if "pruned" in kind and "int8" not in kind]
    told = {
        "rows": {kind: dataclasses.asdict(row) for kind, row in found.rows.items()},
        "zeros": {kind: squeeze.sparsity(networks[kind].params) for kind in plain},
        "exports": exports,
        "seconds": seconds,
    }
    (out / f"{name}.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(f"\n{name}: {found.table().title}; {seconds:.0f} s in all\n\n{found}\n", flush=True)
    for row in exports:
        print(
            f"{row['network']} as {row['format']}: {row['bytes']:,} bytes, outputs within "
            f"{row['largest_difference']:.1e} on {row['examples']} pictures",
            flush=True,
        )
    return told


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="folder with the IDX files of Fashion-MNIST")
    parser.add_argument("--out", type=Path, required=True, help="a new folder, for what is made")
    parser.add_argument("--sets", help="only these of digits,fashion")
    parser.add_argument("--formats", default="stablehlo,safetensors")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a few updates, to try the program")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True)
    places = {"digits": "digits"} | ({"fashion": given.data} if given.data else {})
    for name in given.sets.split(",") if given.sets else places:
        scale = SCALES["smoke" if given.smoke else name]
        splits = jr.data.load(places[name], seed=given.seed)
        study(name, splits, scale, given.formats.split(","), given.out, given.seed)


if __name__ == "__main__":
    main()
