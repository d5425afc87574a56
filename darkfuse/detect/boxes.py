"""Candidates as plain numbers: a map may give tens of thousands of boxes, and objects for them would take
more memory than the network. 40 bytes a box and 16 a label are kept here, where a `Candidate` takes 500.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Callable

from darkfuse.detect.candidate import Candidate
from darkfuse.detect.types import Box, Detection

# Told (labels there are, bytes that the next step may take for them, whether maps are read no more): makes
# room, or raises
Room = Callable[[int, int, bool], None]
# A label and its box, as arrays grow; one of the class that has the most while it is thinned out
LABEL_BYTES = 64
RIVAL_BYTES = 300
# A label given to the caller, and the words, JSON and mark that are made of it
DETECTION_BYTES = 1200
FIRST = 256  # labels before the first question whether there is room for more


def any_room(_labels: int, _needed: int, _decoded: bool) -> None:
    """As much room as it takes."""


class Boxes:
    """Boxes and their labels.

    Attributes
    ----------
    sides : array of double
        Centre x and y, width and height of box n at 4n.
    by_class : dict of int to (array of int, array of double)
        Of each class, in the order they were met, the boxes with that label and their scores.
    """

    def __init__(self) -> None:
        self.sides = array("d")
        self.by_class: dict[int, tuple[array[int], array[float]]] = {}

    def __len__(self) -> int:
        return len(self.sides) // 4

    @property
    def labels(self) -> int:
        """How many there are."""
        return sum(len(numbers) for numbers, _ in self.by_class.values())

    def add(self, box: Iterable[float], probs: dict[int, float]) -> None:
        """One more box."""
        number = len(self)
        self.sides.extend(box)
        for class_id, score in probs.items():
            self.label(class_id, number, score)

    def label(self, class_id: int, number: int, score: float) -> None:
        """One more label, of a box that is there."""
        numbers, scores = self.by_class.setdefault(class_id, (array("l"), array("d")))
        numbers.append(number)
        scores.append(score)

    def gather(self, found: Iterable[Candidate], room: Room = any_room) -> None:
        """Add boxes as they are decoded, while there is room for them."""
        labels, more = 0, FIRST
        for one in found:
            self.add(one.box, one.probs)
            labels += len(one.probs)
            if labels >= more:
                room(labels, labels * LABEL_BYTES, False)
                more = 2 * labels

    def thinning_bytes(self) -> int:
        """What thinning them out takes: the labels that stay, and all of a class in order."""
        most = max((len(numbers) for numbers, _ in self.by_class.values()), default=0)
        return self.labels * LABEL_BYTES + most * RIVAL_BYTES

    def with_labels(self, kept: Iterable[tuple[int, int, float]]) -> Boxes:
        """The same boxes with these labels only: class, box, score."""
        boxes = Boxes()
        boxes.sides = self.sides
        for class_id, number, score in kept:
            boxes.label(class_id, number, score)
        return boxes

    def best(self) -> Boxes:
        """Each box with the best of its labels only; of equal ones that with the lowest number."""
        top, which = array("d", bytes(8 * len(self))), array("l", [-1]) * len(self)
        for class_id in sorted(self.by_class):
            for number, score in zip(*self.by_class[class_id]):
                if which[number] < 0 or score > top[number]:
                    top[number], which[number] = score, class_id
        return self.with_labels((c, n, top[n]) for n, c in enumerate(which) if c >= 0)

    def detections(self, name: Callable[[int], str]) -> Iterator[Detection]:
        """A detection a label, those of one box together; boxes and labels from most to least confident."""
        numbers, scores, classes = array("l"), array("d"), array("l")
        top = array("d", bytes(8 * len(self)))
        for class_id, (some, their) in self.by_class.items():
            numbers.extend(some)
            scores.extend(their)
            classes.extend([class_id] * len(some))
            for number, score in zip(some, their):
                top[number] = max(top[number], score)
        # Sorts are stable, so that the last one counts most
        order = sorted(range(len(numbers)), key=scores.__getitem__, reverse=True)
        order.sort(key=numbers.__getitem__)
        order.sort(key=lambda at: top[numbers[at]], reverse=True)
        last, box = -1, Box(0, 0, 0, 0)
        for at in order:
            number = numbers[at]
            if number != last:
                last, box = number, Box(*self.sides[4 * number : 4 * number + 4])
            yield Detection(classes[at], name(classes[at]), scores[at], box)
