"""The sounds of CREMA-D's twelve sentences."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Phone:
    """One speech sound."""

    formants: tuple[float, float, float]
    """Hz for an adult male vocal tract."""
    seconds: float
    """Duration at normal rate."""
    voiced: float
    """Amplitude of the glottal source, 0 to 1."""
    hiss: float = 0.0
    """Amplitude of high frication, as in s."""
    rush: float = 0.0
    """Amplitude of low frication and bursts, as in f, k."""
    opening: float = 0.0
    """How far the mouth opens, 0 to 1."""


# Vowel formants after Peterson and Barney (1952), consonants after common textbook values.
PHONES: dict[str, Phone] = {
    "iy": Phone((270, 2290, 3010), 0.11, 1.0, opening=0.3),
    "ih": Phone((390, 1990, 2550), 0.08, 1.0, opening=0.4),
    "eh": Phone((530, 1840, 2480), 0.10, 1.0, opening=0.6),
    "ae": Phone((660, 1720, 2410), 0.13, 1.0, opening=0.9),
    "aa": Phone((730, 1090, 2440), 0.13, 1.0, opening=1.0),
    "ao": Phone((570, 840, 2410), 0.12, 1.0, opening=0.8),
    "ah": Phone((640, 1190, 2390), 0.08, 1.0, opening=0.6),
    "uw": Phone((300, 870, 2240), 0.11, 1.0, opening=0.25),
    "er": Phone((490, 1350, 1690), 0.10, 1.0, opening=0.45),
    "m": Phone((250, 1000, 2200), 0.06, 0.5),
    "n": Phone((250, 1700, 2600), 0.06, 0.5, opening=0.15),
    "l": Phone((360, 1300, 2600), 0.06, 0.7, opening=0.3),
    "w": Phone((290, 610, 2150), 0.06, 0.6, opening=0.1),
    "r": Phone((310, 1060, 1380), 0.06, 0.7, opening=0.25),
    "v": Phone((300, 1200, 2400), 0.05, 0.4, rush=0.15, opening=0.1),
    "d": Phone((300, 1700, 2600), 0.05, 0.25, rush=0.2, opening=0.1),
    "b": Phone((250, 900, 2200), 0.05, 0.25, rush=0.15),
    "t": Phone((400, 1800, 2600), 0.06, 0.0, hiss=0.25, opening=0.1),
    "k": Phone((400, 1500, 2400), 0.06, 0.0, rush=0.4, opening=0.2),
    "s": Phone((300, 1700, 2600), 0.09, 0.0, hiss=0.55, opening=0.1),
    "z": Phone((300, 1700, 2600), 0.07, 0.4, hiss=0.3, opening=0.1),
    "th": Phone((300, 1400, 2500), 0.07, 0.1, rush=0.2, opening=0.15),
}

SPOKEN: dict[str, str] = {
    "IEO": "ih t s ih l eh v eh n ah k l aa k",
    "TIE": "th ae t ih z eh k s ae k l iy w ah t",
    "IOM": "aa m ao n m aa w eh iy t uw th ah m iy",
    "IWW": "ih w ah n d er w ah t th ih s ih z",
    "TAI": "th iy eh r k l eh n ih z ao l m ao s t",
    "MTI": "m eh iy b iy t ah m aa r ao ih t w ih l",
    "IWL": "aa w uw d l aa k ah n uw ah l aa r m",
    "ITH": "aa th ih n k aa ae v ah d aa k t er",
    "DFA": "d ao n t v er k eh t ah d r eh s",
    "ITS": "ih t s t aa r t ih n iy n",
    "TSI": "th ah s er v ih s ih z s l ao n aa w",
    "WSI": "w iy l s t aa b ih n ah k ah b l",
}
"""Sound sequence of each of CREMA-D's sentences, roughly as spoken."""
