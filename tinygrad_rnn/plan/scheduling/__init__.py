"""Which operations of a program run together, and in which order."""
