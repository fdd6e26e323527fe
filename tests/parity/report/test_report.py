"""The report's files: complete, escaped, parseable, and written as a whole or not at all."""

from __future__ import annotations

import json
import math
import re
import string
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import parity.report
from parity.checks.registry import NETWORK, known_rungs
from parity.report import (
    FILES,
    SCHEMA,
    curves,
    figures,
    formats,
    images,
    markdown,
    render,
    study,
    validate_folder,
    views,
    write,
)  # fmt: skip
from parity.report.collect import collect
from parity.report.strings import LANGUAGES, STRINGS, text
from parity.systems.exhibits import exhibits
from parity.systems.training.registry import TRAINING
from parity.verdict import Check, Coverage, Finding, LayerRow, RungResult, UnusableInput
from tests.parity.report.samples import NASTY, report, trained, verdict

PARTS = (
    *(f'id="{section}"' for section in ("summary", "networks", "training", "study", "gallery", "claims", "reproduce")),
)


class Page(HTMLParser):
    """Collects ids, links, text and anything that would be fetched; complains about crossed or open tags."""

    VOID = {"meta", "link", "input", "img", "br", "wbr"}

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.scripts = 0
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.scripts += tag == "script"
        if "id" in values:
            self.ids.append(values["id"])
        self.links += [values[key] for key in ("src", "href") if key in values]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def html() -> str:
    pairs = verdict(), verdict("dcgan.generator", broken=True), verdict("specgan.generator:nc=3")
    return render(report(*pairs))["index.html"]


def test_the_page_has_every_part_in_order(html):
    places = [html.index(part) for part in PARTS]
    assert places == sorted(places)
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_the_page_fetches_nothing(html):
    assert all(link.startswith(("#", "data:")) for link in Page(html).links)
    assert "url(" not in html and "@import" not in html
    assert "default-src 'none'" in html


def test_the_page_shows_measured_rows(html):
    words = Page(html).text
    for expected in (
        "tf_impl/specgan.py:72",
        "torch_impl/specgan.py:75",
        "[N, 8, 8, 512]",
        "↑ 1 ↓ 2",
        "4.1e6×",
        "Use padding=1 and drop the last row and column.",
        "padding-alignment",
        "2.13.0",
        "parity report --out report --seed 0",
    ):
        assert expected in words, expected


def test_default_networks_and_failures_are_open_variants_are_not():
    pairs = verdict(), verdict("specgan.generator:nc=3"), verdict("specgan.generator:nc=1", broken=True)
    html = render(report(*pairs))["index.html"]
    opened = dict(re.findall(r'<details class="pair \w+" id="([^"]+)"( open)?', html))
    assert {name: bool(mark) for name, mark in opened.items()} == {
        "pair-specgan-generator": True,
        "pair-specgan-generator-nc-3": False,
        "pair-specgan-generator-nc-1": True,
    }


def nasty_report() -> dict:
    row = LayerRow(
        NASTY, NASTY, NASTY, [1, 2], [1, 2], NASTY, NASTY, 1, {NASTY: NASTY}, {NASTY: 1}, note=NASTY, referee=NASTY
    )
    row.float64 = 1.0
    rung = RungResult("forward", "fail", NASTY, [Check("forward", NASTY, NASTY, "fail", 1.0, 0.1, NASTY, NASTY)])
    odd = verdict(
        NASTY,
        rungs={"forward": rung},
        layers=[row],
        findings=[Finding(NASTY, NASTY, NASTY, NASTY, NASTY, "forward", {NASTY: NASTY})],
        coverage=Coverage(1, 2, {NASTY: NASTY}),
        first_divergence=row,
        command=NASTY,
    )
    body = report(odd)
    body |= {"command": NASTY, "versions": {NASTY: NASTY}, "created": NASTY}
    body["gallery"][0]["title"] = NASTY
    body["padding_study"]["measured"][0]["what"] = NASTY
    body["claims"][0]["claims"][0] |= {
        "claim": {"en": NASTY, "zh": NASTY},
        "measured": {"en": NASTY, "zh": NASTY},
        "source": NASTY,
    }
    return body


