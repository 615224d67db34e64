import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fsim.core.errors import ScenarioError, TraceError
from fsim.core.registry import choose
from fsim.data.held_out import is_held_out
from fsim.data.tasks.hub import PRESETS, Hub

TEMPLATES = {"context": "{q}", "question": "\nA:", "answer": "{a}"}


def plain(count=60, **more):
    return [{"q": f"What is {n}?", "a": f"n{n}", **more} for n in range(count)]


def write(path, rows):
    """A file of rows in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return path


def both(data):
    return [*data.train, *data.test]


def load(folder, **options):
    return Hub(dataset=str(folder), **{**TEMPLATES, **options}).load(Path)


# --- the presets, on invented rows of the shape of each data set


def pubmed_rows():
    decisions = ["yes", "no", "maybe", "yes"]
    return [
        {
            "pubid": 1000 + n,
            "question": f"Does treatment {n} shorten the illness?",
            "context": {
                "contexts": [f"We gave treatment {n} to some.", "Others got none."],
                "labels": ["METHODS", "RESULTS"],
                "meshes": ["Humans"],
                "reasoning_required_pred": ["yes"],
                "reasoning_free_pred": ["yes"],
            },
            "long_answer": "It was seen to.",
            "final_decision": decisions[n % 4],
        }
        for n in range(40)
    ]


def test_pubmedqa(tmp_path):
    rows = pubmed_rows()
    rows[3]["final_decision"] = None
    rows[4]["final_decision"] = "perhaps"
    write(tmp_path / "pqa_labeled" / "train-00000-of-00001.parquet", rows)
    unlabeled = [{"question": "Not this one?"}]
    write(tmp_path / "pqa_unlabeled" / "train-00000-of-00001.parquet", unlabeled)
    data = Hub(preset="pubmedqa", dataset=str(tmp_path)).load(Path)
    assert data.skipped == (("answer is none of the choices", 1), ("empty answer", 1))
    assert len(both(data)) == 38
    first = next(example for example in both(data) if "treatment 2 " in example.context)
    assert first.context == (
        "Does treatment 2 shorten the illness?\nWe gave treatment 2 to some.\nOthers got none."
    )
    assert (first.question, first.answer, first.label) == ("\nAnswer:", " maybe", "maybe")
    assert first.choices == (" yes", " no", " maybe")
    assert data.test


AYA = {
    "arb": ("Arabic", "ما هي عاصمة مصر؟", "القاهرة"),
    "eng": ("English", "What is the capital of Kenya?", "Nairobi"),
    "fra": ("French", "Quelle est la capitale du Mali ?", "Bamako"),
    "por": ("Portuguese", "Qual é a capital do Brasil?", "Brasília"),
    "rus": ("Russian", "Столица Армении?", "Ереван"),
    "spa": ("Spanish", "¿Cuál es la capital de Perú?", "Lima"),
    "tel": ("Telugu", "తెలంగాణ రాజధాని ఏది?", "హైదరాబాద్"),
    "zho": ("Chinese", "中国的首都是哪里？", "北京"),
    "tur": ("Turkish", "Türkiye'nin başkenti neresidir?", "Ankara"),
    "arz": ("Egyptian Arabic", "عاصمة مصر ايه؟", "القاهرة"),
}


def test_aya(tmp_path):
    rows = [
        {
            "inputs": f"{question} ({n})",
            "targets": target,
            "language": "Simplified Chinese" if code == "zho" else language,
            "language_code": code,
            "annotation_type": "original-annotations",
            "user_id": "u",
        }
        for n in range(8)
        for code, (language, question, target) in AYA.items()
    ]
    rows[1]["targets"] = " "
    write(tmp_path / "data" / "train-00000-of-00001.parquet", rows)
    write(tmp_path / "data" / "test-00000-of-00001.parquet", rows[:8])
    write(tmp_path / "demographics" / "train-00000-of-00001.parquet", [{"user_id": "u"}])
    data = Hub(preset="aya", dataset=str(tmp_path)).load(Path)
    assert data.skipped == (("empty answer", 1), ("other language", 16))
    assert {example.label for example in both(data)} == {
        *("Arabic", "Chinese", "English", "French", "Portuguese", "Russian", "Spanish", "Telugu")
    }
    telugu = next(example for example in both(data) if example.label == "Telugu")
    assert telugu.context == "తెలంగాణ రాజధాని ఏది? (0)"
    assert telugu.answer == " హైదరాబాద్"
    assert len(both(data)) == 63


def test_codealpaca(tmp_path):
    rows = [
        {
            "instruction": f"Write a function that adds {n}.",
            "input": "def f(x):" if n % 2 else "",
            "output": f"def f(x):\n    return x + {n}",
        }
        for n in range(40)
    ]
    rows[5]["output"] = ""
    write(tmp_path / "code_alpaca_20k.json", rows)
    data = Hub(preset="codealpaca", dataset=str(tmp_path)).load(Path)
    assert data.skipped == (("empty answer", 1),)
    found = {example.answer: example for example in both(data)}
    assert found[" def f(x):\n    return x + 2"].context == "Write a function that adds 2."
    assert found[" def f(x):\n    return x + 3"].context == (
        "Write a function that adds 3.\ndef f(x):"
    )
    assert {(example.question, example.label) for example in both(data)} == {("\nOutput:", "all")}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_holds_about_a_tenth_out(tmp_path, preset):
    rows = [
        {
            **{"question": f"q{n}", "context": {"contexts": ["c"]}, "final_decision": "yes"},
            **{"inputs": f"q{n}", "targets": "t", "language_code": "eng"},
            **{"instruction": f"q{n}", "input": "", "output": "o"},
        }
        for n in range(1000)
    ]
    write(tmp_path / "train.jsonl", rows)
    data = Hub(preset=preset, dataset=str(tmp_path)).load(Path)
    assert 70 < len(data.test) < 130
    shown = {example.context for example in data.train}
    assert not any(example.context in shown for example in data.test)


# --- files


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".json", ".csv"])
def test_every_format_says_the_same(tmp_path, suffix):
    rows = plain(label='s, "1"\nNA')
    data = load(write(tmp_path / f"rows{suffix}", rows), label="label")
    assert [(e.context, e.answer, e.label) for e in both(data)] == sorted(
        ((row["q"], f" {row['a']}", row["label"]) for row in rows),
        key=lambda item: (is_held_out(item[0]), int(item[1][2:])),
    )


def test_several_files_are_read_in_order(tmp_path):
    for at in range(3):
        write(tmp_path / f"train-0000{at}-of-00003.parquet", plain()[at * 20 : at * 20 + 20])
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "dataset_infos.json").write_text("{}")
    data = load(tmp_path)
    numbers = [int(example.answer[2:]) for example in data.train]
    assert numbers == sorted(numbers)
    assert len(both(data)) == 60


def test_a_split_of_its_own_is_kept_out_of_training(tmp_path):
    write(tmp_path / "train.csv", plain(20))
    write(tmp_path / "test.csv", [*plain(5), {"q": "Another?", "a": "x"}])
    data = load(tmp_path, test_split="test")
    assert len(data.test) == 6
    assert len(data.train) == 15
    assert data.skipped == (("prompt is also a test prompt", 5),)


def test_numbers_and_nothing_are_written_as_text(tmp_path):
    rows = [
        {"q": n, "parts": [{"t": f"{n}.5", "x": None}, {"t": "b", "x": 1.5}], "ok": n > 5}
        for n in range(60)
    ]
    rows += [{"q": 99, "parts": [], "ok": None}, {"q": None, "parts": None, "ok": True}]
    path = write(tmp_path / "rows.parquet", rows)
    data = load(path, context="{{{q}}} {parts[0].t}{parts[1][x]}{parts[7]}", answer="{ok}")
    assert both(data)[0].context == "{0} 0.51.5"
    assert {example.answer for example in data.train} == {" True", " False"}
    assert data.skipped == (("empty answer", 1), ("empty prompt", 1))


def test_another_wording_is_tested_on_the_same_items(tmp_path):
    path = write(tmp_path / "rows.jsonl", plain(site="north"))
    turned = load(path, context="{site}: {q}"), load(path, context="{q}", question="at {site}?")
    assert [e.answer for e in turned[0].test] == [e.answer for e in turned[1].test]
    first = load(path)
    second = load(path, context="", question="Please: {q}")
    assert [e.answer for e in first.test] == [e.answer for e in second.test]
    assert second.test[0].context == ""
    assert second.test[0].question.startswith("Please: What is ")


def test_the_same_prompt_is_never_on_both_sides(tmp_path):
    data = load(write(tmp_path / "rows.jsonl", [*plain(), *plain(a2="x")]))
    assert len(both(data)) == 120
    assert not {e.context for e in data.train} & {e.context for e in data.test}


def test_a_sample_is_of_all_rows_and_does_not_depend_on_their_order(tmp_path):
    rows = plain(2000)
    first = load(write(tmp_path / "a.jsonl", rows), max_examples=200)
    second = load(write(tmp_path / "b.jsonl", rows[::-1]), max_examples=200)
    assert len(both(first)) == 200
    assert {e.context for e in both(first)} == {e.context for e in both(second)}
    numbers = [int(example.answer[2:]) for example in first.train]
    assert numbers == sorted(numbers)
    assert 800 < sum(numbers) / len(numbers) < 1200
    # Not the smallest of the hashes that hold items out, or all of these would be test examples.
    assert 5 < len(first.test) < 40


def test_choices_of_ones_own(tmp_path):
    rows = [{"q": f"q{n}", "a": ["left", "right", "up"][n % 3]} for n in range(90)]
    data = load(write(tmp_path / "rows.csv", rows), choices=("left", "right"))
    assert {e.choices for e in both(data)} == {(" left", " right")}
    assert data.skipped == (("answer is none of the choices", 30),)


# --- what cannot be used


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.jsonl", b'{"q": "a", "a": "b"}\nnope\n', r"rows\.jsonl:2: not JSON: "),
        ("rows.jsonl", b'{"q": "a"}\n', r"rows\.jsonl:1: no column 'a', found q$"),
        ("rows.jsonl", b'{"q": {"x": "a"}, "a": "b"}', r"q: found several texts, .* q\[x\]$"),
        ("rows.json", b'[{"q": "a"}, 3]', r"rows\.json: row 1: no column 'a'"),
        ("rows.json", b"[3]", r"rows\.json: row 1: found no JSON object"),
        ("rows.json", b'[{"q": "a"', r"rows\.json: not JSON: "),
        ("rows.json", b'["\\udc00"]', r"rows\.json: cannot be read: .*surrogates"),
        ("rows.csv", b"q,a\n1,2\n3\n", r"rows\.csv:3: found another number .* the 2 of the header"),
        ("rows.csv", b"q,a\n1,2,3\n", r"rows\.csv:2: found another number of fields than the 2"),
        ("rows.csv", b'q,a\n1,"2\n', r"rows\.csv:2: not CSV: "),
        ("rows.csv", b"q,b\n1,2\n", r"rows\.csv:2: no column 'a', found q, b$"),
        ("rows.csv", b"q,a\n\xff,2\n", r"rows\.csv: cannot be read: .*can't decode"),
        ("rows.csv", b"", r"found 0 training and 0 test examples that can be used"),
        ("rows.parquet", b"PAR1 not really", r"rows\.parquet: cannot be read: "),
        ("rows.txt", b"text", r"rows\.txt: found '\.txt', allowed are \.parquet, \.jsonl, "),
    ],
)
def test_a_bad_file_is_told_in_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScenarioError, match=message) as caught:
        load(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_bad_columns_are_told(tmp_path):
    rows = [{"q": "a", "a": "b", "list": ["x"], "nest": {"x": 1}, "raw": b"\xff"}]
    path = write(tmp_path / "rows.parquet", rows)
    for template, message in {
        "{z}": r"rows\.parquet: no column 'z', found q, a, list, nest, raw",
        "{nest[y]}": r"row 1: no column 'y', found x",
        "{list[x]}": r"row 1: list\[x\]: found a list, of which \[x\] is no number",
        "{q[x]}": r"row 1: q\[x\]: found str, which has no 'x'",
        "{nest}": r"row 1: nest: found several texts, allowed is one of nest\[x\]",
        "{raw}": r"row 1: raw: found bytes, allowed is text",
    }.items():
        with pytest.raises(ScenarioError, match=message):
            load(path, context=template)


def test_folders_that_hold_no_such_split(tmp_path):
    with pytest.raises(ScenarioError, match=r"no file of split 'train', .* found none"):
        load(tmp_path)
    write(tmp_path / "validation.csv", plain())
    with pytest.raises(ScenarioError, match=r"no file of split 'train', .*found validation\.csv"):
        load(tmp_path)
    write(tmp_path / "train.csv", plain())
    write(tmp_path / "train.jsonl", plain())
    with pytest.raises(ScenarioError, match=r"several kinds, .*: train\.csv, train\.jsonl"):
        load(tmp_path)
    with pytest.raises(ScenarioError, match="subset: found no folder 'hard' in it"):
        load(tmp_path, subset="hard")
    with pytest.raises(ScenarioError, match=r"train\.csv: test_split: found 'test', a file has"):
        load(tmp_path / "train.csv", test_split="test")


def test_what_is_left_out_is_told_when_nothing_is_left(tmp_path):
    path = write(tmp_path / "rows.jsonl", [{"q": f"q{n}", "a": ""} for n in range(3)])
    with pytest.raises(ScenarioError, match=r"0 training and 0 test .*\(left out: empty answer: 3"):
        load(path)


# --- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "dataset: is missing, or a preset of pubmedqa, aya, codealpaca"),
        ({"preset": "squad"}, "preset: found 'squad', allowed are pubmedqa, aya, codealpaca"),
        ({"preset": "aya", "label": "x"}, "label: found it beside preset aya, which sets it"),
        ({"context": "q"}, r"context, question: found no \{column\} in either"),
        ({"answer": "yes"}, r"answer: found no \{column\} in 'yes'"),
        ({"context": "{q"}, "context: expected '}' before end of string; a brace itself is"),
        ({"context": "{}"}, "context: found '', allowed are column, "),
        ({"context": "{q!r}"}, "context: found a format or conversion after 'q', allowed is {q} "),
        ({"context": "{q:>99999}"}, "context: found a format or conversion after 'q'"),
        ({"context": "{q:{a}}"}, "context: found a format or conversion after 'q'"),
        ({"context": "{q[}"}, "context: "),
        ({"context": "{q..x}"}, r"context: found 'q\.\.x', allowed are column"),
        ({"label": "{q}"}, "label: found '{q}', allowed are column"),
        ({"choices": ("yes",)}, r"choices: found \['yes'\], allowed are two or more different"),
        ({"choices": ("yes", " yes")}, "choices: found"),
        ({"max_examples": -1}, "max_examples: found -1, allowed is 0 or more"),
        ({"test_split": "train"}, "split, test_split: found 'train' and 'train'"),
        ({"columns": "q"}, "columns: unknown key, allowed are dataset, subset, "),
    ],
)
def test_bad_options_are_told_before_anything_is_read(options, message):
    given = {"dataset": "nowhere", **TEMPLATES} if options and "preset" not in options else {}
    with pytest.raises(ValueError, match=f"task hub: {message}"):
        choose("task", {"hub": Hub}, "hub", {**given, **options})


def test_options_as_scenarios_give_them():
    made = choose("task", {"hub": Hub}, "hub", {"preset": "aya", "max_examples": 500})
    assert made == Hub(preset="aya", max_examples=500)
    own = {"dataset": "d", "context": "{q}", "answer": "{a}", "choices": ["x", "y"]}
    assert choose("task", {"hub": Hub}, "hub", own).choices == ("x", "y")


def test_templates_follow_no_attributes(tmp_path):
    path = write(tmp_path / "rows.jsonl", plain())
    for template in ("{q.__class__}", "{q[__class__]}", "{q.upper}"):
        with pytest.raises(ScenarioError, match="found str, which has no"):
            load(path, context=template)


# --- by name


class FakeRows(list):
    """As much of ``datasets.Dataset`` as is used."""

    @property
    def column_names(self):
        return list(self[0])

    def select_columns(self, names):
        return FakeRows({name: row[name] for name in names} for row in self)


def test_a_name_is_asked_of_datasets(monkeypatch):
    asked = []

    def load_dataset(*args, **kwargs):
        asked.append((args, kwargs))
        return FakeRows(pubmed_rows())

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))

    def find(path):
        raise TraceError(f"{path}: no such file")

    data = Hub(preset="pubmedqa").load(find)
    assert asked == [(("qiaojin/PubMedQA", "pqa_labeled"), {"split": "train"})]
    assert len(both(data)) == 40
    with pytest.raises(ScenarioError, match="qiaojin/PubMedQA train: no column 'z', found pubid, "):
        Hub(dataset="qiaojin/PubMedQA", context="{z}", answer="{long_answer}").load(find)
    assert asked[1][0] == ("qiaojin/PubMedQA", None)


def test_a_name_that_cannot_be_had_is_told_in_one_line(monkeypatch):
    def load_dataset(*args, **kwargs):
        raise ConnectionError("Couldn't reach the hub\nwith a page of details")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(ScenarioError) as caught:
        Hub(preset="aya").load(Path)
    assert str(caught.value) == (
        "task.dataset: CohereLabs/aya_dataset: no such local folder, and not to be had by name: "
        "Couldn't reach the hub"
    )


def test_datasets_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ScenarioError) as caught:
        Hub(preset="aya").load(Path)
    assert str(caught.value) == "task hub needs the 'datasets' package: pip install fsim[hub]"


CACHED = """
import json, shutil, sys
from pathlib import Path
import datasets
from fsim.data.tasks.hub import Hub

# As the package keeps a data set of the hub: owner___name/subset/version/hash/name-split.arrow.
cache = Path(datasets.config.HF_DATASETS_CACHE)
datasets.load_dataset("json", data_files=sys.argv[1], split="train")
(made,) = (cache / "json").glob("*/*/*/json-train.arrow")
kept = shutil.copytree(made.parent, cache / "owner___name" / "default" / "0.0.0" / "0123abcd")
(kept / made.name).rename(kept / "name-train.arrow")
data = Hub(dataset="owner/name", context="{q}", question="A:", answer="{a}").load(Path)
print(json.dumps({each.context: each.answer.strip() for each in [*data.train, *data.test]}))
"""


@pytest.mark.extras("datasets")
def test_a_name_is_read_from_the_packages_cache(tmp_path):
    path = write(tmp_path / "rows.jsonl", plain())
    offline = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CACHED, str(path)],
        env=os.environ | offline, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    examples = json.loads(done.stdout.splitlines()[-1])
    assert examples == {row["q"]: row["a"] for row in plain()}


def test_a_path_that_is_not_there_is_not_asked_of_the_hub(tmp_path):
    with pytest.raises(ScenarioError, match="allowed are a local folder or file, and a name on"):
        load(tmp_path / "absent")
