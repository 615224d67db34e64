from collections import Counter
from pathlib import Path

from fsim.data.held_out import is_held_out
from fsim.data.tasks import make_task
from fsim.data.tasks.hpo import ontology, release
from fsim.data.tasks.medical import organ_system_name


def test_medical_asks_about_thousands_of_phenotypes_of_one_organ_system_each():
    data = make_task("medical", {}).load(Path)
    assert len(data.train) > 9000
    assert len(data.test) > 900
    contexts = {example.context for example in data.train}
    assert len(contexts) > 0.99 * len(data.train)
    labels = Counter(example.label for example in data.train)
    assert len(labels) > 15
    assert all(example.answer == " " + example.label for example in data.train)
    # No constant answer is worth much: what a model reaches beyond this it has learned.
    assert labels.most_common(1)[0][1] / len(data.train) < 0.25


def test_no_test_definition_is_a_training_definition():
    data = make_task("medical", {}).load(Path)
    shown = {example.context for example in data.train}
    assert sum(example.context in shown for example in data.test) <= 0.01 * len(data.test)


def test_the_ontology_is_read_as_it_is():
    terms = ontology()
    kidney = terms["HP:0000003"]
    assert kidney.name == "Multicystic kidney dysplasia"
    assert kidney.definition.startswith("Multicystic dysplasia of the kidney is characterized")
    assert kidney.parents == ("HP:0000107",)
    assert [terms[system].name for system in kidney.organ_systems] == [
        "Abnormality of the genitourinary system"
    ]
    assert release() == "2025-01-16"


def test_organ_system_names():
    assert organ_system_name("Abnormality of the nervous system") == "nervous system"
    assert organ_system_name("Abnormality of head or neck") == "head or neck"
    assert organ_system_name("Abnormal cellular phenotype") == "cellular phenotype"
    assert organ_system_name("Neoplasm") == "neoplasm"


def test_a_tenth_is_held_out_for_ever():
    keys = [f"HP:{number:07d}" for number in range(20_000)]
    held = [key for key in keys if is_held_out(key)]
    assert 0.09 < len(held) / len(keys) < 0.11
    assert held[:3] == ["HP:0000001", "HP:0000003", "HP:0000008"]
