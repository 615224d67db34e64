"""Evaluations that are looked up before they are computed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from fsim.core.types import Update
from fsim.data.encoding import Encoded
from fsim.data.tasks import Example
from fsim.evaluation.evaluation import Evaluation, Evaluator, LabelScore
from fsim.model.adapter import AdaptedModel
from fsim.store import Store, key_of
from fsim.training.provenance import array_digest, origin, rows_digest


class StoredEvaluator:
    """An :class:`~fsim.evaluation.evaluation.Evaluator` that remembers.

    Parameters
    ----------
    adapted, rows, examples, metric
        As the evaluator takes them.
    store
        Where evaluations are looked up and kept; None computes every one.
    workers
        As the evaluator takes it.
    """

    def __init__(
        self,
        adapted: AdaptedModel,
        rows: Sequence[Encoded],
        examples: Sequence[Example],
        metric: str,
        store: Store | None,
        workers: int = 1,
    ) -> None:
        self._evaluator = Evaluator(adapted, rows, examples, metric, workers)
        self.close = self._evaluator.close
        self._layout = adapted.layout
        self._store = store
        self._origin = {}
        if store is not None:
            texts = [dataclasses.astuple(example) for example in examples]
            self._origin = {
                "kind": "evaluation",
                **origin(adapted),
                "metric": metric,
                "rows": rows_digest([rows]),
                "examples": key_of(texts=texts),
            }

    def evaluate(self, adapter: Update) -> Evaluation:
        """Measure an adapter, or recall its measurement."""
        if self._store is None:
            return self._evaluator.evaluate(adapter)
        key = key_of(**self._origin, adapter=array_digest(self._layout.flatten(adapter)))
        stored = self._store.get(key)
        if stored is not None:
            fields = json.loads(stored)
            labels = fields.pop("by_label").items()
            scores = {label: LabelScore(**score) for label, score in labels}
            return Evaluation(**fields, by_label=scores)
        evaluation = self._evaluator.evaluate(adapter)
        self._store.put(key, json.dumps(dataclasses.asdict(evaluation)).encode("utf-8"))
        return evaluation
