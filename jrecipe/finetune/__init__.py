"""Fine-tuning of BERT and T5 from public weight files (RECIPE J).

| for | names |
| --- | --- |
| folders of public weights (J6, J9) | `load_pretrained`, `write_encoder` |
| a task's network that starts from them; a new head (D4, H6) | `start_from`, `with_head` |
| writing texts with `jr.models.T5` | `greedy`, `beam_search` |
| scores of a whole split (J5) | `class_scores`, `entity_scores`, `answer_scores`, ... |
"""

from jrecipe.finetune.beam import beam_search
from jrecipe.finetune.folder import write_encoder
from jrecipe.finetune.generation import Generated
from jrecipe.finetune.greedy import greedy
from jrecipe.finetune.head_swap import with_head
from jrecipe.finetune.load import PretrainedText, load_pretrained
from jrecipe.finetune.scores import (
    AnswerScores,
    ClassScores,
    Correlation,
    EntityScores,
    SummaryScores,
    answer_scores,
    class_scores,
    correlation,
    entity_scores,
    summary_scores,
)
from jrecipe.finetune.start import start_from

__all__ = [
    "AnswerScores",
    "ClassScores",
    "Correlation",
    "EntityScores",
    "Generated",
    "PretrainedText",
    "SummaryScores",
    "answer_scores",
    "beam_search",
    "class_scores",
    "correlation",
    "entity_scores",
    "greedy",
    "load_pretrained",
    "start_from",
    "summary_scores",
    "with_head",
    "write_encoder",
]
