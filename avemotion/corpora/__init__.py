"""Corpora: from a folder to its clips, their actors and emotions. One module a corpus."""
