"""A clip becomes a prediction, a long video a timeline."""
