"""The engine: operations, the graph they record, and its derivatives. Needs numpy only."""
