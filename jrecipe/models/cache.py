"""What a network that writes token by token keeps from one token to the next."""

from __future__ import annotations

from typing import NamedTuple

from jrecipe.types import PyTree


class Cache(NamedTuple):
    """A pytree that goes into each step of writing and comes out of it; nothing else is kept.

    A network that can write has two methods. `begin(inputs, beams, length) -> Cache` reads the
    inputs, of b examples, and makes room for `length` tokens of `beams` continuations of each.
    `step(tokens int32[b, beams], position int32[], cache) -> (logits float32[b, beams, v], cache)`
    takes the tokens at `position`, and answers for the next.

    Attributes:
      own: what each continuation has to itself, leaves [b, beams, ...]; a search reorders them.
      shared: what all continuations of an example look at, leaves [b, ...]; it never changes.
    """

    own: PyTree
    shared: PyTree
