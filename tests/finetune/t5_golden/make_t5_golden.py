"""Writes `t5_golden.npz`: what transformers' T5 answers and writes, for weights of `t5_weights.py`.

Command: python tests/finetune/t5_golden/make_t5_golden.py
(needs torch and transformers; written with torch 2.13 and transformers 5.24, CPU)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from t5_weights import (
    BUCKETS,
    CONFIGS,
    DISTANCES,
    ENDS,
    NEW_TOKENS,
    SEARCHES,
    array_of,
    inputs_of,
)
from transformers import T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention


def network(config):
    """Returns the reference network, with a last layer of its own unless tied.

    In float64, so that rounding is that of one side alone.
    """
    net = T5ForConditionalGeneration(T5Config(**config)).eval()
    if config.get("tie_word_embeddings") is False:
        net.lm_head.weight = torch.nn.Parameter(torch.empty_like(net.lm_head.weight))
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.copy_(torch.from_numpy(array_of(name, tuple(parameter.shape))))
    return net.double()


def main() -> None:
    golden = {}
    for buckets, farthest in BUCKETS:
        away = torch.arange(-DISTANCES + 1, DISTANCES)
        for both in (False, True):
            found = T5Attention._relative_position_bucket(away, both, buckets, farthest)
            golden[f"buckets_{buckets}_{farthest}_{both}"] = found.numpy().astype(np.int16)
    given = {name: torch.from_numpy(array) for name, array in inputs_of().items()}
    read = {"input_ids": given["ids"].long(), "attention_mask": given["mask"].long()}
    for name, config in CONFIGS.items():
        net = network(config)
        names = {n for n, _ in net.named_parameters()}
        assert ("lm_head.weight" in names) == (config.get("tie_word_embeddings") is False)
        golden[f"{name}_names"] = np.array(sorted(names))
        with torch.no_grad():
            out = net(
                **read,
                decoder_input_ids=given["decoder_ids"].long(),
                decoder_attention_mask=given["decoder_mask"].long(),
            )
            golden[f"{name}_encoded"] = out.encoder_last_hidden_state.float().numpy()
            golden[f"{name}_logits"] = out.logits.float().numpy()
            for beams, penalty in SEARCHES:
                written = net.generate(
                    **read,
                    num_beams=beams,
                    length_penalty=penalty,
                    eos_token_id=ENDS[name],
                    max_new_tokens=NEW_TOKENS,
                    do_sample=False,
                    return_dict_in_generate=True,
                    output_scores=True,
                )
                ids = np.zeros((len(given["ids"]), NEW_TOKENS), np.int32)
                new = written.sequences[:, 1:].numpy()
                ids[:, : new.shape[1]] = new
                ended = np.cumsum(ids == ENDS[name], axis=1) - (ids == ENDS[name])
                ids[ended > 0] = 0  # the reference's beam search fills up with the end token
                golden[f"{name}_{beams}_{penalty}_ids"] = ids
                if beams > 1:
                    scores = written.sequences_scores.float().numpy()
                    golden[f"{name}_{beams}_{penalty}_scores"] = scores
                print(name, beams, penalty, [row[row != 0].tolist() for row in ids])
    np.savez_compressed(Path(__file__).with_name("t5_golden.npz"), **golden)


if __name__ == "__main__":
    main()
