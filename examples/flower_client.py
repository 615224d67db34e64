"""Two Flower clients fine-tune one adapter, their updates compressed on the way to the server.

    pip install 'fsim[flower]' 'flwr[simulation]'
    python examples/flower_client.py

The apps are ordinary ones. What fsim adds is the mod in (1) and the strategy around FedAvgM in (2).
"""

from __future__ import annotations

import sys

import torch
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.mod import message_size_mod
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvgM
from flwr.simulation import run_simulation
from peft import (
    LoraConfig,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from transformers import AutoModelForCausalLM, AutoTokenizer

from fsim.adapters.flower import CompressedStrategy, CompressionMod
from fsim.model.loading import model_folder

BASE = model_folder("nano")  # a small Llama that ships with fsim; any model will do
POLICY = "masked-sign:share=0.1"
ROUNDS = 2

TEXTS = ("On day {} the clinic opens at {} o'clock.", "El {} de marzo abre a las {} en punto.")


def adapted_model() -> torch.nn.Module:
    """The base model with a fresh adapter, the same on every machine."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(AutoModelForCausalLM.from_pretrained(BASE), config)


client_app = ClientApp(mods=[message_size_mod, CompressionMod(POLICY)])  # (1)


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """A few steps of AdamW on this client's texts."""
    model, tokenizer = adapted_model(), AutoTokenizer.from_pretrained(BASE)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    set_peft_model_state_dict(model, message.content["arrays"].to_torch_state_dict())
    text = TEXTS[int(context.node_config["partition-id"])]
    rows = tokenizer([text.format(day, day % 12 + 1) for day in range(16)], padding=True)
    batch = {key: torch.tensor(rows[key]) for key in ("input_ids", "attention_mask")}
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    trained = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=3e-3)
    for _ in range(8):
        optimizer.zero_grad()
        loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
    content = RecordDict(
        {
            "arrays": ArrayRecord(get_peft_model_state_dict(model)),
            "metrics": MetricRecord({"loss": loss.item(), "num-examples": len(labels)}),
        }
    )
    return Message(content, reply_to=message)


server_app = ServerApp()


@server_app.main()
def main(grid: Grid, context: Context) -> None:
    """FedAvg with server momentum over what the payloads stand for."""
    adapter = get_peft_model_state_dict(adapted_model())
    inner = FedAvgM(fraction_evaluate=0.0, server_momentum=0.6)
    strategy = CompressedStrategy(inner, POLICY)  # (2)
    result = strategy.start(grid, ArrayRecord(adapter), num_rounds=ROUNDS)
    size = sum(value.numel() for value in adapter.values())
    for number, sent in sorted(strategy.payload_bytes.items()):
        loss = result.train_metrics_clientapp[number]["loss"]
        print(
            f"round {number}: loss {loss:.3f}, {sent:,} bytes of payloads from {len(TEXTS)} "
            f"clients, {len(TEXTS) * 4 * size:,} without compression",
            flush=True,
        )
    if strategy.payload_bytes.keys() != set(range(1, ROUNDS + 1)):
        sys.exit("a round brought no payloads")


if __name__ == "__main__":
    run_simulation(
        server_app,
        client_app,
        num_supernodes=len(TEXTS),
        backend_config={"client_resources": {"num_cpus": 1}, "init_args": {"num_cpus": 1}},
    )
