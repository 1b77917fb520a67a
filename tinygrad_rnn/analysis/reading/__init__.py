"""A graph read by time: its steps, states and losses, and sweeps over many of them at once."""
