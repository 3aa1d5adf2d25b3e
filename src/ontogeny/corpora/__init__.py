"""Where text comes from.  A corpus is one small file with `documents()`, and one line in the registry."""
