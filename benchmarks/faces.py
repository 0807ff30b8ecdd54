"""How steady the face's box is: by how much it moves when found on other frames of the clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from decoding import found_clips
from numpy.typing import NDArray
from reporting import parser, publish, table

from avemotion.config import FACE_FRAMES, FACE_WIDTH
from avemotion.features.face_detection import find_face
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


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--clips", type=Path, help="folder of FLV files")
    arguments.add_argument("--draws", type=int, default=25, help="draws of 20 frames a clip")
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
    mean = np.mean(spreads, axis=0)
    publish(
        given.out,
        "faces",
        "How steady the face's box is",
        [
            f"{called}. A clip has one box, so within a clip nothing moves. Here it is found anew "
            f"on {given.draws} draws of 20 frames, evenly spread, each with another start: "
            "standard deviation of its centre and width over the draws, in pixels of the video and "
            f"in pixels of the crop ({FACE_WIDTH} wide).",
            table(
                ["clip", "face on, of 20", "width", "across", "down", "of width"]
                + ["crop: across", "down", "of width"],
                rows,
            ),
            f"Face found on {found} of {drawn} frames. Mean over the clips, in pixels of the crop: "
            f"**{mean[0]:.1f}** across, **{mean[1]:.1f}** down, **{mean[2]:.1f}** of width.",
        ],
        {
            "found": found,
            "frames": drawn,
            "across_crop_pixels": round(float(mean[0]), 3),
            "down_crop_pixels": round(float(mean[1]), 3),
            "width_crop_pixels": round(float(mean[2]), 3),
        },
    )


if __name__ == "__main__":
    main()
