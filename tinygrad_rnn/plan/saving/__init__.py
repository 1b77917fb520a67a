"""Programs in phases, which compute values again instead of keeping them."""
