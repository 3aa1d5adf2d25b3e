"""What is trained: each architecture a few lines over transformers where it has the model."""
