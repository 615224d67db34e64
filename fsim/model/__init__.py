"""Models: base models, the LoRA adapter on them, and what makes a pass over them fast."""
