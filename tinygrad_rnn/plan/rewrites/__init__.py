"""What makes a program smaller or faster and keeps its results; sums may be added up in another order."""
