"""The examples run, and send what they say."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

# masked-sign of nano's 81,920 LoRA coordinates (rank 8, all-linear) in 56 matrices, by
# docs/wire-format.md: frame 13, seed 2 + 4, scales 2 + 56, 8192 signs 1 + 1024.
PAYLOAD = 13 + 6 + 58 + 1025


def output_of(name, *arguments):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"FLWR_TELEMETRY_ENABLED": "0", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(pattern, text):
    return [int(found.replace(",", "")) for found in re.findall(pattern, text)]


@pytest.mark.slow
def test_hugging_face_trainer():
    printed = output_of("hf_trainer.py")
    assert numbers(r"loss \S+, ([\d,]+) bytes", printed) == [PAYLOAD] * 4
    assert numbers(r"sent in all: ([\d,]+) bytes", printed) == [4 * PAYLOAD]
    first, _, later, _ = (float(loss) for loss in re.findall(r"loss ([\d.]+)", printed))
    assert later < first


@pytest.mark.slow
def test_peft_loop_with_saliency():
    printed = output_of("peft_saliency.py")
    (sent,) = numbers(r"adapter: ([\d,]+) bytes", printed)
    assert sent < 2 * 81920 / 4  # a quarter of float16
    kept, asked = (
        numbers(rf"{part} tokens", printed)[0]
        for part in (r"to ([\d,]+) of [\d,]+", r"of ([\d,]+)")
    )
    assert 0.3 * asked <= kept < 0.35 * asked  # rounded up, prompt by prompt
    whole, shortened = numbers(r": (\d+) of 40 right", printed)
    assert whole >= 36  # it solves the task, which always saying one answer does to a quarter
    assert shortened >= whole - 4


@pytest.mark.slow
@pytest.mark.extras("flwr", "ray")
def test_flower():
    printed = output_of("flower_client.py")
    assert numbers(r"([\d,]+) bytes of payloads", printed) == [2 * PAYLOAD] * 2
    # Two clients, 81,920 float32.
    assert numbers(r"([\d,]+) without compression", printed) == [2 * 81920 * 4] * 2
