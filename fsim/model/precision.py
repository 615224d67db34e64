"""Frozen layers in bfloat16 between activations in float32.

A processor that multiplies bfloat16 matrices twice as fast gains nothing from bfloat16 anywhere
else: its attention is several times slower backward than float32's, every norm and rotation
converts to float32 and back, and what a young adapter adds to a layer's output is often less than
half a step of bfloat16's grid, so that rounding loses it (docs/performance.md). So only the
products of the frozen matrices are done in bfloat16; all between them, the adapters included, is
float32.
"""

from __future__ import annotations

from functools import partial

import torch


def keep_activations_wide(model: torch.nn.Module) -> None:
    """Let a frozen model in bfloat16 take and give float32, layer by layer.

    Weights of linear layers and embeddings stay as they are; all others (norms, biases of other
    layers) become float32.
    """
    narrow: set[torch.nn.Parameter] = set()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.forward = partial(_linear, module)  # type: ignore[method-assign]
            narrow.update(module.parameters(recurse=False))
        elif isinstance(module, torch.nn.Embedding):
            module.register_forward_hook(_widen)
            narrow.update(module.parameters(recurse=False))
    for parameter in model.parameters():
        if parameter not in narrow:
            parameter.data = parameter.data.float()
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.dtype == torch.bfloat16:
                setattr(module, name, buffer.float())


def _linear(module: torch.nn.Linear, inputs: torch.Tensor) -> torch.Tensor:
    narrow = inputs.to(module.weight.dtype)
    return torch.nn.functional.linear(narrow, module.weight, module.bias).float()


def _widen(module: torch.nn.Module, arguments: object, output: torch.Tensor) -> torch.Tensor:
    return output.float()
