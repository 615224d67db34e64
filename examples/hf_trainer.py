"""Two clients fine-tune one model with Hugging Face's Trainer; between them go bytes, no weights.

    python examples/hf_trainer.py
    python examples/hf_trainer.py --policy fisher-rdo

An ordinary peft script. What fsim adds is marked with (1), (2) and (3): measure, encode, decode.
"""

from __future__ import annotations

import argparse
import tempfile

import torch
import transformers
from peft import (
    LoraConfig,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainingArguments,
)

from fsim.adapters import FisherMeter, apply_update, as_policy, decode_update, encode_update
from fsim.model.loading import model_folder

BASE = model_folder("nano")  # a small Llama that ships with fsim; any model will do

TEXTS = (
    # Client 0 has English sentences, client 1 has Spanish ones.
    [f"On day {day} of the month the clinic opens at {day % 12 + 1} o'clock." for day in range(64)],
    [f"El {day} de marzo la consulta abre a las {day % 12 + 1} en punto." for day in range(64)],
)


def main() -> None:
    """Two rounds of two clients."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", default="masked-sign:share=0.1", help="NAME or NAME:OPTION=X")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8, help="local steps of a client and round")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # as small a model gains nothing from more
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    datasets = [[tokenizer(text) for text in texts] for texts in TEXTS]
    torch.manual_seed(0)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(BASE), config)
    collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)

    policy = as_policy(arguments.policy)
    adapter = copied(model)
    memories: list[dict] = [{} for _ in datasets]
    sent = 0
    size = sum(value.numel() for value in adapter.values())
    print(f"adapter: {size:,} parameters, {2 * size:,} bytes as float16")
    for round_number in range(1, arguments.rounds + 1):
        payloads = []
        for client, rows in enumerate(datasets):
            set_peft_model_state_dict(model, adapter)
            lora = {name: value for name, value in model.named_parameters() if "lora_" in name}
            for name, value in lora.items():  # some policies train only a part
                value.requires_grad_(policy.trains(name, round_number))
            with FisherMeter(lora.items()) as meter:  # (1)
                loss = train(model, rows, collator, arguments.steps, seed=client)
            payload = encode_update(  # (2)
                adapter,
                get_peft_model_state_dict(model),
                policy,
                seed=0,
                round_number=round_number,
                client=client,
                fisher=meter.fisher(),
                memory=memories[client],
            )
            payloads.append(payload)
            sent += len(payload)
            print(f"round {round_number}, client {client}: loss {loss:.3f}, {len(payload):,} bytes")
        before = adapter
        for payload in payloads:  # (3)
            update = decode_update(payload, before, policy)
            adapter = apply_update(adapter, update, scale=1 / len(payloads))
    set_peft_model_state_dict(model, adapter)
    print(f"sent in all: {sent:,} bytes")


def train(model: torch.nn.Module, rows: list, collator: object, steps: int, seed: int) -> float:
    """One client's local training; its mean loss."""
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=8,
            learning_rate=3e-3,
            lr_scheduler_type="constant",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
            use_cpu=True,
            seed=seed,
        )
        trainer = Trainer(model, settings, train_dataset=rows, data_collator=collator)
        trainer.remove_callback(transformers.PrinterCallback)
        return trainer.train().training_loss


def copied(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The adapter as it is now: what peft gives shares its memory with the model."""
    return {name: value.clone() for name, value in get_peft_model_state_dict(model).items()}


if __name__ == "__main__":
    main()
