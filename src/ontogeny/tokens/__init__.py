"""Tokenizers, trained or loaded, and the memory-mapped token store."""
