"""From batches to instructions on windows of memory."""
