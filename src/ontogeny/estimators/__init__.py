"""Means over seeds and clusters of pairs, with intervals that cover what they say, and the tests that go with them."""
