import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from moorline_api.block_yaml import block_yaml

# Lone surrogates are in no file.
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    [
        *(
            "",
            "yes",
            "No",
            "null",
            "~",
            "1",
            "1.5",
            "0x10",
            "1e3",
            "12:30:00",
            "2026-11-22",
            "=",
            "<<",
        ),
        *(
            ".inf",
            ".NaN",
            "- a",
            "a: b",
            "a #b",
            "a:",
            "'a'",
            '"a"',
            "@daily",
            "`a`",
            "|",
            ">",
            "%",
            "!",
        ),
        *(
            "a\nb",
            "a\n\nb",
            "\na",
            "a\n",
            " a",
            "a ",
            "a  b",
            "word " * 40,
            "word\n" * 3,
            "x" * 200,
        ),
        *(
            "-",
            "---",
            "...",
            "a\tb",
            "a\n b",
            "a" * 98 + "  b",
            "{a: b}",
            "[a]",
            "&a",
            "*a",
            "\u2028",
        ),
    ]
)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXTS, DATA, min_size=1, max_size=4))
def test_what_is_written_is_read_as_it_was(data: dict[str, object]) -> None:
    assert yaml.safe_load(block_yaml(data)) == data


def test_mappings_keep_their_order_and_short_texts_their_line() -> None:
    data = {"spec": {"rule": "self.a == 'b'", "names": ["scl", {"y": 1, "x": [{}]}]}, "on": []}

    assert block_yaml(data) == (
        "spec:\n"
        "  rule: self.a == 'b'\n"
        "  names:\n"
        "    - scl\n"
        '    - "y": 1\n'
        "      x:\n"
        "        - {}\n"
        '"on": []\n'
    )


def test_a_long_text_is_folded_at_its_spaces_and_keeps_its_lines() -> None:
    text = block_yaml({"a": {"description": f"{'word ' * 30}end\nof it"}})

    assert text.splitlines() == [
        "a:",
        "  description: >-",
        f"    {'word ' * 18}word",
        f"    {'word ' * 10}word end",
        "",
        "    of it",
    ]


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object()], ids=["set", "bytes", "object"])
def test_what_json_does_not_know_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        block_yaml({"a": value})


def test_json_is_what_a_number_looks_like() -> None:
    assert block_yaml({"a": 0.25, "b": 7}) == f"a: {json.dumps(0.25)}\nb: 7\n"
