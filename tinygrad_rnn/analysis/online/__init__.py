"""Learning without going back: real-time recurrent learning and its cheaper relatives."""
