"""One name for a tensor of an adapter, whatever a framework has wrapped around it.

The name is that of peft's checkpoints (``peft.get_peft_model_state_dict``), which the simulator
uses too: ``base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight``. In a model's memory
the same tensor is ``...lora_A.default.weight``, ``default`` being the adapter's name, and further
wrappers put ``module.`` (``DistributedDataParallel``) in front or ``_orig_mod.``
(``torch.compile``) anywhere. A payload is bound to the names, so both sides must mean the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from fsim.core.errors import EncodingFailed

_DEFAULT_ADAPTER = "default"
_SAVED_MODULES = "modules_to_save"
_MAGNITUDE = "lora_magnitude_vector"  # DoRA's; a checkpoint has it without its ".weight"
_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_LEAVES = ("weight", "bias")


def checkpoint_name(name: str) -> str:
    """The name that a tensor has in peft's checkpoints; such a name stays as it is.

    What follows a part ``lora_...`` is an adapter's name, whichever it is, unless it is the last
    part, ``weight`` or ``bias``. For other methods than LoRA only ``default`` is known as one.
    """
    parts = [part for part in name.split(".") if part not in _WRAPPERS]
    if len(parts) > 1 and parts[0] == "module":
        del parts[0]
    names: list[str] = []
    after_lora = after_saved = False
    for part in parts:
        is_adapter = after_saved or part == _DEFAULT_ADAPTER or (after_lora and part not in _LEAVES)
        after_lora, after_saved = part.startswith("lora_"), part == _SAVED_MODULES
        if not is_adapter and not after_saved:
            names.append(part)
    if names[-2:-1] == [_MAGNITUDE]:
        del names[-1]
    return ".".join(names)


def by_checkpoint_name(names: Iterable[str]) -> dict[str, str]:
    """Each name by the one that it has in a checkpoint.

    Raises
    ------
    EncodingFailed
        Two names mean the same tensor: there is more than one adapter among them.
    """
    matches: dict[str, str] = {}
    for name in names:
        key = checkpoint_name(name)
        if key in matches:
            raise EncodingFailed(
                f"found {matches[key]!r} and {name!r}, both of them {key!r}: allowed is one adapter"
            )
        matches[key] = name
    return matches
