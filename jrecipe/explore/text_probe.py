"""A linear probe of texts, by words and pairs of words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def text_answers(
    texts: Sequence[str], targets: np.ndarray, fold: np.ndarray, classes: bool
) -> np.ndarray | None:
    """Answers every text by a model of the texts of other folds.

    Args:
      texts: n texts.
      targets: int[n] in 0 to c - 1, or numbers float[n].
      fold: int[n], the fold that answers a row is trained on the others.
      classes: which of both targets are.

    Returns:
      Probabilities float32[n, c], or float32[n, 1] in standard deviations from the mean of the
      targets; None if the texts have too few words.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, Ridge

    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\w+|[!?]"
    )
    try:
        words = vectorizer.fit_transform(texts)
    except ValueError:  # no word occurs twice
        return None
    count = int(targets.max()) + 1 if classes else 1
    answers = np.zeros((len(texts), count), np.float32)
    for held in np.unique(fold):
        known, asked = fold != held, fold == held
        if not classes:
            mean, spread = targets.mean(), targets.std()
            model = Ridge(alpha=1.0).fit(words[known], (targets[known] - mean) / spread)
            answers[asked, 0] = model.predict(words[asked])
            continue
        model = LogisticRegression(C=3.0, max_iter=200).fit(words[known], targets[known])
        answers[np.ix_(asked, model.classes_)] = model.predict_proba(words[asked])
    return answers
