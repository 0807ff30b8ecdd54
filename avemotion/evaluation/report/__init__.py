"""The figures of an evaluation, its charts and its page."""