def test_text_from_data_is_escaped_everywhere():
    files = render(nasty_report())
    page = Page(files["index.html"])
    assert page.scripts == 1
    assert page.text.count("<script>alert('x')</script>") >= 20
    for name in ("report.md", "report.zh.md"):
        outside_code = re.sub(r"^```\n.*?^```$", "", files[name], flags=re.DOTALL | re.MULTILINE)
        assert "<script>" not in outside_code and "\x00" not in outside_code
        tables = [line for line in files[name].splitlines() if line.startswith("|")]
        assert all(re.search(r"(?<!\\)\|$", line) for line in tables)
    root = ET.fromstring(files["junit.xml"])
    assert "alert('x')" in root.find(".//testcase").get("classname")
    assert json.loads(files["report.json"])["command"] == NASTY


def test_markdown_tables_keep_their_columns():
    lines = render(nasty_report())["report.md"].splitlines()
    for header in (index for index, line in enumerate(lines) if line.startswith("|---")):
        columns = lines[header].count("|")
        row = header + 1
        while row < len(lines) and lines[row].startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", lines[row])) == columns, lines[row]
            row += 1


def test_nan_infinity_and_missing_values_are_shown_as_such():
    rows = [
        LayerRow("conv", "a", "a", [1, 2, 2, 3], [1, 3, 2, 2], float64=math.nan, isolated=math.inf, rounding=math.nan),
        LayerRow("conv", "b", "", [1, 2, 2, 3]),
        LayerRow("conv", "", "c", shape=[1, 3, 2, 2], judgement="fail"),
    ]
    rung = RungResult("forward", "fail", "nan", [Check("forward", "a", "values", "fail", math.nan, 1e-9, "relative")])
    odd = verdict("odd", rungs={"forward": rung}, layers=rows, coverage=Coverage(0, 0), output_judged=False)
    files = render(report(odd))
    page = Page(files["index.html"])
    assert "nan" in page.text and "∞" in page.text and "None" not in page.text
    assert "only in Keras" in page.text and "only in PyTorch" in page.text
    assert "nan×" not in page.text
    json.loads(files["report.json"], parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_an_empty_report_says_so():
    files = render({})
    assert "Nothing was verified" in Page(files["index.html"]).text
    assert "没有任何验证" in files["report.zh.md"]
    assert ET.fromstring(files["junit.xml"]).get("tests") == "0"
    assert json.loads(files["report.json"])["schema"] == SCHEMA


def test_both_languages_have_every_string_with_the_same_blanks():
    for key, words in STRINGS.items():
        assert set(words) == set(LANGUAGES) and all(words.values()), key
        blanks = [sorted(name for _, name, _, _ in string.Formatter().parse(words[lang]) if name) for lang in LANGUAGES]
        assert blanks[0] == blanks[1], key


def test_every_string_is_used():
    package = Path(parity.report.__file__).parent
    source = "".join(
        path.read_text("utf-8")
        for path in package.rglob("*")
        if path.suffix in (".py", ".j2") and path.name != "strings.py"
    )
    from_data = ("rung.", "relation.", "padding.", "referee.", "study.conv", "banner.", "plot.", "filter")
    from_data += ("coverage.", "loss.", "against.", "scope.", "faithful.for", "weights.", "not.asked", "open")
    words = {*views.GLYPHS, "true", "false", "conditional", "not measurable", *("en", "zh")}
    unused = [
        key
        for key in STRINGS
        if not key.startswith(from_data) and key.removesuffix(".why") not in words and f'"{key}"' not in source
        and f"'{key}'" not in source
    ]  # fmt: skip
    assert unused == []


def test_chinese_page_and_markdown_are_translated(html):
    assert re.search(r'<span class="t-zh" lang="zh-Hans">逐行对照</span>', html)
    files = render(report(verdict(), verdict("dcgan.generator", broken=True)))
    chinese = files["report.zh.md"]
    for words in (
        "并非所有移植都忠实",
        "前向",
        "失败",
        "参数量",
        "舍入倍数",
        "填充研究",
        "修复方法",
        "生成器有五个转置卷积",
    ):
        assert words in chinese, words
    assert "| Layer |" not in chinese


def test_failures_are_in_every_file():
    broken = verdict("dcgan.generator", broken=True)
    files = render(report(verdict(), broken))
    assert "Not every port is faithful" in files["index.html"]
    assert "✗ fail" in files["report.md"] and "padding-alignment" in files["report.md"]
    assert not json.loads(files["report.json"])["verdicts"][1]["passed"]
    section = broken.to_markdown()
    assert section.startswith("## dcgan.generator\n") and "Use padding=1" in section


def test_junit_has_a_suite_per_pair_and_a_case_per_rung():
    unjudged = verdict("dcgan.discriminator", output_judged=False)
    root = ET.fromstring(render(report(verdict(), verdict("dcgan.generator", broken=True), unjudged))["junit.xml"])
    suites = {suite.get("name"): suite for suite in root.iter("testsuite")}
    assert list(suites) == ["specgan.generator", "dcgan.generator", "dcgan.discriminator"]
    broken = suites["dcgan.generator"]
    assert [case.get("name") for case in broken] == list(verdict().rungs)
    failing = [case.get("name") for case in broken if case.find("failure") is not None]
    assert failing == ["padding", "forward", "gradients"]
    assert "Use padding=1" in broken.find("testcase[@name='forward']/failure").text
    assert broken.find("testcase[@name='penalty']/skipped").get("message") == "no double backward for this pair"
    assert (broken.get("failures"), broken.get("skipped"), broken.get("tests")) == ("3", "1", "8")
    assert suites["dcgan.discriminator"].find("testcase[@name='coverage']/failure") is not None
    assert root.get("failures") == "4"


def test_report_json_keeps_figures_of_the_images_not_their_pixels():
    body = json.loads(render(report(verdict()))["report.json"])
    assert set(body) == {
        "schema",
        "created",
        "command",
        "seed",
        "versions",
        "verdicts",
        "padding_study",
        "claims",
        "gallery",
        "against",
    }
    (image,) = body["gallery"]
    assert image["reference_shape"] == [32, 32, 1] and 1e-8 < image["largest_difference"] < 1e-6


def test_defaults_name_agreement_and_difference():
    row = LayerRow(
        "batchnorm",
        "bn",
        "bn",
        reference_attributes={"epsilon": 1e-3, "momentum": 0.99, "padding": "same"},
        attributes={"epsilon": 1e-5, "momentum": 0.99, "padding": "p=1", "tracked": True},
        reference_padding=[[1, 2]],
        padding=[[1, 2]],
    ).__dict__
    found = {line["key"]: line["agreement"] for line in views.defaults([row])}
    assert found == {"epsilon": "differs", "momentum": "equal", "padding": "equivalent", "tracked": "stated.once"}
    row["padding"] = [[2, 1]]
    assert {line["key"]: line["agreement"] for line in views.defaults([row])}["padding"] == "differs"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0, "0"), (2.13e-15, "2.1e-15"), (0.824, "0.824"), (4.1e6, "4.1e6"), ("nan", "nan"),
     ("inf", "∞"), (-1e-9, "-1.0e-9")],
)  # fmt: skip
def test_errors_are_short(value, shown):
    assert formats.error(value) == shown


