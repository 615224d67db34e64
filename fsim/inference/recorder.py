"""Token sensitivities and hidden states, recorded while a training loop of any kind runs."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Any

import torch

from fsim.inference.pruning import check_layer, layers_of
from fsim.inference.saliency import Sample

NOT_SCORED = -100
"""Label of a token that carries no loss, as transformers and PyTorch have it."""


class SaliencyRecorder:
    """Records what :class:`~fsim.inference.saliency.FisherHead` learns from.

    At every backward pass: g(i) = ||dL/de_i||^2 at the input embeddings (Fed-FSTQ, arXiv
    2604.25421, step 1) and what left layer n, for the prompt of each sequence: what comes before
    the first token that carries loss, or all of it where every token carries some or the model is
    called without labels. Make one before training and close it after::

        with SaliencyRecorder(model, layer=8) as recorder:
            trainer.train()
        head = FisherHead.fit(recorder.samples)

    Gradients and results of training stay as they are.

    Parameters
    ----------
    model
        A causal language model of transformers, or one that peft adapted.
    layer
        n, from 1 to one less than there are layers.
    limit
        Sequences that are kept, the latest ones.

    Raises
    ------
    InferenceError
        A layer that there is not, or a model whose hidden states are out of reach.
    """

    def __init__(self, model: Any, layer: int, limit: int = 256) -> None:
        layers = layers_of(model)
        check_layer(layer, layers)
        self._samples: deque[Sample] = deque(maxlen=limit)
        self._call: dict[str, torch.Tensor | None] = {}
        self._hooks = [
            model.register_forward_pre_hook(self._called, with_kwargs=True),
            model.get_input_embeddings().register_forward_hook(self._embedded),
            layers[layer - 1].register_forward_hook(self._record_hidden),
        ]

    @property
    def samples(self) -> list[Sample]:
        """Recorded samples, the latest last."""
        return list(self._samples)

    def close(self) -> None:
        """Stop recording."""
        for hook in self._hooks:
            hook.remove()

    def __enter__(self) -> SaliencyRecorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _called(self, module: Any, positional: Any, keywords: dict[str, Any]) -> None:
        # A new mapping each time: a backward pass may come after the next forward pass.
        self._call = {name: keywords.get(name) for name in ("labels", "attention_mask")}

    def _embedded(self, module: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        if not torch.is_grad_enabled():
            return
        call = self._call
        call["ids"] = inputs[0].detach()
        if not output.requires_grad:
            output.requires_grad_()
        output.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: self._record_fisher(call, gradient)
        )

    def _record_hidden(self, module: Any, inputs: Any, output: Any) -> None:
        self._call["hidden"] = (output[0] if isinstance(output, tuple) else output).detach()

    def _record_fisher(self, call: dict[str, Any], gradient: torch.Tensor) -> None:
        ids, hidden = call["ids"], call["hidden"]
        fisher = gradient.detach().float().square().sum(dim=-1)
        prompt = torch.ones_like(ids, dtype=torch.bool)
        if call["attention_mask"] is not None:
            prompt = call["attention_mask"].bool()
        if call["labels"] is not None:
            scored = (call["labels"] != NOT_SCORED).long().cumsum(dim=1) > 0
            # Only an answer after two tokens or more leaves a prompt to speak of.
            prompt = prompt & ~(scored & (~scored & prompt).sum(dim=1, keepdim=True).gt(1))
        for row, places in enumerate(prompt):
            if int(places.sum()) > 1:
                self._samples.append(
                    Sample(
                        ids[row][places].cpu(),
                        fisher[row][places].cpu(),
                        hidden[row][places].to("cpu", torch.bfloat16),
                    )
                )
