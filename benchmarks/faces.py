"""How steady the face's box is, which faces are found in larger and busy frames, and followed.

Steady: by how much the box moves when found on other frames of the clip. Found: real faces, pasted
small, tilted, dark and several at once, by the first search alone and with the second. Followed:
real faces, pasted on a way across the frame, in crops along it and in those of one box.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from decoding import found_clips
from moving_faces import INSIDE_SHARE, moving_table
from numpy.typing import NDArray
from pasted_faces import FRAMES, Head, Pasted, busy_frames, pictures, read_head
from reporting import parser, publish, table

from avemotion.config import FACE_FRAMES, FACE_WIDTH
from avemotion.features.face_detection import find_face, find_faces
from avemotion.features.face_tracking import overlaps
from avemotion.media.reader import read_frames


def boxes_of(clip: Path, draws: int) -> tuple[NDArray[np.float64], int]:
    """Find the face on several draws of 20 frames, each evenly spread with another start.

    Returns:
        float64 (draw, 3): centre across, centre down and width of the crop, in pixels of the video;
        and on how many of all frames drawn the face was found.
    """
    frames = read_frames(clip, lambda n: np.arange(n)).frames
    step = (len(frames) - 1) / FACE_FRAMES
    boxes, found = [], 0
    for start in np.linspace(0, step, draws):
        chosen = [frames[round(start + i * step)] for i in range(FACE_FRAMES)]
        track = find_face(chosen)
        if track is None:
            continue
        found += sum(track.found)
        box = track.box
        boxes.append((box.x + box.width / 2, box.y + box.height / 2, box.width))
    return np.array(boxes, np.float64).reshape(-1, 3), found


@dataclass(frozen=True, slots=True)
class Condition:
    """What the videos of a row of the table show."""

    name: str
    shares: tuple[float, ...] = ()
    """Heights of the faces, as shares of the frame's height."""
    tilt_degrees: float = 0.0
    """To the left and to the right in turn."""
    light: float = 1.0
    """Factor on all grey levels."""
    videos: int = 1
    """Number of videos, in multiples of the heads."""

    def pasted(self, heads: Sequence[Head], number: int) -> list[Pasted]:
        """Return the faces of a video: side by side, larger ones in the middle."""
        count = len(self.shares)
        places = [0.5] if count == 1 else np.linspace(0.12, 0.88, count)
        sway = 0.06 * (number % 5 - 2)
        tilt = self.tilt_degrees * (-1) ** number
        return [
            Pasted(heads[(number + i) % len(heads)], share, x + (sway if count < 3 else 0),
                   0.5 + sway, tilt)
            for i, (x, share) in enumerate(zip(places, self.shares, strict=True))
        ]  # fmt: skip


CONDITIONS = (
    *(Condition(f"a face of {share:.0%} of the height", (share,))
      for share in (0.04, 0.06, 0.08, 0.12, 0.17, 0.3, 0.6)),
    *(Condition(f"30 %, tilted by {tilt} degrees", (0.3,), tilt) for tilt in (20, 35, 45)),
    Condition("12 %, tilted by 35 degrees", (0.12,), 35),
    *(Condition(f"30 %, {light:.0%} of the light", (0.3,), light=light) for light in (0.2, 0.1)),
    Condition("10 %, 10% of the light", (0.1,), light=0.1),
    Condition("two: 30 and 8 %, three of twelve half outside", (0.3, 0.08)),
    Condition("five: 6, 12, 25, 12 and 6 %", (0.06, 0.12, 0.25, 0.12, 0.06)),
    Condition("no face", videos=4),
    Condition("no face, 10% of the light", light=0.1),
)  # fmt: skip


@dataclass(slots=True)
class Tally:
    """What one kind of search found in the videos of a condition."""

    again: bool
    """Whether the second search is made."""
    found: int = 0
    """Faces found."""
    false: int = 0
    """Boxes that overlap no face."""
    seconds: list[float] = field(default_factory=list)
    """Processor time of each search."""

    def add(self, frames: Sequence[NDArray[np.uint8]], truth: NDArray[np.float64]) -> None:
        """Time a search, and compare its boxes with the true ones, float64 (face, 4)."""
        start = time.process_time()
        if len(truth) > 1:
            tracks = find_faces(frames, self.again).tracks
        else:
            track = find_face(frames, self.again)
            tracks = [track] if track else []
        self.seconds.append(time.process_time() - start)
        near = [overlaps(track.box.edges, truth) > 0.3 for track in tracks]
        self.found += int(np.any(near, axis=0).sum()) if near else 0
        self.false += sum(not any(row) for row in near)

    @property
    def milliseconds(self) -> float:
        """Mean processor time of a search."""
        return 1000 * float(np.mean(self.seconds))


