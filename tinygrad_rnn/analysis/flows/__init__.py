"""Where gradients go in time: norms at every state, shares of every use, saturation, the theory's bound."""
