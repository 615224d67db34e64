"""Reading a prompt with a model, and answering: prefill and decode, apart from each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from fsim.core.errors import InferenceError


@dataclass
class Reading:
    """A prompt that was read, and what an answer goes on from.

    Attributes
    ----------
    logits
        Of what follows the prompt, (rows, vocabulary).
    cache
        Keys and values: of all tokens in layers 1 to n, of those that stayed after.
    token_mask
        Which tokens stayed, (rows, length), boolean.
    columns
        Their places, (rows, most that any row kept); rows that kept fewer are filled up with places
        of padding, which attention does not see. None where nothing was to be left out.
    mask
        Which columns have been read so far, padding left out, (rows, columns); None where all.
    lengths
        Tokens of each row so far, prompt and answer: the next one's position, (rows,).
    """

    logits: torch.Tensor
    cache: Any
    token_mask: torch.Tensor
    columns: torch.Tensor | None
    mask: torch.Tensor | None
    lengths: torch.Tensor

    @property
    def cache_bytes(self) -> int:
        """Bytes of the keys and values."""
        tensors = [part for each in self.cache.layers for part in (each.keys, each.values)]
        return sum(part.numel() * part.element_size() for part in tensors)


@dataclass
class Call:
    """One call of the model.

    Attributes
    ----------
    length
        Columns of the prompt.
    view
        The prompt's ids, and where it is read, where this call reads it.
    token_mask, columns
        As in :class:`Reading`; None as long as nothing was chosen. What is given beforehand stays.
    masks
        Attention masks by identity, and what of them is left.
    """

    length: int
    view: tuple[torch.Tensor, torch.Tensor] | None = None
    token_mask: torch.Tensor | None = None
    columns: torch.Tensor | None = None
    masks: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)


class Reader:
    """Reads prompts with a model, whole, and answers greedily.

    The loop is written out because a model folder may bring generation settings of its own, and so
    that reading and answering can be timed apart; equal to ``model.generate`` without sampling.

    Parameters
    ----------
    model
        A causal language model of transformers, or one that peft adapted. Left as it is.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    @torch.no_grad()
    def read(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> Reading:
        """Read prompts.

        Parameters
        ----------
        ids
            (rows, length).
        mask
            1 where a token is, 0 where padding is, (rows, length); padding on the left. None where
            there is no padding.

        Raises
        ------
        InferenceError
            Padding that is not on the left, a prompt shorter than what must be kept, or a model
            that hands its layers what cannot be divided by tokens.
        """
        from transformers import DynamicCache

        read = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
        if read.shape != ids.shape:
            raise InferenceError(
                f"mask: found {tuple(read.shape)}, allowed is the prompts' {tuple(ids.shape)}"
            )
        if not (read[:, 1:] >= read[:, :-1]).all():
            raise InferenceError("mask: found padding on the right, allowed is on the left only")
        mask = None if bool(read.all()) else read.long()
        call = Call(length=ids.shape[1], view=(ids, read))
        # Without a configuration it keeps everything, sliding windows or not: their masks hide what
        # is too long ago.
        cache = DynamicCache()
        with self._hooked(call):
            output = self._model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=(read.long().cumsum(dim=1) - 1).clamp(min=0),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        self._check(cache, call)
        token_mask = read if call.token_mask is None else call.token_mask
        return Reading(output.logits[:, -1], cache, token_mask, call.columns, mask, read.sum(dim=1))

    @torch.no_grad()
    def extend(self, reading: Reading, ids: torch.Tensor) -> torch.Tensor:
        """Read further tokens, none of which is ever left out; ``reading`` moves on.

        Parameters
        ----------
        ids
            (rows, new tokens).

        Returns
        -------
        torch.Tensor
            Logits of what follows each of them, (rows, new tokens, vocabulary).
        """
        count = ids.shape[1]
        if reading.mask is not None:
            reading.mask = torch.nn.functional.pad(reading.mask, (0, count), value=1)
        positions = reading.lengths.unsqueeze(1) + torch.arange(count, device=ids.device)
        with self._hooked(Call(length=reading.token_mask.shape[1], columns=reading.columns)):
            output = self._model(
                input_ids=ids,
                attention_mask=reading.mask,
                position_ids=positions,
                past_key_values=reading.cache,
                use_cache=True,
            )
        reading.lengths = reading.lengths + count
        logits: torch.Tensor = output.logits
        return logits

    def answer(
        self, reading: Reading, *, max_new_tokens: int, end: int | None = None
    ) -> list[list[int]]:
        """The most likely token after a prompt, and so on; ``reading`` moves on.

        Parameters
        ----------
        max_new_tokens
            Where an answer without an end mark is cut off, 1 or more.
        end
            The end mark; None never ends an answer early.

        Returns
        -------
        list of list of int
            Token ids of each row up to the end mark, which is included.
        """
        if max_new_tokens < 1:
            raise InferenceError(f"new tokens: found {max_new_tokens}, allowed are 1 or more")
        new = [reading.logits.argmax(dim=-1)]
        complete = torch.zeros_like(new[0], dtype=torch.bool)
        while len(new) < max_new_tokens:
            if end is not None:
                complete = complete | (new[-1] == end)
                if bool(complete.all()):
                    break
            new.append(self.extend(reading, new[-1].unsqueeze(1))[:, -1].argmax(dim=-1))
        rows: list[list[int]] = torch.stack(new, dim=1).tolist()
        return [row[: row.index(end) + 1] if end in row else row for row in rows]

    def answer_loss(self, ids: torch.Tensor, scored: int) -> torch.Tensor:
        """Mean cross-entropy of an answer's tokens after its prompt, in one pass, to train by.

        Parameters
        ----------
        ids
            A prompt and its answer, (1, length), without padding.
        scored
            How many of the last tokens are the answer's, fewer than there are.
        """
        if ids.shape[0] != 1 or not 0 < scored < ids.shape[1]:
            raise InferenceError(
                f"ids: found {tuple(ids.shape)} with an answer of {scored}, allowed is one row, "
                "longer than its answer"
            )
        read = torch.ones_like(ids, dtype=torch.bool)
        token_mask = self._stays(ids[:, :-scored])
        if token_mask is not None:
            token_mask = torch.nn.functional.pad(token_mask, (0, scored), value=True)
        with self._hooked(Call(length=ids.shape[1], view=(ids, read), token_mask=token_mask)):
            output = self._model(
                input_ids=ids,
                position_ids=torch.arange(ids.shape[1], device=ids.device).unsqueeze(0),
                use_cache=False,
                logits_to_keep=scored + 1,
            )
        logits: torch.Tensor = output.logits[0, :-1]
        return torch.nn.functional.cross_entropy(logits, ids[0, -scored:])

    def generate(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor | None = None,
        *,
        max_new_tokens: int,
        end: int | None = None,
    ) -> list[list[int]]:
        """:meth:`read`, then :meth:`answer`."""
        return self.answer(self.read(ids, mask), max_new_tokens=max_new_tokens, end=end)

    @contextmanager
    def _hooked(self, call: Call) -> Iterator[None]:
        """A context that a call of the model runs in."""
        yield

    def _stays(self, prompt: torch.Tensor) -> torch.Tensor | None:
        """Mask of a prompt's tokens that stay, (1, length); None where nothing is left out."""
        return None

    def _check(self, cache: Any, call: Call) -> None:
        """Look at what was kept of a prompt."""
