"""A plan printed, counted, timed, and held against its function."""