@pytest.mark.parametrize(
    ("amounts", "shown"),
    [
        (None, ["–"]),
        ([[1, 2]], ["← 1 → 2"]),
        ([[-1, -2], [0, 3]], ["↑ −1 ↓ −2", "← 0 → 3"]),
        ([[0, 1]] * 3, ["⊙ 0 ⊗ 1", "↑ 0 ↓ 1", "← 0 → 1"]),
    ],
)
def test_padding_is_shown_per_edge(amounts, shown):
    assert formats.edges(amounts) == shown


def test_the_plot_marks_what_is_not_finite_and_what_is_exact():
    rows = [
        row.__dict__ for row in (LayerRow("conv", "a", "a", float64=math.nan), LayerRow("conv", "b", "b", float64=0.0))
    ]
    svg = ET.fromstring(figures.error_plot(rows, {"a": 1e-9}))
    assert [node.get("class") for node in svg.iter("path")] == ["bad"]
    (floor,) = (node for node in svg.iter("line") if node.get("class") == "floor")
    (exact,) = (node for node in svg.iter("circle"))
    assert exact.get("cy") == f"{float(floor.get('y1')):.1f}"
    assert figures.error_plot([LayerRow("conv", "a", "a").__dict__], {}) == ""


def test_the_study_draws_the_grids_one_pixel_apart():
    conv, transposed = study.studies()
    for case in (conv, transposed):
        assert case.same.centres == (1, 3, 5, 7) and case.symmetric.centres == (0, 2, 4, 6)
        assert case.relation == "equal in a mirror"
        mirrored = tuple(case.same.size - 1 - centre for centre in reversed(case.same.centres))
        assert mirrored == case.symmetric.centres
    assert (conv.same.amounts, conv.symmetric.amounts) == ((1, 2), (2, 2))
    assert (transposed.same.amounts, transposed.symmetric.amounts) == ((1, 2), (2, 1))
    svg = ET.fromstring(figures.pixel_grid(conv.same))
    kinds = [node.get("class") for node in svg.iter("rect")]
    assert (kinds.count("px image"), kinds.count("px pad"), kinds.count("window")) == (64, 11 * 11 - 64, 1)
    assert len(list(svg.iter("circle"))) == 16


