"""The local web page: one process serves it, others read the files that are given to it."""
