"""The full screen: the overview, live."""
