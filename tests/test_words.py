"""The glossary of CONTRIBUTING.md: words that are not used in code, messages and help."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("py", "html", "js", "css", "j2")
ROW = re.compile(r"^\| (?P<term>[^|]+) \| [^|]+ \| (?P<banned>[^|]+) \|$", re.MULTILINE)
NAMES_IN_FILES = re.compile(r'"(risk\.)?dial"')
"""Names of arrays in policy files, which older files have too."""


def banned_words() -> list[str]:
    glossary = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Glossary")[2]
    rows = [row["banned"] for row in ROW.finditer(glossary) if row["banned"] not in ("not", "---")]
    return [word.strip() for row in rows for word in row.split(",")]


BANNED = re.compile(
    rf"(?<![a-z])({'|'.join(re.escape(word).replace(chr(92) + ' ', '[ _]') for word in banned_words())})(?![a-z])", re.I
)
FILES = sorted(
    str(path.relative_to(ROOT))
    for top in ("arbitrage", "api")
    for path in (ROOT / top).rglob("*.*")
    if path.suffix[1:] in PAGES and "__pycache__" not in path.parts
)


def found(text: str) -> list[str]:
    """Banned words of a text with their lines; parts of snake_case and CamelCase names count as words."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", NAMES_IN_FILES.sub("", text))
    return [
        f"line {number}: {hit[0]}"
        for number, line in enumerate(split.splitlines(), start=1)
        for hit in BANNED.finditer(line)
    ]


@pytest.mark.parametrize("file", FILES)
def test_a_file_uses_the_terms_of_the_glossary(file: str) -> None:
    assert found((ROOT / file).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("text", ["the policy is told", "def tell(self)", "class LivedTraining", "self._pile = 1"])
def test_a_banned_word_is_found(text: str) -> None:
    assert found(text)


@pytest.mark.parametrize("text", ["olive", "year", "lifetimes", "compiled", "the store holds records"])
def test_other_words_pass(text: str) -> None:
    assert not found(text)
