"""The kinds of text tasks that can be fine-tuned (J5)."""

from jrecipe.finetune.kinds.answer import Answer
from jrecipe.finetune.kinds.classify import Classify
from jrecipe.finetune.kinds.kind import Kind
from jrecipe.finetune.kinds.similar import Similar
from jrecipe.finetune.kinds.summarise import Summarise
from jrecipe.finetune.kinds.tag import Tag

KINDS = {kind.name: kind for kind in (Classify, Tag, Answer, Similar, Summarise)}

__all__ = ["KINDS", "Answer", "Classify", "Kind", "Similar", "Summarise", "Tag"]
