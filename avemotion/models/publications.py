"""The publications that describe the package's own models, as BibTeX: for ``avemotion cite``."""

THESIS = """\
@mastersthesis{ristea2019thesis,
  author = {Ristea, N.-C.},
  title  = {Emotion recognition using deep neural networks},
  school = {Politehnica University of Bucharest},
  type   = {Bachelor thesis},
  year   = {2019}
}"""

AR5 = (
    f"{THESIS}\n\n"
    + """\
@inproceedings{ristea2019emotion,
  author        = {Ristea, N.-C. and Dutu, L. C. and Radoi, A.},
  title         = {Emotion recognition system from speech and visual information based on
                   convolutional neural networks},
  booktitle     = {International Conference on Speech Technology and Human-Computer Dialogue
                   ({SpeD})},
  year          = {2019},
  eprint        = {2003.00351},
  archiveprefix = {arXiv}
}"""
)

POOLING = """\
@article{genest1986combining,
  author  = {Genest, C. and Zidek, J. V.},
  title   = {Combining probability distributions: a critique and an annotated bibliography},
  journal = {Statistical Science},
  volume  = {1},
  number  = {1},
  pages   = {114--135},
  year    = {1986}
}"""

GATE = """\
@misc{arevalo2017gated,
  author        = {Arevalo, John and Solorio, Thamar and Montes-y-G{\\'o}mez, Manuel and
                   Gonz{\\'a}lez, Fabio A.},
  title         = {Gated Multimodal Units for Information Fusion},
  year          = {2017},
  eprint        = {1702.01992},
  archiveprefix = {arXiv}
}"""
