"""Make the nano base model: tokenizer, weights and model card, from nothing but installed packages.

    python -m fsim.model.nano.pretrain --out fsim/model/nano

The run is seeded; on the same machine, thread count and package versions it gives the same weights.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from fsim.model.nano.corpus import Source, corpus

VOCABULARY = 4096
PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
VALIDATION_SHARE = 0.02


def train_tokenizer(sources: list[Source]) -> Tokenizer:
    """A byte-level BPE tokenizer: any text can be written, in any script."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((d for s in sources for d in s.documents), trainer)
    return tokenizer


def config() -> LlamaConfig:
    """The architecture: 1.4 M parameters, small enough that one step takes milliseconds."""
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


def token_stream(tokenizer: Tokenizer, documents: list[str]) -> torch.Tensor:
    """Documents one after another, each between its begin and end marks, as one row of ids."""
    ids: list[int] = []
    for encoding in tokenizer.encode_batch(documents):
        ids += [1, *encoding.ids, 2]
    return torch.tensor(ids, dtype=torch.long)


def pretrain(
    out: Path, *, steps: int, batch: int, length: int, learning_rate: float, seed: int, threads: int
) -> None:
    """Train tokenizer and model, and write ``model.safetensors`` and its companions to ``out``."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    sources = corpus(seed)
    tokenizer = train_tokenizer(sources)
    documents = [document for source in sources for document in source.documents]
    order = rng.permutation(len(documents))
    cut = int(len(documents) * VALIDATION_SHARE)
    test, train = ([documents[i] for i in part] for part in (order[:cut], order[cut:]))
    validation, training = token_stream(tokenizer, test), token_stream(tokenizer, train)
    model = LlamaForCausalLM(config())
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{len(training):,} training tokens, {parameters:,} parameters", flush=True)
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}],
        lr=learning_rate,
        betas=(0.9, 0.95),
    )
    warmup = max(1, steps // 20)
    started = time.perf_counter()
    model.train()
    for step in range(steps):
        share = step / warmup if step < warmup else (steps - step) / (steps - warmup)
        rate = learning_rate * (share if step < warmup else 0.5 * (1 - math.cos(math.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        starts = rng.integers(0, len(training) - length - 1, size=batch)
        rows = torch.stack([training[s : s + length] for s in starts])
        loss = model(input_ids=rows, labels=rows).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 50 == 0 or step == steps - 1:
            seconds = time.perf_counter() - started
            print(f"step {step:5d}  loss {loss.item():.3f}  {seconds:.0f} s", flush=True)
    validation_loss = evaluate(model, validation, length)
    print(f"validation loss {validation_loss:.3f}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "pad_token": PAD,
                "bos_token": BOS,
                "eos_token": EOS,
                "model_max_length": 512,
            },
            indent=2,
        )
        + "\n",
        encoding="utf-8",
    )
    command = (
        f"python -m fsim.model.nano.pretrain --steps {steps} --batch {batch} "
        f"--length {length} --learning-rate {learning_rate} --seed {seed} --threads {threads}"
    )
    seconds = time.perf_counter() - started
    (out / "MODEL_CARD.md").write_text(
        model_card(sources, tokenizer, parameters, steps, seed, validation_loss, seconds, command),
        encoding="utf-8",
    )


@torch.no_grad()
def evaluate(model: LlamaForCausalLM, stream: torch.Tensor, length: int) -> float:
    """Mean next-token loss in nats over held-out documents, in float32."""
    model.eval()
    rows = stream[: len(stream) // length * length].view(-1, length)
    chunks = [rows[at : at + 16] for at in range(0, len(rows), 16)]
    losses = [model(input_ids=chunk, labels=chunk).loss.item() for chunk in chunks]
    return float(np.average(losses, weights=[len(chunk) for chunk in chunks]))


def model_card(
    sources: list[Source],
    tokenizer: Tokenizer,
    parameters: int,
    steps: int,
    seed: int,
    validation_loss: float,
    seconds: float,
    command: str,
) -> str:
    """The model card, every figure in it taken from the run that wrote it."""
    rows = []
    for source in sources:
        encodings = tokenizer.encode_batch(list(source.documents))
        tokens = sum(len(e.ids) for e in encodings)
        rows.append(
            f"| {source.name} | {source.origin} | {source.licence} "
            f"| {len(source.documents):,} | {tokens:,} |"
        )
    table = "\n".join(rows)
    shape = config()
    return f"""# nano

The base model that fsim ships: a Llama-architecture causal language model of {parameters:,}
parameters ({shape.num_hidden_layers} layers, {shape.hidden_size} wide, \
{shape.num_attention_heads} heads, byte-level BPE vocabulary of {shape.vocab_size}, context of \
{shape.max_position_embeddings} tokens, tied embeddings). It exists so that federated LoRA
fine-tuning can be simulated with real gradients on a laptop. It is no use as an assistant.

## Data

| source | origin | licence | documents | tokens |
|---|---|---|---|---|
{table}

A tenth of all items (by `fsim.data.held_out.is_held_out`) is never read here and serves for
evaluation. This model uses the Human Phenotype Ontology, release named above; find out more at
http://www.human-phenotype-ontology.org.

## Training

| | |
|---|---|
| steps | {steps:,} |
| seed | {seed} |
| validation loss (nats per token, documents not trained on) | {validation_loss:.4f} |
| seconds | {seconds:.0f} |
| PyTorch | {torch.__version__} |

Remade by `{command}`.

## Licence

Apache-2.0, as the project.
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = vars(parser.parse_args())
    pretrain(arguments.pop("out"), **arguments)
