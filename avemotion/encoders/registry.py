"""The encoders by name. A new one is a line in `ENCODERS`, and a file if it needs code of its own.

Weights are looked for in the folder of the encoder's name under ``AVEMOTION_ENCODERS``, else they
are downloaded once from the Hugging Face hub. An encoder is loaded only when it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from avemotion.config import Stream
from avemotion.encoders.interface import PREFIX, Encoder
from avemotion.errors import UsageError

TABLES: dict[str, Stream] = {"video-table": "video", "audio-table": "audio"}
"""Kind of a table of features -> the part of the clip that they were computed from."""


@dataclass(frozen=True, slots=True)
class EncoderEntry:
    """What is known of an encoder without loading it."""

    stream: Stream
    """What it reads: the faces (``video``) or the sound (``audio``)."""
    shape: tuple[int, ...]
    """Of an embedding: (layer, 2, value), mean and standard deviation over time; of a table what
    its file says, here ()."""
    home: str
    """Module and class; the class takes the encoder's name and `weights`."""
    weights: str
    """Where they are published: a repository of the Hugging Face hub, or a package."""
    licence: str
    """Of the weights."""


_SPEECH = "avemotion.encoders.transformers_speech:TransformersSpeech"
_VISION = "avemotion.encoders.transformers_vision:TransformersVision"

ENCODERS = {
    "moonshine-tiny": EncoderEntry(  # blocks 1 to 4 of 6: the last two know words more than voices
        "audio", (4, 2, 288), "avemotion.encoders.moonshine:Moonshine", "moonshine-voice", "MIT"
    ),
    "wav2vec2-base": EncoderEntry(
        "audio", (13, 2, 768), _SPEECH, "facebook/wav2vec2-base", "Apache-2.0"
    ),
    "hubert-base": EncoderEntry(
        "audio", (13, 2, 768), _SPEECH, "facebook/hubert-base-ls960", "Apache-2.0"
    ),
    "wavlm-base-plus": EncoderEntry(
        "audio", (13, 2, 768), _SPEECH, "microsoft/wavlm-base-plus", "CC BY-SA 3.0"
    ),
    "whisper-base": EncoderEntry("audio", (7, 2, 512), _SPEECH, "openai/whisper-base", "MIT"),
    "clip-vit-base-patch32": EncoderEntry(
        "video", (13, 2, 768), _VISION, "openai/clip-vit-base-patch32", "MIT"
    ),
    "dinov2-small": EncoderEntry(
        "video", (13, 2, 384), _VISION, "facebook/dinov2-small", "Apache-2.0"
    ),
}
"""Name -> entry."""


def name_of(spec: str) -> str:
    """Return the name of an encoder's embeddings: its own, or ``video-table.NAME`` of a file.

    Args:
        spec: What ``--encoder`` takes: a name, or ``video-table:FILE.csv``.

    Raises:
        UsageError: There is no such encoder.
    """
    kind, _, file = spec.partition(":")
    name = f"{kind}.{Path(file).stem}" if file and kind in TABLES else spec
    entry_of(name)
    return name


def entry_of(name: str) -> EncoderEntry:
    """Return what is known of an encoder.

    Raises:
        UsageError: There is none of that name.
    """
    kind, _, rest = name.partition(".")
    if kind in TABLES and rest:
        if not name.isprintable() or ".." in name or set(name) & set('/\\:*?"<>|,'):
            raise UsageError(f"The table is called {rest!r}: rename it, in plain letters.")
        return EncoderEntry(TABLES[kind], (), "avemotion.encoders.table:Table", "", "")
    if name.partition(":")[0] in TABLES:
        raise UsageError(
            f"{name} names a file. Embed it; models then read {kind.partition(':')[0]}.NAME, after "
            "the file's name without suffix."
        )
    if name not in ENCODERS:
        raise UsageError(
            f"There is no encoder {name!r}. Encoders: {', '.join(ENCODERS)}, and tables of "
            "features of your own: video-table:FILE.csv, audio-table:FILE.csv."
        )
    return ENCODERS[name]


def encoder(spec: str) -> Encoder:
    """Load an encoder, once in a process; a table again when its file changed.

    Args:
        spec: See `name_of`.

    Raises:
        UsageError: There is no such encoder, it is not installed, its weights are missing or
            damaged, or it is a table and no file is named.
    """
    name, (_, _, file) = name_of(spec), spec.partition(":")
    entry = entry_of(name)
    if not entry.weights and not file:
        raise UsageError(
            f"{PREFIX}{name} is a table of features: other clips than those in it have none, so "
            "they cannot be classified from their files."
        )
    path = Path(file)
    changed = (path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else (0, 0)
    return _loaded(name, file, changed if file else (0, 0))


@cache
def _loaded(name: str, file: str, changed: tuple[int, int]) -> Encoder:
    entry = entry_of(name)
    module, _, attribute = entry.home.partition(":")
    loaded: Encoder = getattr(import_module(module), attribute)(name, file or entry.weights)
    if entry.shape and loaded.shape != entry.shape:
        raise UsageError(
            f"The weights of {name} make embeddings of shape {loaded.shape}, but those of "
            f"{entry.weights} make {entry.shape}. Get its files anew."
        )
    return loaded
