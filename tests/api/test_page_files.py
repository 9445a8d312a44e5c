"""The page's files: served whole, kept by browsers, in line with the security policy, and with words for every code."""

from __future__ import annotations

import gzip
import re
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import pytest

from api import page_files
from arbitrage.dispatch import ShieldRule
from arbitrage.live.decision import Level, LiveRule, Mode
from arbitrage.live.quality import Quality
from tests.api.local_client import LocalClient, StandingClock, open_settings
from tests.api.test_thin_path import NOON

SENTENCES = (page_files.FOLDER / "sentences.js").read_text(encoding="utf-8")
SOURCES = "\n".join(
    path.read_text(encoding="utf-8") for folder in ("arbitrage", "api") for path in Path(folder).rglob("*.py")
)


class Found(HTMLParser):
    """What a page asks for, and what it has in line."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.labelled: set[str] = set()
        self.fields: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get("src") or (given.get("href") if tag == "link" else None)
        if address:
            self.addresses.append(address)
        inline = [name for name in given if name.startswith("on") or name == "style"]
        if inline or tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        if tag == "label" and given.get("for"):
            self.labelled.add(str(given["for"]))
        if tag in ("input", "select") and given.get("id"):
            self.fields.add(str(given["id"]))


@pytest.fixture
def client(tmp_path: Path) -> LocalClient:
    with LocalClient(open_settings(tmp_path), StandingClock(NOON)) as client:
        yield client


def test_everything_that_the_page_names_is_served_for_good_under_an_address_of_its_edition(client: LocalClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    addresses = Found(answer.text).addresses
    assert len(addresses) >= 4
    for address in addresses:
        assert address.startswith(f"/page/{page_files.edition()}/")
        file = client.get(address)
        assert file.status_code == 200, address
        assert "immutable" in file.headers["cache-control"]
        assert file.content


def test_modules_import_only_files_that_are_there() -> None:
    for path in page_files.FOLDER.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', path.read_text(encoding="utf-8")):
            assert page_files.file_named(name) is not None, f"{path.name} imports {name}"


def test_plotly_is_the_script_of_the_package_that_is_installed(client: LocalClient) -> None:
    answer = client.get(f"/page/{page_files.edition()}/plotly.min.js")
    (folder,) = find_spec("plotly").submodule_search_locations
    assert answer.content == (Path(folder) / "package_data" / "plotly.min.js").read_bytes()


def test_another_edition_or_a_file_that_the_page_does_not_have_is_not_found(client: LocalClient) -> None:
    for address in ("/page/0000000000000000/main.js", f"/page/{page_files.edition()}/..%2fapp.py", "/page/x"):
        assert client.get(address).status_code == 404


def test_files_go_compressed_to_whoever_takes_that(client: LocalClient) -> None:
    path = f"/page/{page_files.edition()}/page.css"
    plain = client.get(path, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    packed = page_files.file_named("page.css").compressed
    assert gzip.decompress(packed) == plain.content
    assert client.get(path, headers={"accept-encoding": "gzip"}).headers["content-encoding"] == "gzip"


def test_the_page_has_nothing_in_line_and_the_security_policy_allows_nothing_in_line(client: LocalClient) -> None:
    answer = client.get("/")
    assert Found(answer.text).inline == []
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text


def test_every_field_of_the_page_has_a_label(client: LocalClient) -> None:
    text = client.get("/").text
    found = Found(text)
    wrapped = set(re.findall(r'<label[^>]*>[^<]*<(?:select|input) id="([^"]+)"', text))
    wrapped |= set(re.findall(r'<label for="([^"]+)" class="side">', text))
    assert found.fields - found.labelled - wrapped == set()


@pytest.mark.parametrize("kind", [Level, LiveRule, ShieldRule, Mode, Quality])
def test_every_code_of_a_decision_has_its_words(kind: type[Quality]) -> None:
    assert [code.value for code in kind if not re.search(rf"\b{code.value}:", SENTENCES)] == []


def test_every_reason_and_finding_that_the_domain_gives_has_its_sentence() -> None:
    reasons = set(re.findall(r'"([a-z]+(?:_[a-z]+)+)"', "\n".join(re.findall(r"Intent\(.*", SOURCES))))
    reasons |= set(re.findall(r'"([a-z]+_[a-z_]+)"', "\n".join(re.findall(r"^_(?:RISK_)?REASONS = .*", SOURCES, re.M))))
    findings = set(re.findall(r'(?:Finding|_said)\(\s*"([a-z_]+)"', SOURCES))
    assert {"charging_beats_idling", "risk_aversion_idles", "signal_below_bound"} <= reasons
    assert {"jump", "unlike_training", "absent", "client_clock_ahead", "replay", "state_is_newer"} <= findings
    assert sorted(code for code in reasons | findings if f"{code}:" not in SENTENCES) == []
