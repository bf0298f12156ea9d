"""Where things stand in the picture. Stages go down the middle, lowest first; arrows from a stage to the next go
between them, all others in lanes beside them: those that skip ahead on the right, those that go back on the left.

Each arrow of a lane leaves its stages and enters its target sideways, and its words stand where it enters. Lanes are
nested, the longest outside, and ports are ordered so that lines of one side don't cross without need.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from worker.diagram.arrows import Arrow

BOX_WIDTH: Final = 190
BOX_HEIGHT: Final = 70
LINE: Final = 15  # from one line of words to the next
PORT: Final = 16  # room for a line that leaves
ZONE: Final = 236  # beside a box, for the words of arrows that enter it
ZONE_LETTERS: Final = 37
GAP_LETTERS: Final = 46
GAP: Final = 46
LANE: Final = 15
ROUND: Final = 7.0  # radius of a corner
MARGIN: Final = 18
WIDEST: Final = 16.0  # of a line, where widths tell volumes


@dataclass
class Box:
    """A stage: its rectangle."""

    x: float
    y: float
    width: float
    height: float


@dataclass
class Words:
    """Lines of text; `anchor` is start or end; `y` is the first one's baseline."""

    x: float
    y: float
    lines: list[str]
    anchor: str


@dataclass
class Line:
    """A drawn arrow: tails with their widths, the lane's own path, and where its words stand."""

    arrow: Arrow
    tails: list[tuple[list[tuple[float, float]], float]]
    path: list[tuple[float, float]]  # the last point is where it enters
    width: float
    words: Words


@dataclass
class Layout:
    width: float
    height: float
    boxes: list[Box]
    lines: list[Line] = field(default_factory=list)


@dataclass
class _Lane:
    arrow: Arrow
    lines: list[str]
    lane: int = 0
    head: float = 0
    tails: dict[int, float] = field(default_factory=dict)

    @property
    def top(self) -> int:
        return min(*self.arrow.origins, self.arrow.target)

    @property
    def bottom(self) -> int:
        return max(*self.arrow.origins, self.arrow.target)


def lay_out(stages: int, arrows: Sequence[Arrow]) -> Layout:
    """The places of everything, for so many stages and these arrows."""
    scale = _scale(arrows)
    onward = [[arrow for arrow in arrows if arrow.onward and arrow.target == place] for place in range(stages)]
    right = _lanes([arrow for arrow in arrows if not arrow.onward and not arrow.backward])
    left = _lanes([arrow for arrow in arrows if arrow.backward])
    spread = max([LANE, *(scale(arrow.total) + 8 for arrow in arrows)])
    heights = [max(BOX_HEIGHT, _side(right, place), _side(left, place)) for place in range(stages)]
    left_lanes = 1 + max((lane.lane for lane in left), default=-1)
    right_lanes = 1 + max((lane.lane for lane in right), default=-1)
    x = MARGIN + (ZONE + left_lanes * spread if left else 0)
    width = x + BOX_WIDTH + max(ZONE + right_lanes * spread if right else 0, GAP_LETTERS * 6.4 - BOX_WIDTH / 2)
    boxes: list[Box] = []
    y = float(MARGIN)
    for place, height in enumerate(heights):
        if place:
            lines = sum(len(_wrapped(arrow, GAP_LETTERS)) for arrow in onward[place]) * LINE
            y += max(GAP, lines + 26)
        boxes.append(Box(x, y, BOX_WIDTH, height))
        y += height
    layout = Layout(width + MARGIN, y + MARGIN, boxes)
    for place in range(1, stages):
        _between(layout, onward[place], place, scale)
    for lane in right:
        _port(lane, right, boxes, forward=True)
    for lane in left:
        _port(lane, left, boxes, forward=False)
    layout.lines += [_drawn(lane, boxes, spread, scale, 1) for lane in right]
    layout.lines += [_drawn(lane, boxes, spread, scale, -1) for lane in left]
    return layout


class _scale:
    """From a count to the width of its line; without counts all are alike."""

    def __init__(self, arrows: Sequence[Arrow]) -> None:
        self.counted = any(arrow.counts for arrow in arrows)
        self.most = max((arrow.total for arrow in arrows), default=0) or 1

    def __call__(self, count: int) -> float:
        if not self.counted:
            return 1.6
        return 1.0 + (WIDEST - 1.0) * count / self.most if count else 0.8