def pasted_table(clips: Sequence[Path], only: str) -> tuple[str, dict[str, int]]:
    """Search all conditions; return the table, and what was found in all of them."""
    heads, backgrounds = [read_head(clip) for clip in clips], pictures()
    rows, result = [], {"pasted": 0, "found_first": 0, "found_both": 0, "false_both": 0}
    cv2.setNumThreads(1)
    for row, condition in enumerate(c for c in CONDITIONS if only in c.name):
        first, both = Tally(again=False), Tally(again=True)
        videos = condition.videos * len(heads)
        for number in range(videos):
            pasted = condition.pasted(heads, number)
            frames = list(busy_frames(backgrounds, pasted, 1000 * row + number, condition.light))
            truth = np.array([p.box().edges for p in pasted], np.float64).reshape(-1, 4)
            for tally in (first, both):
                tally.add(frames, truth)
        faces = videos * len(condition.shares)
        rows.append([condition.name, videos])
        for tally in (first, both):
            rows[-1] += [f"{tally.found} of {faces}" if faces else "", tally.false,
                         f"{tally.milliseconds:.0f}"]  # fmt: skip
        print(*rows[-1], sep=" | ", flush=True)
        result["pasted"] += faces
        result["found_first"] += first.found
        result["found_both"] += both.found
        result["false_both"] += both.false
    header = ["", "videos", "first search: found", "false", "ms", "both: found", "false", "ms"]
    return table(header, rows), result


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--clips", type=Path, help="folder of FLV files")
    arguments.add_argument("--draws", type=int, default=25, help="draws of 20 frames a clip")
    arguments.add_argument("--only", default="", help="pasted faces of rows with this in the name")
    given = arguments.parse_args()
    rows, spreads, found, drawn = [], [], 0, 0
    with found_clips(given.clips) as (clips, called):
        for clip in clips:
            boxes, seen = boxes_of(clip, given.draws)
            spread = boxes.std(axis=0, ddof=1)
            wide = boxes[:, 2].mean()
            rows.append(
                [
                    clip.stem,
                    f"{seen / given.draws:.1f}",
                    f"{wide:.0f}",
                    *(f"{s:.1f}" for s in spread),
                ]
                + [f"{s * FACE_WIDTH / wide:.1f}" for s in spread]
            )
            spreads.append(spread * FACE_WIDTH / wide)
            found, drawn = found + seen, drawn + given.draws * FACE_FRAMES
        pasted, pasted_result = pasted_table(clips, given.only)
        moving, moving_result = moving_table(clips, given.only)
    mean = np.mean(spreads, axis=0)
    publish(
        given.out,
        "faces",
        "How steady the face's box is",
        [
            f"{called}. Where a face stays, a clip has one box, so within a clip nothing moves. "
            f"Here it is found anew on {given.draws} draws of 20 frames, evenly spread, each with "
            "another start: standard deviation of its centre and width over the draws, in pixels "
            f"of the video and in pixels of the crop ({FACE_WIDTH} wide).",
            table(
                ["clip", "face on, of 20", "width", "across", "down", "of width"]
                + ["crop: across", "down", "of width"],
                rows,
            ),
            f"Face found on {found} of {drawn} frames. Mean over the clips, in pixels of the crop: "
            f"**{mean[0]:.1f}** across, **{mean[1]:.1f}** down, **{mean[2]:.1f}** of width.",
            "## Faces in larger, busy frames",
            f"The same faces, pasted into {FRAMES} frames of 1280 x 720 (what is kept of 1080p) "
            "that a shaking hand films: photographs and prints without a human face side by side, "
            "with noise. The height is that of the box. *First search*: what a plain clip is "
            "given. *Both*: the second search, too, where the first finds nothing. With several "
            "faces, all are asked for. *False*: a box that overlaps no face by 0.3 (intersection "
            "over union). Processor time of a search on one thread, mean.",
            pasted,
            "## Faces that move",
            "The same faces and frames; the face moves evenly, during the clip by so many widths "
            "of its box. *One box*: the best that one can do, the true box in the middle of the "
            "way on all frames. *Crops*: those that are cut. *Inside*: the share of crops that "
            f"hold at least {INSIDE_SHARE:.0%} of what the frame shows of the face's true box. "
            "Processor time of the search, mean.",
            moving,
        ],
        {
            "found": found,
            "frames": drawn,
            "across_crop_pixels": round(float(mean[0]), 3),
            "down_crop_pixels": round(float(mean[1]), 3),
            "width_crop_pixels": round(float(mean[2]), 3),
            **pasted_result,
            **{name: round(share, 3) for name, share in moving_result.items()},
        },
    )


if __name__ == "__main__":
    main()
