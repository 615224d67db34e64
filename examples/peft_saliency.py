"""A plain peft loop: its adapter goes as bytes, and prompts are read with a third of their tokens.

    python examples/peft_saliency.py
    python examples/peft_saliency.py --policy qsgd --keep 0.5

An ordinary fine-tuning script, no simulator. What fsim adds is marked: (1) measure while training,
(2) encode, (3) decode, (4) learn from what was measured which tokens of a prompt matter, (5) leave
the others out of the later layers.
"""

from __future__ import annotations

import argparse
import random

import torch
from peft import (
    LoraConfig,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from transformers import AutoModelForCausalLM, AutoTokenizer

from fsim.adapters import FisherMeter, apply_update, decode_update, encode_update
from fsim.inference import FisherHead, Keep, PromptPruner, Reader, SaliencyRecorder
from fsim.model.loading import model_folder

BASE = model_folder("nano")  # a small Llama that ships with fsim; any model will do
LAYER = 1  # of nano's 4: how many read the whole prompt
IDLE = ("The ward is quiet.", "Visitors wait outside.", "The lift is out of order.",
        "Please wash your hands.", "Lunch is served at noon.")  # fmt: skip
PLACES = {"heart": "cardiology", "skin": "dermatology", "eye": "ophthalmology", "bone": "surgery"}


def main() -> None:
    """Train, send, learn, answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", default="fstq", help="NAME or NAME:OPTION=X")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--keep", type=float, default=0.3, help="share of the tokens that stays")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # as small a model gains nothing from more
    torch.manual_seed(0)
    rng = random.Random(0)

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(BASE), config)
    before = copied(model)
    lora = [(name, value) for name, value in model.named_parameters() if "lora_" in name]
    optimizer = torch.optim.AdamW([value for _, value in lora], lr=3e-3)

    with FisherMeter(lora) as meter, SaliencyRecorder(model, LAYER) as recorder:  # (1)
        for _ in range(arguments.steps):
            batch = encoded(tokenizer, [written(rng) for _ in range(8)])
            loss = model(**batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    print(f"trained: loss {loss.item():.3f} after {arguments.steps} steps")

    payload = encode_update(  # (2)
        before,
        get_peft_model_state_dict(model),
        arguments.policy,
        seed=0,
        round_number=1,
        client=0,
        fisher=meter.fisher(),
    )
    size = sum(value.numel() for value in before.values())
    print(f"adapter: {len(payload):,} bytes, {2 * size:,} as float16")
    update = decode_update(payload, before, arguments.policy)  # (3)
    set_peft_model_state_dict(model, apply_update(before, update))

    head = FisherHead.fit(recorder.samples)  # (4)
    pruner = PromptPruner(model, LAYER, head, Keep(ratio=arguments.keep, last=4))  # (5)
    model.eval()
    right = {"whole": 0, "shortened": 0}
    kept = asked = 0
    tests = [written(rng) for _ in range(40)]
    for prompt, answer in tests:
        ids = torch.tensor([tokenizer(prompt)["input_ids"]])
        expected = tokenizer(answer, add_special_tokens=False)["input_ids"]
        for name, reader in (("whole", Reader(model)), ("shortened", pruner)):
            reading = reader.read(ids)
            (said,) = reader.answer(reading, max_new_tokens=len(expected))
            right[name] += said == expected
        kept += int(reading.token_mask.sum())
        asked += ids.numel()
    print(f"prompts whole: {right['whole']} of {len(tests)} right")
    print(
        f"prompts shortened to {kept:,} of {asked:,} tokens after layer {LAYER}: "
        f"{right['shortened']} of {len(tests)} right"
    )


def written(rng: random.Random) -> tuple[str, str]:
    """A prompt in which one sentence matters, and its answer."""
    part, place = rng.choice(list(PLACES.items()))
    sentences = rng.sample(IDLE, 3)
    sentences.insert(rng.randrange(4), f"The patient has pain in the {part}.")
    return f"{' '.join(sentences)} Send to:", f" {place}"


def encoded(tokenizer: object, pairs: list[tuple[str, str]]) -> dict[str, torch.Tensor]:
    """Prompts and answers side by side; only answers carry loss."""
    rows = []
    for prompt, answer in pairs:
        head = tokenizer(prompt)["input_ids"]
        tail = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        rows.append((head + tail, [-100] * len(head) + tail))
    length = max(len(ids) for ids, _ in rows)
    missing = [length - len(ids) for ids, _ in rows]
    lines = list(zip(rows, missing, strict=True))
    return {
        "input_ids": torch.tensor([ids + [tokenizer.eos_token_id] * m for (ids, _), m in lines]),
        "labels": torch.tensor([labels + [-100] * m for (_, labels), m in lines]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * m for (ids, _), m in lines]),
    }


def copied(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The adapter as it is now: what peft gives shares its memory with the model."""
    return {name: value.clone() for name, value in get_peft_model_state_dict(model).items()}


if __name__ == "__main__":
    main()
