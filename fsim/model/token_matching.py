"""Bipartite soft matching: like tokens of a row merge, one in place of several.

After Bolya et al., "Token Merging: Your ViT But Faster", ICLR 2023, section 3: tokens fall in turns
into two sets, every token of the first names the one of the second whose key is most like its own
(cosine similarity), and the pairs most alike merge into averages weighted by size.

A causal model adds one rule: a merged token sits where the last of its members sat, so that no
token before that place comes to know of it. It gives up that some tokens, in between, no longer see
the members that came before them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from fsim.model.slots import ALIGNMENT


@dataclass(frozen=True)
class Matching:
    """Places that the tokens of each row go to.

    Attributes
    ----------
    places
        Where in the shortened row each token's merged token is, (rows, length); beyond its end, the
        shortened length, where there is no room for it.
    positions
        The place before merging of each token of the shortened row: that of the last member, (rows,
        shortened length).
    """

    places: torch.Tensor
    positions: torch.Tensor

    def merge(self, values: torch.Tensor, sizes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Averages of the tokens that merge, weighted by their sizes, and the sums of the sizes.

        Parameters
        ----------
        values
            (rows, length, width).
        sizes
            How many tokens each stands for already, (rows, length).

        Returns
        -------
        torch.Tensor
            (rows, shortened length, width)
        torch.Tensor
            (rows, shortened length)
        """
        rows, length = self.positions.shape
        grown = sizes.new_zeros(rows, length + 1).scatter_add(1, self.places, sizes)
        weights = sizes / grown.gather(1, self.places)
        spread = self.places.unsqueeze(-1).expand_as(values)
        merged = values.new_zeros(rows, length + 1, values.shape[-1]).scatter_add(
            1, spread, values * weights.unsqueeze(-1).to(values.dtype)
        )
        return merged[:, :length], grown[:, :length]


@torch.no_grad()
def bipartite_soft_matching(
    keys: torch.Tensor, mergeable: torch.Tensor, merges: torch.Tensor, length: int
) -> Matching:
    """Match the tokens of each row; no row's result depends on the others.

    Parameters
    ----------
    keys
        What similarity is taken of, (rows, tokens, width).
    mergeable
        Which tokens may merge, (rows, tokens), boolean. Counted from 0 among these, the even ones
        are the first set, the odd ones the second.
    merges
        How many tokens fewer each row is to have, (rows,): at most half of its mergeable ones. Of
        pairs equally alike those whose first token comes first merge.
    length
        Of the shortened rows; the last tokens of a row that has more are left out.
    """
    rows, tokens, _ = keys.shape
    turn = mergeable.long().cumsum(1) % 2
    first, second = mergeable & (turn == 1), mergeable & (turn == 0)
    likeness = _cosines(keys).masked_fill(~second.unsqueeze(1), -torch.inf)
    best, partner = likeness.max(2)
    ranked = best.masked_fill(~first, -torch.inf).argsort(dim=1, descending=True, stable=True)
    moves = first & (ranked.argsort(dim=1) < merges.unsqueeze(1))
    own = torch.arange(tokens, device=keys.device).expand(rows, tokens)
    group = torch.where(moves, partner, own)
    last = own.scatter_reduce(1, group, own, "amax")
    seat = last.gather(1, group)
    occupied = torch.zeros_like(mergeable).scatter(1, seat, True)
    order = (~occupied).long().argsort(dim=1, stable=True)[:, :length]
    places = (occupied.long().cumsum(1) - 1).gather(1, seat).clamp(max=length)
    return Matching(places, order)


def _cosines(keys: torch.Tensor) -> torch.Tensor:
    """Cosine similarities of all tokens of a row, (rows, tokens, tokens)."""
    tokens = keys.shape[1]
    unit = torch.nn.functional.normalize(keys.float(), dim=2)
    # Rows begin at vector boundaries: their arithmetic is the same wherever they are in the batch.
    padded = torch.nn.functional.pad(unit, (0, -unit.shape[2] % ALIGNMENT, 0, -tokens % ALIGNMENT))
    return torch.bmm(padded, padded.transpose(1, 2))[:, :tokens, :tokens]
