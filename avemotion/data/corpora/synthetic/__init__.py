"""A synthetic corpus laid out like CREMA-D, of which the best possible accuracy is known."""

from avemotion.data.corpora.synthetic.corpus import SyntheticCorpus, synth
from avemotion.data.corpora.synthetic.tables import TABLES, bayes_predictions, ceilings

__all__ = ["TABLES", "SyntheticCorpus", "bayes_predictions", "ceilings", "synth"]
