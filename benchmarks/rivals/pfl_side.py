"""Apple's pfl-research: federated averaging on its simulated backend, in PyTorch."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.pytorch import PyTorchTensorDataset
from pfl.hyperparam import NNTrainHyperParams
from pfl.metrics import Weighted
from pfl.model.pytorch import PyTorchModel

from benchmarks.rivals import Losses, Workload
from benchmarks.rivals.bare import PeftClient, padded
from fsim.core.types import FloatArray


class _Module(torch.nn.Module):
    """peft's model as pfl wants it: with a loss and metrics of a user's tensors."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.peft = model
        self.losses: list[torch.Tensor] = []

    def loss(self, ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The model's own loss, kept for the comparison of the sides."""
        loss: torch.Tensor = self.peft(input_ids=ids, attention_mask=mask, labels=labels).loss
        self.losses.append(loss.detach().clone())
        return loss

    @torch.no_grad()
    def metrics(self, ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor) -> Any:
        """Its mean; pfl asks for it in the first round only, which is not timed."""
        loss = self.peft(input_ids=ids, attention_mask=mask, labels=labels).loss
        return {"loss": Weighted(loss.item() * len(ids), len(ids))}


class Pfl:
    """Rounds of pfl: each is one central iteration of its algorithm."""

    def __init__(self, workload: Workload) -> None:
        np.random.seed(workload.seed)  # noqa: NPY002 pfl draws from it
        self._workload = workload
        self._client = PeftClient(workload)
        self._module = _Module(self._client.model)
        training = workload.training
        trained = list(self._client.trained.values())
        self._model = PyTorchModel(
            self._module,
            # pfl passes all parameters and its own rate; the frozen ones would only cost it time.
            local_optimizer_create=lambda parameters, lr: self._client.optimizer(lr),
            central_optimizer=torch.optim.SGD(trained, lr=1.0),
        )
        self._number = 0
        self._next: deque[int] = deque()
        users = FederatedDataset(self._dataset, self._next.popleft)
        self._backend = SimulatedBackend(training_data=users, val_data=users)
        self._algorithm = FederatedAveraging()
        self._rounds = 0
        self._local = NNTrainHyperParams(
            local_batch_size=workload.batch_size,
            local_num_epochs=1,
            local_learning_rate=training.learning_rate,
            local_max_grad_norm=training.max_gradient_norm,
        )

    @property
    def adapter(self) -> FloatArray:
        """The global adapter: pfl keeps it in the model between rounds."""
        return self._client.read()

    def load(self, adapter: FloatArray) -> None:
        """Replace the global adapter."""
        self._client.load(adapter)

    def round(self, number: int) -> Losses:
        """One central iteration."""
        clients = self._workload.clients(number)
        self._number = number
        self._next.extend(clients)
        self._module.losses.clear()
        self._rounds += 1
        self._algorithm.run(
            NNAlgorithmParams(
                central_num_iterations=self._rounds,
                evaluation_frequency=10**9,
                train_cohort_size=len(clients),
                val_cohort_size=None,
            ),
            self._backend,
            self._model,
            self._local,
            send_metrics_to_platform=False,
        )
        losses = torch.stack(self._module.losses).view(len(clients), -1)
        return losses.tolist()

    def _dataset(self, client: int) -> PyTorchTensorDataset:
        batches = self._workload.batches(client, self._number)
        return PyTorchTensorDataset(padded([row for rows in batches for row in rows]))
