"""What accuracy costs nothing: that of chance, and of always guessing one class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ter_fast.trust.outcomes import Outcomes


@dataclass(frozen=True)
class Baselines:
    """Hold what a model has to be better than.

    Attributes:
        chance: Accuracy of a guess at random among all K classes, 1 / K.
        label: The most frequent true class, the first of equals.
        share: Its share of the clips: the accuracy of always guessing it.
        constant_recall: Unweighted average recall of always guessing one class, 1 over the number of classes that
            occur.
        accuracy: Of the model on the same clips.
        never_predicted: Classes that occur and that the model never predicts.
    """

    chance: float
    label: str
    share: float
    constant_recall: float
    accuracy: float
    never_predicted: tuple[str, ...]

    @property
    def beaten(self) -> bool:
        """Whether the model is right more often than always guessing the most frequent class.

        Where all clips are of one class there is nothing to beat.
        """
        return self.share == 1 or self.accuracy > self.share


def baselines_of(answers: Outcomes) -> Baselines:
    """Return the baselines of labelled clips, and whether a model's answers are above them.

    Args:
        answers: To N clips.

    Example:
        >>> answers = Outcomes.from_arrays([[0.8, 0.2]] * 4, [0, 0, 0, 1], labels=["calm", "tense"])
        >>> found = baselines_of(answers)
        >>> found.label, found.share, found.beaten, found.never_predicted
        ('calm', 0.75, False, ('tense',))
    """
    classes = len(answers.labels)
    counts = np.bincount(answers.target, minlength=classes)
    predicted = np.bincount(answers.prediction, minlength=classes)
    top = int(counts.argmax())
    never = tuple(
        label
        for label, true, said in zip(answers.labels, counts, predicted, strict=True)
        if true and not said
    )
    return Baselines(
        chance=1 / classes,
        label=answers.labels[top],
        share=float(counts[top] / counts.sum()),
        constant_recall=1 / int(np.count_nonzero(counts)),
        accuracy=float(answers.correct.mean()),
        never_predicted=never,
    )
