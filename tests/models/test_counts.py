"""The page on the networks: its counts are those of the code, its tables those of `suggest`."""

from __future__ import annotations

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jrecipe import models

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+\(.+?\))` \| (.+?) \| ([\d,]+) \|", PAGE, re.MULTILINE)
PUBLISHED = {  # of torchvision, timm, Hugging Face and the papers
    "ResNet(1000)": 11_689_512,
    "ResNet(1000, depth=34)": 21_797_672,
    "ResNet(1000, depth=50)": 25_557_032,
    "ResNetCifar(10)": 269_722,
    "ResNet9(10)": 6_573_130,
    "SqueezeNet(1000)": 1_235_496,
    "ViT(1000)": 5_717_416,
    "ViT(1000, width=384, heads=6)": 22_050_664,
    "GPT(50_257, length=1024, width=768, depth=12, heads=12, tied=True)": 124_439_808,
}


def parameters(call: str, inputs: str) -> int:
    module = eval(call, {}, vars(models) | {n: getattr(models, n) for n in models.__all__})
    if tokens := re.fullmatch(r"(\d+) tokens", inputs):
        example = jnp.zeros((1, int(tokens[1])), jnp.int32)
    else:
        example = jnp.zeros((1, *map(int, inputs.split("x"))))
    shapes = jax.eval_shape(module.init, jax.random.key(0), example)["params"]
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))


@pytest.mark.thin(16)
@pytest.mark.parametrize(("call", "inputs", "count"), ROWS)
def test_counts_on_the_page_are_those_of_the_network(call, inputs, count):
    assert parameters(call, inputs) == int(count.replace(",", ""))


def test_published_counts_are_met():
    assert {c: int(n.replace(",", "")) for c, _, n in ROWS if c in PUBLISHED} == PUBLISHED


def test_every_network_is_on_the_page():
    fields = {n: getattr(getattr(models, n), "__dataclass_fields__", {}) for n in models.__all__}
    # Heads on an encoder have the size of whatever encoder it is.
    makers = {n for n, its in fields.items() if "outputs" in its and "encoder" not in its}
    assert {call.partition("(")[0] for call, *_ in ROWS} == makers


def test_the_table_of_suggest_is_the_one_on_the_page():
    rows = re.findall(r"^    (\| .+ \|)$", models.suggest.__doc__, re.MULTILINE)
    assert len(rows) > 10
    assert "\n".join(rows[2:]) in PAGE
