"""The numba executor: one compiled interpreter of integers that runs the instructions of every plan."""
