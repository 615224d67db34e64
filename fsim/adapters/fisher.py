"""The diagonal Fisher of an adapter, measured while a training loop of any kind runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from fsim.core.errors import EncodingFailed
from fsim.core.types import Update


class FisherMeter:
    """F <- rho F + (1 - rho) g^2 after every backward pass (Fed-FSTQ, arXiv 2604.25421, step 4).

    It starts from 0 and takes gradients as a backward pass leaves them, before accumulation and
    clipping, as the simulator does. A constant factor, such as that of gradient accumulation,
    changes no choice of the policies; a loss scale that moves during training (float16 with
    ``GradScaler``) does.

    Make one when a client's round begins, after freezing what is frozen, and close it at the end::

        with FisherMeter(adapter.items()) as meter:
            trainer.train()
        payload = encode_update(before, after, "fstq", ..., fisher=meter.fisher())

    Parameters
    ----------
    parameters
        Names and parameters of the adapter, for example those of ``model.named_parameters()`` whose
        ``requires_grad`` is true. The Fisher of one that is frozen, or that got no gradient, is 0.
    smoothing
        Weight of the past, rho, 0 or more and below 1.

    Raises
    ------
    ValueError
        ``smoothing`` is not allowed.
    EncodingFailed
        No parameter requires a gradient.
    """

    def __init__(self, parameters: Iterable[tuple[str, Any]], smoothing: float = 0.9) -> None:
        import torch

        if not 0 <= smoothing < 1:
            raise ValueError(f"smoothing: found {smoothing}, allowed is 0 or more, below 1")
        self._smoothing = smoothing
        measured = dict(parameters)
        self._values = {
            name: torch.zeros_like(parameter, dtype=torch.float32, requires_grad=False)
            for name, parameter in measured.items()
        }
        self._hooks = [
            parameter.register_hook(self._observer(name))
            for name, parameter in measured.items()
            if parameter.requires_grad
        ]
        if not self._hooks:
            raise EncodingFailed("found no parameter that requires a gradient, allowed is one")

    def fisher(self) -> Update:
        """The Fisher as it is now, float32 arrays by the parameters' names."""
        return {name: value.cpu().numpy().copy() for name, value in self._values.items()}

    def close(self) -> None:
        """Stop measuring."""
        for hook in self._hooks:
            hook.remove()

    def __enter__(self) -> FisherMeter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _observer(self, name: str) -> Callable[[Any], None]:
        def observe(gradient: Any) -> None:
            fresh = gradient.detach().float()
            average = self._values[name].mul_(self._smoothing)
            average.addcmul_(fresh, fresh, value=1 - self._smoothing)

        return observe
