from decimal import Decimal

import pytest

from fsim.audit import contradictions as at
from fsim.audit.checks import Verdict
from fsim.audit.contradictions import cross_checks


def test_fed_fstqs_seconds():
    each = at.fstq_transfer()
    assert (each.published, each.implied) == (Decimal("55.20"), Decimal("61.44"))
    assert "138.00 MB" in each.because


def test_powers():
    assert at.transmit_power().implied == Decimal("1.5")
    assert "all zero" in at.transmit_power().because
    # (98.50 - 4 x 5.85) / 55.20 = 75.1 / 55.2
    assert "1.361 W" in at.fstq_energy().because


def test_fedbat_spends_less():
    each = at.fstq_energy_over_fedbat()
    assert each.published == Decimal("-8.30")
    assert each.implied == Decimal("115.56") - Decimal("106.80")
    # At the default of 2 W as well: 2 x 51.20 + 4 x 7.50 against 146.28.
    assert 2 * 51.20 + 4 * 7.50 < 146.28


def test_the_adapter():
    assert at.adapter_payload().implied == Decimal("79.95392")
    assert "39,976,960" in at.adapter_payload().because
    assert "12.8 times" in at.adapter_payload().because


def test_bits_a_coordinate():
    assert at.qsgd_bits().implied == 16 * 256 / 1024 == 4
    assert at.fedbat_bits().implied == 2
    assert at.fedtome_bits().implied == 8


def test_rounds_and_speed_up():
    assert float(at.fewer_rounds().implied) == pytest.approx(6.9)
    assert float(at.speed_up_in_profile_a().implied) == pytest.approx(6.9 * 414.60 / 67.29)
    assert 42 < at.speed_up_in_profile_a().implied < 43


def test_no_uplink_is_fast_enough_for_the_headlines_to_agree():
    least = float(at.speed_up_at_any_rate().implied)
    for rate in (0.01, 0.5, 2, 20, 1e3, 1e6):
        fedavg, fstq = 8 * 1024 / rate + 5.00, 8 * 153.6 / rate + 5.85
        assert 6.9 * fedavg / fstq >= least > 2.1


def test_the_target_is_not_reached():
    each = at.target_at_alpha()
    assert (each.published, each.implied) == (Decimal(".60"), Decimal(".5120"))


def test_the_base_models_memory():
    assert at.memory_of_the_base().implied == Decimal("13.476831232")
    assert at.memory_of_the_base().verdict is Verdict.NOT_CHECKABLE


def test_each_has_a_reason_and_numbers():
    checks = cross_checks()
    assert len({(each.subject, each.quantity) for each in checks}) == len(checks)
    for each in checks:
        assert each.because
        assert each.implied is not None


def test_verdicts():
    contradictory = {
        at.fstq_transfer, at.transmit_power, at.fstq_energy, at.fstq_energy_over_fedbat,
        at.adapter_payload, at.adapter_payload_of_the_other_model, at.speed_up_in_profile_a,
        at.speed_up_at_any_rate, at.target_at_alpha, at.payload_without_pruning,
        at.two_bits_of_a_laplacian, at.sixteen_bits,
    }  # fmt: skip
    names = {f().quantity + f().subject for f in contradictory}
    assert at.qsgd_bits().verdict is Verdict.CONSISTENT
    for each in cross_checks():
        if each == at.qsgd_bits():
            continue
        wrong = each.quantity + each.subject in names
        assert each.verdict is (Verdict.CONTRADICTORY if wrong else Verdict.NOT_CHECKABLE), each
