"""One name for what peft calls by several."""

import pytest

from fsim.adapters.names import by_checkpoint_name, checkpoint_name
from fsim.core.errors import EncodingFailed

Q = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("in_memory", "in_checkpoint"),
    [
        (f"{Q}.lora_A.default.weight", f"{Q}.lora_A.weight"),
        (f"{Q}.lora_B.client-7.weight", f"{Q}.lora_B.weight"),
        (f"{Q}.lora_B.default.bias", f"{Q}.lora_B.bias"),
        (f"module.{Q}.lora_A.default.weight", f"{Q}.lora_A.weight"),
        (f"_orig_mod.{Q}._orig_mod.lora_A.default.weight", f"{Q}.lora_A.weight"),
        ("base_model.model.e.lora_embedding_A.default", "base_model.model.e.lora_embedding_A"),
        (f"{Q}.lora_magnitude_vector.default.weight", f"{Q}.lora_magnitude_vector"),
        ("base_model.model.score.modules_to_save.mine.weight", "base_model.model.score.weight"),
        (f"{Q}.ia3_l.default", f"{Q}.ia3_l"),
    ],
)
def test_the_name_in_a_checkpoint(in_memory, in_checkpoint):
    assert checkpoint_name(in_memory) == in_checkpoint
    assert checkpoint_name(in_checkpoint) == in_checkpoint


def test_a_lone_part_called_module_stays():
    assert checkpoint_name("module") == "module"


def test_two_adapters_are_refused():
    names = [f"{Q}.lora_A.one.weight", f"{Q}.lora_A.two.weight"]
    with pytest.raises(EncodingFailed, match="allowed is one adapter"):
        by_checkpoint_name(names)


@pytest.mark.parametrize("method", ["lora", "dora", "saved modules", "ia3"])
def test_names_are_those_of_peft(method):
    peft = pytest.importorskip("peft")
    torch = pytest.importorskip("torch")
    base = torch.nn.ModuleDict({"one": torch.nn.Linear(4, 3), "two": torch.nn.Linear(3, 2)})
    config = {
        "lora": lambda: peft.LoraConfig(r=2, target_modules=["one"]),
        "dora": lambda: peft.LoraConfig(r=2, target_modules=["one"], use_dora=True),
        "saved modules": lambda: peft.LoraConfig(
            r=2, target_modules=["one"], modules_to_save=["two"]
        ),
        "ia3": lambda: peft.IA3Config(target_modules=["one"], feedforward_modules=[]),
    }[method]()
    # Of IA3 only the adapter name "default" is known.
    name = "default" if method == "ia3" else "mine"
    model = peft.get_peft_model(base, config, adapter_name=name)
    trained = [key for key, value in model.named_parameters() if value.requires_grad]
    saved = peft.get_peft_model_state_dict(model, adapter_name=name)
    assert set(by_checkpoint_name(trained)) == set(saved)