def _lanes(arrows: Sequence[Arrow]) -> list[_Lane]:
    """Each arrow in the innermost lane that is free over its length; the short ones choose first."""
    lanes = [_Lane(arrow, _wrapped(arrow, ZONE_LETTERS)) for arrow in arrows]
    taken: list[list[tuple[int, int]]] = []
    for lane in sorted(lanes, key=lambda lane: (lane.bottom - lane.top, lane.top)):
        number = next(
            (
                number
                for number, spans in enumerate(taken)
                if all(lane.bottom <= top or lane.top >= bottom for top, bottom in spans)
            ),
            len(taken),
        )
        if number == len(taken):
            taken.append([])
        taken[number].append((lane.top, lane.bottom))
        lane.lane = number
    return lanes


def _wrapped(arrow: Arrow, letters: int) -> list[str]:
    words = arrow.says + (" (assumed)" if arrow.assumed else "")
    if arrow.counts:
        words = f"{arrow.total:,} · {words}"
    return textwrap.wrap(words, letters) or [""]


def _room(lane: _Lane) -> float:
    return len(lane.lines) * LINE + 12


def _side(lanes: Sequence[_Lane], place: int) -> float:
    """How high a box must be for what enters and leaves on one side."""
    heads = sum(_room(lane) for lane in lanes if lane.arrow.target == place)
    return heads + PORT * sum(1 for lane in lanes if place in lane.arrow.origins) + 8


def _port(lane: _Lane, lanes: Sequence[_Lane], boxes: Sequence[Box], forward: bool) -> None:
    """Where the lane leaves and enters its boxes: forward ones enter above those that leave, the others below."""
    for place in {*lane.arrow.origins, lane.arrow.target}:
        heads = sorted((one for one in lanes if one.arrow.target == place), key=lambda one: one.lane)
        tails = sorted((one for one in lanes if place in one.arrow.origins), key=lambda one: -one.lane)
        if not forward:
            heads.reverse()
            tails.reverse()
        box = boxes[place]
        used = sum(_room(one) for one in heads) + PORT * len(tails)
        y = box.y + (box.height - used) / 2
        for group in (heads, tails) if forward else (tails, heads):
            for one in group:
                if group is heads:
                    y += _room(one)
                    if one is lane:
                        lane.head = y - 6
                else:
                    y += PORT
                    if one is lane:
                        lane.tails[place] = y - PORT / 2


def _drawn(lane: _Lane, boxes: Sequence[Box], spread: float, scale: _scale, side: int) -> Line:
    arrow = lane.arrow
    box = boxes[arrow.target]
    edge = box.x + box.width if side > 0 else box.x
    x = edge + side * (ZONE + (lane.lane + 0.5) * spread)
    far = (min if side > 0 else max)(lane.tails[origin] for origin in arrow.origins)
    begin = far + side * ROUND  # the farthest tail turns into the lane, the others join it
    tails = []
    for number, origin in enumerate(arrow.origins):
        y = lane.tails[origin]
        turn = [(x, begin)] if y == far else []
        tails.append(([(edge, y), (x, y), *turn], scale(arrow.counts[number] if arrow.counts else 0)))
    path = [(x, begin), (x, lane.head), (edge + side * 2, lane.head)]
    anchor = "start" if side > 0 else "end"
    words = Words(edge + side * 14, lane.head - 6 - LINE * (len(lane.lines) - 1), lane.lines, anchor)
    if arrow.counts:
        words.y -= scale(arrow.total) / 2
    return Line(arrow, tails, path, scale(arrow.total), words)


def _between(layout: Layout, arrows: Sequence[Arrow], place: int, scale: _scale) -> None:
    if not arrows:
        return
    above, below = layout.boxes[place - 1], layout.boxes[place]
    step = 30.0 if len(arrows) > 1 else 0.0
    x = above.x + above.width / 2 - step * (len(arrows) - 1) / 2
    middle = (above.y + above.height + below.y) / 2
    every = [_wrapped(arrow, GAP_LETTERS) for arrow in arrows]
    y = middle - LINE * sum(map(len, every)) / 2 + LINE - 6
    for number, arrow in enumerate(arrows):
        at = x + step * number
        path = [(at, above.y + above.height), (at, below.y - 2)]
        widest = max(scale(other.total) for other in arrows)
        right = x + step * (len(arrows) - 1) + 12 + widest / 2
        layout.lines.append(Line(arrow, [], path, scale(arrow.total), Words(right, y, every[number], "start")))
        y += LINE * len(every[number])
