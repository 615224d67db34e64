from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsim.audit.arithmetic import (
    fit_powers,
    payload_megabytes,
    round_energy,
    transfer_seconds,
    zero_share,
)
from fsim.audit.published import BASELINES, PER_ROUND, RoundCost
from fsim.audit.shapes import LLAMA_2_7B, LLAMA_3_8B


def test_a_payload_over_a_rate_is_exact():
    assert transfer_seconds(Decimal("153.6"), Decimal("20")) == Decimal("61.44")
    assert transfer_seconds(Decimal("1024"), Decimal("20")) == Decimal("409.6")


def test_the_networks_own_fluid_transport_says_the_same():
    from fsim.network import Capacity

    seconds = Capacity.constant(20e6 / 8).finish_time(0, 153.6e6)
    assert seconds == pytest.approx(61.44, abs=1e-9)


def test_energy_worked_by_hand():
    # 1.5 W for 51.20 s and 4 W for 7.50 s: 76.8 + 30.
    found = round_energy(Decimal("51.20"), Decimal("7.50"), Decimal("1.5"), Decimal("4"))
    assert found == Decimal("106.8")


def test_the_baselines_energies_are_those_of_one_and_a_half_and_four_watts():
    fit = fit_powers(BASELINES)
    assert fit.transmit == Fraction(3, 2)
    assert fit.compute == 4
    assert fit.exact
    matrix = [[float(row.communication), float(row.compute)] for row in BASELINES]
    solved = np.linalg.lstsq(matrix, [float(row.energy) for row in BASELINES], rcond=None)[0]
    assert solved == pytest.approx([1.5, 4.0])


def test_with_fed_fstq_nothing_fits():
    assert not fit_powers(PER_ROUND).exact


@given(
    transmit=st.decimals(0, 10, places=2),
    compute=st.decimals(0, 50, places=2),
)
def test_powers_are_found_again(transmit, compute):
    rows = [
        replace(row, energy=round_energy(row.communication, row.compute, transmit, compute))
        for row in PER_ROUND
    ]
    fit = fit_powers(rows)
    assert (fit.transmit, fit.compute) == (Fraction(transmit), Fraction(compute))
    assert fit.exact


def test_one_row_determines_nothing():
    row = RoundCost("one", *(Decimal(1) for _ in range(5)))
    with pytest.raises(ValueError, match="do not determine"):
        fit_powers([row])


def test_published_sizes_of_the_base_models():
    assert LLAMA_2_7B.parameters == 6_738_415_616
    assert LLAMA_3_8B.parameters == 8_030_261_248
    assert LLAMA_2_7B.lora_parameters(16) == 39_976_960
    assert LLAMA_3_8B.lora_parameters(16) == 41_943_040


def test_one_layer_worked_by_hand():
    # q, k, v, o: 16 x 8192 each; gate, up, down: 16 x 15104 each.
    assert LLAMA_2_7B.lora_parameters(16) == 32 * (4 * 131_072 + 3 * 241_664)
    assert LLAMA_2_7B.lora_matrices(16) == (65_536, 176_128)


@pytest.mark.slow
def test_shapes_are_those_of_transformers():
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    for shape in (LLAMA_2_7B, LLAMA_3_8B):
        config = LlamaConfig(
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=32,
            num_key_value_heads=shape.key_value // 128,
            vocab_size=shape.vocabulary,
            tie_word_embeddings=False,
        )
        with torch.device("meta"):
            model = LlamaForCausalLM(config)
        assert sum(each.numel() for each in model.parameters()) == shape.parameters
        linear = [
            layer
            for name, layer in model.named_modules()
            if isinstance(layer, torch.nn.Linear) and "lm_head" not in name
        ]
        lora = sum(16 * (layer.in_features + layer.out_features) for layer in linear)
        assert lora == shape.lora_parameters(16)


def test_the_adapter_is_eighty_megabytes():
    size = payload_megabytes(39_976_960, 16)
    assert size == Decimal("79.95392")
    assert float(1024 / size) == pytest.approx(12.8, abs=0.01)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_zeros_of_small_groups(count):
    # E[exp(-M/2)] = E[sqrt(min of n uniform numbers)], integrated numerically.
    least = np.linspace(0, 1, 2_000_001)
    density = count * (1 - least) ** (count - 1)
    kept = np.trapezoid(np.sqrt(least) * density, least)
    assert zero_share(count) == pytest.approx(1 - kept, abs=1e-6)


def test_zeros_of_a_drawn_laplacian_matrix():
    rng = np.random.default_rng(5)
    shares = []
    for _ in range(60):
        values = rng.laplace(size=65_536)
        shares.append(np.mean(np.round(values / np.abs(values).max()) == 0))
    error = np.std(shares) / np.sqrt(len(shares))
    assert zero_share(65_536) == pytest.approx(np.mean(shares), abs=4 * error)
    # The range that 2-bit coordinates of Laplacians are known to lose, to a tenth of a percent.
    assert 0.9965 <= zero_share(65_536) < zero_share(176_128) < 0.9995
