"""HEIC photographs in tiles, as phones write them: a grid of HEVC pictures (ISO/IEC 23008-12)."""

import io
import struct
from pathlib import Path

import av
import numpy as np


def write_tiled(
    path: Path,
    pixels: np.ndarray,
    *,
    tile: int = 512,
    quarter_turns: int = 0,
    size: tuple[int, int] | None = None,
) -> None:
    """Write RGB pixels, uint8 (height, width, 3).

    Args:
        path: The file.
        pixels: What is stored.
        tile: Edge of a tile; phones have 512.
        quarter_turns: By how many, counter-clockwise, a reader turns it to be upright.
        size: Width and height that the file claims, if not the true ones.
    """
    height, width = pixels.shape[:2]
    rows, columns = -(-height // tile), -(-width // tile)
    margins = ((0, rows * tile - height), (0, columns * tile - width), (0, 0))
    padded = np.pad(pixels, margins, mode="edge")
    corners = [(tile * r, tile * c) for r in range(rows) for c in range(columns)]
    tiles = [_encoded(padded[y : y + tile, x : x + tile]) for y, x in corners]
    claimed = size or (width, height)
    kind = _box(b"ftyp", b"heic", _u32(0), b"mif1heic")
    about = _Meta(tiles, tile, (rows, columns), claimed, quarter_turns)
    start = len(kind) + len(about.box(0)) + 8
    path.write_bytes(kind + about.box(start) + _box(b"mdat", *(data for _, data in tiles)))


def _encoded(pixels: np.ndarray) -> tuple[bytes, bytes]:
    """Return the decoder's configuration of an HEVC picture, and the picture."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream(
            "libx265", rate=1, options={"x265-params": "log-level=none:crf=12:bframes=0"}
        )
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame.pts = 0
        out.mux([*stream.encode(frame), *stream.encode(None)])
    file.seek(0)
    with av.open(file) as made:
        video = made.streams.video[0]
        packet = next(packet for packet in made.demux(video) if packet.size)
        return bytes(video.codec_context.extradata), bytes(packet)


class _Meta:
    """The box that says which bytes are which tile, and where it lies."""

    def __init__(
        self,
        tiles: list[tuple[bytes, bytes]],
        edge: int,
        shape: tuple[int, int],
        claimed: tuple[int, int],
        quarter_turns: int,
    ) -> None:
        self.tiles, self.grid, self.turns = tiles, len(tiles) + 1, quarter_turns
        self.sizes = [(edge, edge), claimed]
        self.shape = struct.pack(">4B2H", 0, 0, shape[0] - 1, shape[1] - 1, *claimed)

    def box(self, start: int) -> bytes:
        """Return it, where the first tile begins at byte `start`."""
        tiles, grid = self.tiles, self.grid
        handler = _full(b"hdlr", 0, _u32(0), b"pict", bytes(13))
        kinds = [_full(b"infe", 2, _u16(i), _u16(0), b"hvc1\0") for i in range(1, grid)]
        kinds.append(_full(b"infe", 2, _u16(grid), _u16(0), b"grid\0"))
        numbers = [_u16(i) for i in range(1, grid)]
        parts = _box(b"dimg", _u16(grid), _u16(len(tiles)), *numbers)
        properties = [_box(b"hvcC", tiles[0][0])]
        properties += [_full(b"ispe", 0, _u32(w), _u32(h)) for w, h in self.sizes]
        properties.append(_box(b"irot", bytes([self.turns])))
        of_tiles = [_u16(i) + b"\2\x81\2" for i in range(1, grid)]  # the first and the second one
        owners = _full(b"ipma", 0, _u32(grid), *of_tiles, _u16(grid) + b"\2\3\x84")
        return _full(
            b"meta", 0, handler, _full(b"pitm", 0, _u16(grid)), self._places(start),
            _full(b"iinf", 0, _u16(grid), *kinds), _full(b"iref", 0, parts),
            _box(b"iprp", _box(b"ipco", *properties), owners), _box(b"idat", self.shape),
        )  # fmt: skip

    def _places(self, start: int) -> bytes:
        """Return the box of offsets and lengths: tiles in the file, the grid's shape in idat."""
        found = []
        for number, (_, data) in enumerate(self.tiles, 1):
            found.append(struct.pack(">4H2I", number, 0, 0, 1, start, len(data)))
            start += len(data)
        found.append(struct.pack(">4H2I", self.grid, 1, 0, 1, 0, len(self.shape)))
        return _full(b"iloc", 1, b"\x44\0", _u16(self.grid), *found)


def _box(kind: bytes, *parts: bytes) -> bytes:
    return _u32(8 + sum(map(len, parts))) + kind + b"".join(parts)


def _full(kind: bytes, version: int, *parts: bytes) -> bytes:
    return _box(kind, bytes([version, 0, 0, 0]), *parts)


def _u16(number: int) -> bytes:
    return struct.pack(">H", number)


def _u32(number: int) -> bytes:
    return struct.pack(">I", number)
