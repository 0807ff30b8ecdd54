"""Errors. Each message says what was wrong, what is allowed, and what to do next."""


class AvemotionError(Exception):
    """Base of all errors that avemotion raises for wrong input; other errors are bugs.

    Examples:
        >>> from avemotion import AvemotionError, classify_clip
        >>> try:
        ...     classify_clip("no-such-clip.mp4")
        ... except AvemotionError as error:
        ...     print(error)
        no such file: no-such-clip.mp4
    """


class UsageError(AvemotionError):
    """The command or call cannot be carried out as given (exit code 2)."""


class MediaError(AvemotionError):
    """One media file cannot be used; the message is the reason that the manifest records."""


class NoVideoError(MediaError):
    """The file is readable but holds no video stream."""


class NoAudioError(MediaError):
    """The file is readable but holds no usable sound: no audio track, or only digital silence."""


class MissingModalityError(AvemotionError):
    """The clip lacks what the chosen model needs: a face, a voice, or both."""
