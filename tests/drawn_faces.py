"""A store of drawn faces that are told apart at a glance, made without files and detection."""

from pathlib import Path

import cv2
import numpy as np

from avemotion.config import PreprocessSettings
from avemotion.data.store import FeatureStore, ManifestRow
from avemotion.data.store_writer import StoreWriter
from avemotion.data.types import Clip, Corpus
from avemotion.features.table import ClipSignals
from avemotion.features.types import ClipFeatures

SKIN = {"happy": 240, "neutral": 150, "angry": 80}
LABELS = tuple(SKIN)
"""Not in alphabetical order: a model must not take it for granted."""
ACTORS, TAKES = 6, 5
SETTINGS = PreprocessSettings(views=1, features=("faces", "image", "stills"), face="whole")


def drawn_face(label: str, seed: int) -> np.ndarray:
    """One face, uint8 (98, 80): a bright smile, a small grey mouth, or a dark frown with brows."""
    rng = np.random.default_rng(seed)
    face = np.full((98, 80), 40, np.uint8)
    x, y = 40 + int(rng.integers(-1, 2)), 49 + int(rng.integers(-1, 2))
    cv2.ellipse(face, (x, y), (34, 44), 0, 0, 360, SKIN[label], -1)
    for eye in (x - 14, x + 14):
        cv2.circle(face, (eye, y - 14), 6 if label == "happy" else 4, 20, -1)
    if label == "happy":
        cv2.ellipse(face, (x, y + 16), (20, 14), 0, 0, 180, 10, -1)
    elif label == "neutral":
        cv2.rectangle(face, (x - 6, y + 22), (x + 6, y + 25), 90, -1)
    else:
        cv2.ellipse(face, (x, y + 34), (18, 14), 0, 180, 360, 10, 5)
        cv2.rectangle(face, (x - 24, y - 30), (x + 24, y - 22), 20, -1)
    noisy = face + rng.normal(0, 6, face.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


UNITS = ("AU4", "AU12", "AU25")
UNITS_OF = {"happy": (0.0, 1.0, 1.0), "neutral": (0.0, 0.0, 1.0), "angry": (1.0, 0.0, 0.0)}
"""Action units of the drawn faces: what one sees of them."""


def drawn_store(folder: Path, units: tuple[str, ...] = ()) -> FeatureStore:
    """Six actors with five takes of each label: a shard an actor, clips in no order of labels.

    With `UNITS` it has these action units, too.
    """
    named = {
        f"{actor}_{take}_{number}": (str(actor), label)
        for actor in range(ACTORS)
        for take in range(TAKES)
        for number, label in enumerate(LABELS)
    }
    clips = tuple(
        Clip(name, actor, "", label, "", folder / name, None)
        for name, (actor, label) in sorted(named.items())
    )
    units_of = {clip.name: UNITS_OF[clip.emotion] for clip in clips} if units else {}
    corpus = Corpus("folder", folder, LABELS, clips, units=units, units_of=units_of)
    writer = StoreWriter.open(folder, corpus, SETTINGS)
    for actor in sorted({clip.actor for clip in clips}):
        mine = [clip for clip in clips if clip.actor == actor]
        writer.add(actor, [_row(clip) for clip in mine], [_features(clip) for clip in mine])
    return FeatureStore(folder)


def _row(clip: Clip) -> ManifestRow:
    return ManifestRow(
        clip=clip.name, actor=clip.actor, sentence="", emotion=clip.emotion, level="", part="",
        shard=clip.actor, status="video", reason="", frames_decoded=20, faces_found=20,
        searched_frames=5, searched_frames_with_face=5, face_box="0 0 80 98", video_file=clip.name,
        video_bytes=1, audio_file="", audio_bytes=0,
    )  # fmt: skip


def _features(clip: Clip) -> ClipFeatures:
    seed = int(clip.name.replace("_", ""))
    faces = np.repeat(drawn_face(clip.emotion, seed)[None, None], 20, axis=1)
    return ClipFeatures.of(ClipSignals(clip.name, 0, faces, None), SETTINGS.features, views=1)
