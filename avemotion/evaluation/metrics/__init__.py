"""What is computed from predictions."""
