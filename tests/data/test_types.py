from pathlib import Path

from avemotion.data.types import Clip


def test_both_paths_of_a_clip_become_absolute() -> None:
    clip = Clip("a", "1001", "", "anger", "", Path("video/a.flv"), Path("audio/a.wav")).absolute()
    assert clip.video == Path.cwd() / "video/a.flv" and clip.audio == Path.cwd() / "audio/a.wav"
    silent = Clip("a", "1001", "", "anger", "", Path("a.flv"), None).absolute()
    assert silent.video == Path.cwd() / "a.flv" and silent.audio is None
