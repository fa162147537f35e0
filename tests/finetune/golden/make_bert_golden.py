"""Writes `bert.npz`: what transformers answers, for the weights and texts of `bert_arrays.py`.

Command: python tests/finetune/golden/make_bert_golden.py
(needs torch and transformers; written with torch 2.13 and transformers 5.24, CPU)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from bert_arrays import CONFIGS, arrays_of, texts
from transformers import AutoConfig, AutoModel


def answers(name: str) -> dict[str, np.ndarray]:
    """Returns the features [b, t, d] and, but for DistilBERT, the pooled vectors [b, d]."""
    fields = dict(CONFIGS[name])
    network = AutoModel.from_config(AutoConfig.for_model(fields.pop("model_type"), **fields))
    state = {key: torch.from_numpy(value) for key, value in arrays_of(CONFIGS[name]).items()}
    network.load_state_dict(state, strict=True)
    given = {key: torch.from_numpy(value) for key, value in texts(name).items()}
    inputs = {"input_ids": given["ids"].long(), "attention_mask": given["mask"].long()}
    if CONFIGS[name]["model_type"] != "distilbert":
        inputs["token_type_ids"] = given["types"].long()
    with torch.no_grad():
        outputs = network.eval()(**inputs)
    found = {"features": outputs.last_hidden_state, "pooled": outputs.get("pooler_output")}
    return {key: value.numpy() for key, value in found.items() if value is not None}


def main() -> None:
    golden = {f"{name}_{key}": a for name in CONFIGS for key, a in answers(name).items()}
    np.savez_compressed(Path(__file__).with_name("bert.npz"), **golden)
    for name, value in golden.items():
        print(name, value.shape, float(np.abs(value).mean()))


if __name__ == "__main__":
    main()
