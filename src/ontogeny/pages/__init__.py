"""What every page and figure is made of: theme, axes, embedding, templates, words, panels.  Knows nothing of what is drawn."""
