"""Which keys have which effects."""

from typing import Annotated, ClassVar

from fsim.core.validation import Settings
from fsim.settings.base import SectionWithOptions
from fsim.settings.effects import Effect, keys_with


class Inner(Settings):
    plain: int = 1
    told: Annotated[int, Effect.REPORT] = 2


class Named(SectionWithOptions):
    registry: ClassVar = {}
    kind: str = "any"

    @classmethod
    def make_named(cls, name, options):
        return None


class Whole(Settings):
    both: Annotated[int, Effect.TASK, Effect.REPORT] = 3
    inner: Inner = Inner()
    timed: Annotated[Inner, Effect.TIME] = Inner()
    named: Annotated[Named, Effect.TIME] = Named()


WHOLE = Whole(named={"kind": "any", "option": 4})


def test_a_key_has_its_own_effects_or_those_of_its_section():
    def with_effect(effect):
        return keys_with(WHOLE, lambda effects: effect in effects)

    assert with_effect(Effect.TASK) == {"both": 3}
    assert with_effect(Effect.REPORT) == {"both": 3, "inner": {"told": 2}, "timed": {"told": 2}}
    assert with_effect(Effect.TIME) == {
        "timed": {"plain": 1},
        "named": {"kind": "any", "option": 4},
    }
    assert keys_with(WHOLE, lambda effects: not effects) == {"inner": {"plain": 1}}
    assert keys_with(WHOLE, lambda effects: True) == WHOLE.model_dump(mode="json")
