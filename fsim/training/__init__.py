"""Training: LoRA training of cohorts of clients, and the sensitivities that it measures."""
