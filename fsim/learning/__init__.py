"""Learning: tasks, partitions, models, LoRA training of clients, sensitivities, evaluation.

Nothing here knows what time it is or what a payload is.
"""
