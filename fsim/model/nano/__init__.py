"""The nano base model: its weights, and the programs that make them."""