def test_images_are_png_and_their_difference_is_amplified():
    reference = np.zeros((2, 8, 8, 3))
    item = images.comparison("t", reference, reference + 3e-7)
    assert item["amplification"] == 2e6 and item["largest"] == pytest.approx(3e-7)
    assert all(item[key].startswith("data:image/png;base64,") for key in ("reference", "port", "difference"))
    assert images.comparison("t", reference, reference)["largest"] == 0
    assert images.comparison("t", reference, reference[:1])["difference"] is None
    assert images.comparison("t", reference * math.nan, reference)["not_finite"] == reference.size
    with pytest.raises(ValueError, match="an image must be"):
        images.comparison("t", np.zeros(3), np.zeros(3))


def test_png_holds_the_pixels(tmp_path):
    from matplotlib.image import imread

    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    path = tmp_path / "a.png"
    path.write_bytes(__import__("base64").b64decode(images.data_uri(pixels).split(",")[1]))
    assert np.array_equal(np.round(imread(path)[..., :3] * 255), pixels)


def test_write_returns_what_it_wrote_and_replaces_an_earlier_report(tmp_path):
    folder = tmp_path / "deep" / "report"
    assert [path.name for path in write(report(verdict()), folder)] == list(FILES)
    first = (folder / "index.html").read_text("utf-8")
    write(report(verdict("dcgan.generator", broken=True)), folder)
    assert (folder / "index.html").read_text("utf-8") != first
    assert sorted(path.name for path in folder.parent.iterdir()) == ["report"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_an_empty_folder_is_used(tmp_path):
    folder = tmp_path / "report"
    folder.mkdir()
    assert all(path.exists() for path in write({}, folder))


@pytest.mark.parametrize("files", [{"thesis.txt": "years of work"}, {"report.md": "ours"}, {"report.json": "[]"}])
def test_a_folder_with_other_files_is_rejected(tmp_path, files):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(UnusableInput, match=r"^[^\n]*not an earlier report[^\n]*$"):
        write({}, tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


def test_an_earlier_report_with_a_foreign_file_is_rejected(tmp_path):
    write({}, tmp_path / "report")
    (tmp_path / "report" / "notes.txt").write_text("ours")
    with pytest.raises(UnusableInput, match="notes.txt"):
        write({}, tmp_path / "report")


@pytest.mark.parametrize("place", ["file", "file/report", "/proc/report"])
def test_an_unwritable_folder_is_one_clear_line(tmp_path, place):
    (tmp_path / "file").write_text("")
    for attempt in (lambda: write({}, tmp_path / place), lambda: validate_folder(tmp_path / place)):
        with pytest.raises(UnusableInput, match=r"^the report cannot be written into [^\n]+: [^\n]+$"):
            attempt()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("moment", ["write_text", "rename"])
def test_an_interrupted_write_leaves_nothing_and_keeps_the_earlier_report(
    tmp_path, monkeypatch, failure, earlier, moment
):
    folder = tmp_path / "new" / "report"
    if earlier:
        write(report(verdict()), folder)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    original = getattr(Path, moment)

    def fail(path, *arguments, **settings):
        target = arguments[0] if moment == "rename" else path
        if Path(target) == folder and ".partial" in path.name or Path(target).name == "report.json":
            raise failure
        return original(path, *arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(Path, moment, fail)
        with pytest.raises(KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else UnusableInput):
            write(report(verdict("dcgan.generator", broken=True)), folder)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert (tmp_path / "new").exists() == earlier


def test_rung_words_cover_the_ladder():
    assert [*known_rungs()] == [*NETWORK, *TRAINING]
    for rung in known_rungs():
        for language in LANGUAGES:
            assert text(f"rung.{rung}", language) and text(f"rung.{rung}.why", language)


def test_an_unknown_rung_is_shown_by_its_own_name():
    new = verdict(rungs={"telepathy": RungResult("telepathy", "pass", "", [], 0.0)})
    files = render(report(new))
    assert "telepathy" in Page(files["index.html"]).text
    assert "telepathy" in markdown.document({**parity.report.DEFAULTS, **report(new)}, "zh")


def test_a_usable_folder_is_accepted(tmp_path):
    for place in ("new", "deep/er/new"):
        validate_folder(tmp_path / place)
    write({}, tmp_path / "report")
    validate_folder(tmp_path / "report")


def test_a_folder_below_one_without_permission_is_rejected(tmp_path, monkeypatch):
    def refuse(path, *arguments, **settings):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UnusableInput, match="Permission denied in"):
        validate_folder(tmp_path / "report")


def test_collected_verdicts_are_a_report_without_claims():
    body = collect([verdict("user.network", seed=3), verdict("dcgan.generator")], "pytest", seed=3)
    assert {"claims", "gallery", "padding_study"}.isdisjoint(body)
    assert (body["command"], body["seed"], body["versions"]) == ("pytest", 3, {"numpy": "2.4"})
    assert body["created"].endswith("+00:00") and len(body["verdicts"]) == 2
    render(body)


def test_claims_are_measured_if_specgan_is_among_the_verdicts(monkeypatch):
    monkeypatch.setattr("parity.systems.exhibits._measure", lambda seed: {"claims": report()["claims"]})
    assert exhibits([verdict("dcgan.generator"), verdict("specgan.generator")])["claims"]
    assert exhibits([verdict("user.network"), verdict("dcgan.generator")]) == {}


def test_training_has_its_own_matrix_curves_and_parameters():
    pairs = verdict(), trained(), trained("dcgan.training:loss.kind=lsgan")
    files = render(report(*pairs))
    html, page = files["index.html"], Page(files["index.html"])
    assert {"matrix", "matrix-training", "pair-dcgan-training", "pair-dcgan-training-loss-kind-lsgan"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert html.count('class="keras-line" points') == html.count('class="torch-line" points') == 2
    assert html.count('class="apart-line" points') == html.count('class="rounding-line" points') == 2
    for words in (
        "1 of 2 parameters followed step by step",
        "3 steps, nz=16, batch 4, float64",
        "generator/upconv_0.weight",
        "[16, 8, 5, 5]",
        "upconv_0_bn subtracts the mean",
    ):
        assert words in page.text, words
    for name in ("report.md", "report.zh.md"):
        assert "| `d_loss` | 1.5 | 0.75 | 1.5 | 0.75 | 0 |" in files[name]
        assert (
            "| `generator/upconv_0/kernel` [5, 5, 8, 16] | `generator/upconv_0.weight` [16, 8, 5, 5] |" in files[name]
        )
    assert "2 of 4 parameters followed through 2 training runs." in files["report.md"]
    training = json.loads(files["report.json"])["verdicts"][1]["training"]
    assert training["curves"] == [{"name": "d_loss", "reference": [1.5, 1.25, 0.75], "port": [1.5, 1.25, 0.75]}]


def test_a_diverging_training_run_is_in_every_file():
    files = render(report(trained(broken=True)))
    for name in ("index.html", "report.md", "report.json", "junit.xml"):
        assert "is reproduced by the learning rate 0.0002" in files[name], name
    (suite,) = ET.fromstring(files["junit.xml"])
    assert suite.find("testcase[@name='training']/failure") is not None
    assert "| `d_loss` | 1.5 | 0.75 | 1.5 | 0.5 | 0.25 |" in files["report.md"]
    assert "NOT faithful: learning-rate at generator/upconv_0.weight (training fails)" in files["report.md"]


def test_totals_keep_layers_and_training_apart():
    figures_of = views.totals([item.to_dict() for item in (verdict(), trained(), trained(broken=True))])
    assert (figures_of["judged"], figures_of["layers"]) == (11, 12)
    assert (figures_of["followed"], figures_of["parameters"], figures_of["trained"]) == (2, 4, 2)
    assert figures_of["deviation"] == 2.1e-3 and figures_of["float64"] < 1e-13


def test_a_loss_that_is_not_finite_leaves_a_gap():
    curve = {"name": "d_loss", "reference": [1.0, 2.0, 3.0, 4.0], "port": [1.0, "nan", 3.0, 4.0]}
    svg = ET.fromstring(curves.loss_plot(curve))
    assert [node.get("class") for node in svg.iter("polyline")] == ["keras-line", "torch-line", "torch-line"]
    assert math.isnan(views.largest_gap(curve))
    constant = curves.loss_plot({"name": "penalty", "reference": [2.0, 2.0], "port": [2.0, 2.0]})
    assert "nan" not in constant
    assert curves.deviation_plot({"apart": [], "rounding": []}) == ""


def test_a_verdict_without_a_run_still_shows(html):
    only_data = trained(training=None, layers=[], coverage=Coverage(10, 10, {}, "checks"))
    files = render(report(only_data))
    assert "10 of 10 checks judged" in Page(files["index.html"]).text
    assert "nothing was trained" not in Page(files["index.html"]).text.lower()
    assert "Nothing was trained in this run." in Page(html).text


def test_what_was_asked_and_what_holds_is_in_every_file():
    many = Finding("batchnorm-momentum", "bn0", "bn0", "momentum is 0.9", "set momentum=0.01", "structure",
                   layers=["bn0", "bn1", "bn2"])  # fmt: skip
    checks = [Check("structure", "bn0", "momentum", "fail", training=True)]
    asked = verdict(
        "mine",
        rungs={"structure": RungResult("structure", "fail", "x", checks), "forward": RungResult("forward", "pass")},
        findings=[many], weights="own", not_asked=["penalty", "state"], notes=["d: rows are reordered"],
    )  # fmt: skip
    files = render(report(asked))
    page = Page(files["index.html"]).text
    for words in ("inference, not training", "the port's own", "penalty", "d: rows are reordered",
                  "at 3 layers: bn0, bn1, bn2", "推理，训练不忠实", "使用移植模型自己的权重", "共 3 层"):  # fmt: skip
        assert words in page, words
    assert "- Faithful for: inference, not training" in files["report.md"]
    assert "- 未检查的级: " in files["report.zh.md"] and "(共 3 层：bn0, bn1, bn2)" in files["report.zh.md"]
    (plain,) = json.loads(files["report.json"])["verdicts"]
    assert plain["faithful_for"] == "inference" and plain["findings"][0]["layers"] == ["bn0", "bn1", "bn2"]
    (suite,) = ET.fromstring(files["junit.xml"])
    found = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert found == {"scope": "training", "faithful_for": "inference", "weights": "own", "not_asked": "penalty, state",
                    "note": "d: rows are reordered"}  # fmt: skip
    assert "(3 layers: bn0, bn1, bn2)" in suite.findtext("testcase/failure")


def test_a_pair_whose_values_were_not_asked_is_not_called_faithful():
    rungs = {"shapes": RungResult("shapes", "pass")}
    files = render(report(verdict("mine", rungs=rungs, weights="copied", not_asked=["forward"])))
    assert "No difference found in what was asked" in files["report.md"]
    assert "open: values were not asked" in Page(files["index.html"]).text
    assert "✓ faithful" not in Page(files["index.html"]).text


def test_judged_and_not_judged_layers_of_all_pairs_add_up():
    pairs = [
        verdict(coverage=Coverage(986, 1033, {"a": "unknown"} | {str(n): "unknown" for n in range(46)})),
        trained(),
    ]
    files = render(report(*pairs))
    assert "Coverage: 986 of 1033 layers judged by value; the other 47 say why not." in files["report.md"]


def test_a_pair_without_layers_says_what_was_judged():
    files = render(report(verdict(coverage=Coverage(0, 0), layers=[], weights="copied")))
    assert "the network's output judged as a whole" in files["report.md"]
    assert "the network's output judged as a whole" in Page(files["index.html"]).text


def test_markdown_says_whose_weights_in_both_languages():
    from parity.report.markdown import verdict_section

    own = verdict(weights="own").to_dict()
    assert "(own weights; " in verdict_section(own) and "使用移植模型自己的权重" in verdict_section(own, "zh")
