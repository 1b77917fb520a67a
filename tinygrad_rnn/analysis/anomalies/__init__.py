"""Where the first inf or nan came from."""
