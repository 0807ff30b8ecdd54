"""What can go wrong. Each message says what was wrong, what is allowed, and what to do next."""


class AvemotionError(Exception):
    """Base of every error that avemotion raises for something in its input, not in its code."""


class UsageError(AvemotionError):
    """The command or call itself cannot be carried out as asked (exit code 2)."""


class MediaError(AvemotionError):
    """One media file cannot be used; the message is the reason that the manifest records."""


class NoVideoError(MediaError):
    """The file is readable but holds no video stream."""


class NoAudioError(MediaError):
    """The file is readable but holds no usable sound: no audio track, or one of zeros alone."""


class MissingModalityError(AvemotionError):
    """The clip lacks what the chosen model needs: a face, a voice, or both."""
