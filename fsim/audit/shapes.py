"""The layers of the paper's base models, and what LoRA on them comes to.

Sizes are those of the models' public ``config.json`` (meta-llama/Llama-2-7b-hf and
meta-llama/Meta-Llama-3-8B); the layers are those of transformers' ``LlamaForCausalLM``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelShape:
    """A Llama with untied embeddings.

    Attributes
    ----------
    hidden, intermediate, layers, vocabulary
        As in the configuration.
    key_value
        Width of keys and values: key-value heads times the width of a head.
    """

    name: str
    hidden: int
    intermediate: int
    layers: int
    vocabulary: int
    key_value: int

    @property
    def linear(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs of a decoder layer's linear layers: q, k, v, o, gate, up, down."""
        wide, narrow = (self.hidden, self.intermediate), (self.intermediate, self.hidden)
        square, key_value = (self.hidden, self.hidden), (self.hidden, self.key_value)
        return (square, key_value, key_value, square, wide, wide, narrow)

    @property
    def parameters(self) -> int:
        """Of the whole model: embeddings in and out, layers with two norms each, a last norm."""
        weights = sum(inputs * outputs for inputs, outputs in self.linear)
        embeddings = 2 * self.vocabulary * self.hidden
        return embeddings + self.layers * (weights + 2 * self.hidden) + self.hidden

    def lora_parameters(self, rank: int) -> int:
        """Of LoRA's A and B on every linear layer: rank x (inputs + outputs) each."""
        return self.layers * sum(rank * (inputs + outputs) for inputs, outputs in self.linear)

    def lora_matrices(self, rank: int) -> tuple[int, ...]:
        """Distinct sizes of its A and B matrices, ascending."""
        return tuple(sorted({rank * side for sides in self.linear for side in sides}))


LLAMA_2_7B = ModelShape("Llama-2-7B", 4096, 11008, 32, 32000, 4096)
LLAMA_3_8B = ModelShape("Llama-3-8B", 4096, 14336, 32, 128256, 1024)
