"""From a call to a program: what decides which plan fits, one run on placeholders, and the way back to results."""
