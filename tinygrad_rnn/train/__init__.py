"""Training: optimizers, a loop that can be watched, character models of real text, and their files."""
