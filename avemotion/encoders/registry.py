"""The encoders by name. A new one is a line in `ENCODERS`, and a file if it needs code of its own.

Beside them stand two kinds: any network of timm, and tables of features. Weights are looked for in
the folder of the encoder's name under ``AVEMOTION_ENCODERS``, else they are downloaded once from
the Hugging Face hub; some come in a package. An encoder is loaded only when it is used.
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
TIMM = "timm"
"""Kind of the networks of timm: ``timm:NAME``, whose embeddings are called ``timm.NAME``."""


@dataclass(frozen=True, slots=True)
class EncoderEntry:
    """What is known of an encoder without loading it."""

    stream: Stream
    """What it reads: the faces (``video``) or the sound (``audio``)."""
    shape: tuple[int, ...]
    """Of an embedding: (layer, 2, value), mean and standard deviation over time; () where only its
    file or weights tell."""
    home: str
    """Module and class, which may be of another wing: it is imported when the encoder is used. The
    class takes the encoder's name and `weights`."""
    weights: str
    """Where they are: a repository of the Hugging Face hub, a package, or the model of ours that
    they are a part of; empty of a table."""
    licence: str
    """Of the weights."""
    plain_crops: bool = False
    """Whether it reads face crops without margin and equalised histogram alone."""


_SPEECH = "avemotion.encoders.transformers_speech:TransformersSpeech"
_VISION = "avemotion.encoders.transformers_vision:TransformersVision"

ENCODERS = {
    "avemotion-1-face": EncoderEntry(
        "video",
        (1, 2, 160),
        "avemotion.models.face_encoder:FaceEncoder",
        "avemotion-1",
        "Apache-2.0",
        plain_crops=True,
    ),  # fmt: skip
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
    """Return the name of an encoder's embeddings.

    Args:
        spec: What ``--encoder`` takes: a name; ``timm:NAME``, whose embeddings are ``timm.NAME``;
            or ``video-table:FILE.csv``, whose are ``video-table.FILE``.

    Raises:
        UsageError: There is no such encoder.
    """
    kind, _, rest = spec.partition(":")
    name = spec
    if rest and kind in TABLES:
        name = f"{kind}.{Path(rest).stem}"
    elif rest and kind == TIMM:
        name = f"{kind}.{rest}"
    entry_of(name)
    return name


def entry_of(name: str) -> EncoderEntry:
    """Return what is known of an encoder.

    Raises:
        UsageError: There is none of that name.
    """
    kind, _, rest = name.partition(".")
    if kind in (*TABLES, TIMM) and rest:
        plain = name.isprintable() and ".." not in name and not set(name) & set('/\\:*?"<>|,')
        if kind == TIMM:
            if not plain:
                raise UsageError(
                    f"timm has no network {rest!r}. Give its own name, with or without the tag of "
                    "the weights: timm:vit_small_patch14_dinov2.lvd142m."
                )
            home = "avemotion.encoders.timm_vision:TimmVision"
            return EncoderEntry("video", (), home, f"timm/{rest}", "as its page on the hub says")
        if not plain:
            raise UsageError(f"The table is called {rest!r}: rename it, in plain letters.")
        return EncoderEntry(TABLES[kind], (), "avemotion.encoders.table:Table", "", "")
    if name.partition(":")[0] in TABLES:
        raise UsageError(
            f"{name} names a file. Embed it; models then read {kind.partition(':')[0]}.NAME, after "
            "the file's name without suffix."
        )
    if name.startswith(f"{TIMM}:"):
        raise UsageError(f"Models read the embeddings of {name} as {name.replace(':', '.', 1)}.")
    if name not in ENCODERS:
        raise UsageError(
            f"There is no encoder {name!r}. Encoders: {', '.join(ENCODERS)}; any network of timm: "
            "timm:NAME; and tables of features of your own: video-table:FILE.csv, "
            "audio-table:FILE.csv."
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
    if entry_of(name).weights:
        return _loaded(name, "", (0, 0))
    if not file:
        raise UsageError(
            f"{PREFIX}{name} is a table of features: other clips than those in it have none, so "
            "they cannot be classified from their files."
        )
    path = Path(file)
    changed = (path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else (0, 0)
    return _loaded(name, file, changed)


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
