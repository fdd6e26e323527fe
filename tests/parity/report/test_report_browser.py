"""The page in a real browser: Chromium, driven by Playwright, from a file and without a network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from parity.report import write
from tests.parity.report.samples import report, verdict

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
LONG = "specgan.generator:upsample=linear,init=normal,use_batchnorm=true"
DESKTOP = {"width": 1280, "height": 900}
OPTIONS = ("use_batchnorm=True", "kernel_len=3", "upsample=cubic", "padding=symmetric,kernel_len=5")


AGAINST = {
    "a": "upsample_dcgan",
    "b": "dcgan",
    "parts": [
        {
            "id": part,
            "rows": [
                {
                    "component": {"en": "Kernel size", "zh": "卷积核尺寸"},
                    "a": {"en": "3×3", "zh": "3×3"},
                    "b": {"en": "4×4 → " * 20, "zh": "4×4 → " * 20},
                    "same": False,
                },
                {
                    "component": {"en": "Dropout", "zh": "随机丢弃"},
                    "a": {"en": "none", "zh": "无"},
                    "b": {"en": "none", "zh": "无"},
                    "same": True,
                },
            ],
        }
        for part in ("generator", "discriminator", "training")
    ],
}


def chromium() -> str:
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("the page is checked in Chromium, which is not installed: apt-get install chromium")
    return program


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    pairs = [verdict(), verdict("specgan.discriminator"), verdict("dcgan.generator", broken=True)]
    pairs += [verdict(f"specgan.generator:{option}") for option in OPTIONS]
    pairs.append(verdict(LONG, broken=True))
    folder = tmp_path_factory.mktemp("browser") / "report"
    return write(report(*pairs) | {"against": AGAINST}, folder)[0].as_uri()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Opens the page; afterwards, nothing may have been logged and nothing but the page itself asked for."""
    contexts: list[BrowserContext] = []
    troubles: list[str] = []
    requests: list[str] = []

    def opened(fragment: str = "", **settings: object) -> Page:
        context = browser.new_context(**{"viewport": DESKTOP, **settings})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address + fragment)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []
    outside = [url for url in requests if not url.startswith("data:") and url.split("#")[0] != address]
    assert outside == []


def names(page: Page, table: str) -> list[str]:
    return page.locator(f"{table} tbody tr:visible > :first-child").all_inner_texts()


def test_language_switch_changes_everything_and_is_remembered_in_the_address(visit):
    page = visit()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Not every port is faithful")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("并非所有移植都忠实")
    assert "Summary" not in page.locator("nav").inner_text()
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert page.title() == "一致性报告"
    assert page.locator("#matrix").locator("xpath=preceding::input[1]").get_attribute("placeholder") == "筛选…"
    assert page.url.endswith("#zh")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_contain_text("并非所有移植都忠实")
    page.get_by_role("link", name="声明逐条实测").click()
    assert page.url.endswith("#zh/claims")
    page.get_by_role("button", name="EN").click()
    assert page.url.endswith("#claims")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Not every port is faithful")


def test_no_word_of_the_page_is_left_in_the_other_language(visit):
    chinese = visit("#zh").locator("thead, h2, h4, .filters, .key").all_inner_texts()
    for word in ("Layer", "Verdict", "Padding", "Checks", "Summary", "Findings", "shown", "limit"):
        assert word not in " ".join(chinese), word
    english = visit().locator("main").inner_text()
    assert not any("\u4e00" <= letter <= "\u9fff" for letter in english)


def test_tables_sort_up_down_and_back(visit):
    page = visit()
    table = "#pair-dcgan-generator-lines"
    heading = page.locator(f"{table} th", has_text="float64 error")
    original = names(page, table)
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    values = [float(text) for text in page.locator(f"{table} tbody td:nth-child(6)").all_inner_texts()]
    assert values == sorted(values)
    heading.get_by_role("button").click()
    values = [float(text) for text in page.locator(f"{table} tbody td:nth-child(6)").all_inner_texts()]
    assert values == sorted(values, reverse=True) and values[0] == 0.82
    page.locator(f"{table} th", has_text="Keras").get_by_role("button").click()
    assert heading.get_attribute("aria-sort") is None
    for _ in range(2):
        page.locator(f"{table} th", has_text="Keras").get_by_role("button").click()
    assert names(page, table) == original


def test_sorting_works_from_the_keyboard(visit):
    page = visit()
    button = page.locator("#matrix th").first.get_by_role("button")
    button.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    assert names(page, "#matrix")[0] == LONG


def test_filters_by_text_and_by_verdict(visit):
    page = visit()
    filters = page.locator('.filters[data-table="pair-dcgan-generator-lines"]')
    filters.get_by_role("combobox").select_option("fail")
    assert len(names(page, "#pair-dcgan-generator-lines")) == 6
    expect(filters.locator("output")).to_have_text("6 of 11 shown")
    filters.get_by_role("searchbox").fill("UPCONV_3")
    assert len(names(page, "#pair-dcgan-generator-lines")) == 2
    page.get_by_role("button", name="中文").click()
    expect(filters.locator("output")).to_have_text("显示 2 / 11")


def test_the_matrix_and_the_claims_filter_too(visit):
    page = visit()
    matrix = page.locator('.filters[data-table="matrix"]')
    matrix.get_by_role("combobox").select_option("fail")
    assert names(page, "#matrix") == ["dcgan.generator", LONG]
    claims = page.locator('.filters[data-table="claims-000-table"]')
    claims.get_by_role("combobox").select_option("false")
    assert names(page, "#claims-000-table") == ["padding=2, output_padding=1 equals SAME."]


def test_two_presets_stand_side_by_side(visit):
    page = visit("#against")
    expect(page.get_by_role("heading", name="Two presets compared")).to_be_visible()
    rows = [row.split("\t") for row in page.locator("#against-training tbody tr").all_inner_texts()]
    assert [row[-1] for row in rows] == ["differs", "equal"]
    page.get_by_role("button", name="中文").click()
    expect(page.locator("#against h2")).to_have_text("两个预设的对比", use_inner_text=True)
    assert page.locator("#against-generator tbody th").all_inner_texts() == ["卷积核尺寸", "随机丢弃"]


def test_a_pair_of_the_matrix_opens_its_section(visit):
    page = visit()
    section = page.locator("#pair-specgan-generator-upsample-cubic")
    assert section.get_attribute("open") is None
    page.locator("#matrix").get_by_role("link", name="upsample=cubic").click()
    assert section.get_attribute("open") is not None
    expect(section.locator("h3")).to_be_in_viewport()
    assert visit("#zh/pair-specgan-generator-kernel-len-3").locator(
        "#pair-specgan-generator-kernel-len-3"
    ).get_attribute("open") is not None  # fmt: skip


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_navigation_jumps_to_a_section_of_a_long_page_at_once(visit, motion):
    page = visit(reduced_motion=motion)
    assert page.evaluate("document.documentElement.scrollHeight") > 10 * DESKTOP["height"]
    for section in ("claims", "summary", "reproduce", "networks"):
        frames = page.evaluate(FRAMES, section)
        assert len(set(frames)) == 2, (section, frames)  # where it was and where it is now
        expect(page.locator(f"#{section} h2").first).to_be_in_viewport()


def test_the_fix_and_the_command_can_be_copied(visit):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    page.locator("#pair-dcgan-generator .copy").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == "Use padding=1 and drop the last row and column."
    expect(page.locator("#pair-dcgan-generator .copy").first).to_have_text("Copied", use_inner_text=True)
    page.locator("#reproduce .copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == "parity report --out report --seed 0"


@pytest.mark.parametrize("fragment", ["", "#zh"])
def test_a_phone_scrolls_tables_not_the_page(visit, fragment):
    page = visit(fragment, viewport=PHONE, has_touch=True, is_mobile=True)
    page.evaluate("document.querySelectorAll('details').forEach((element) => (element.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.evaluate("document.querySelector('#matrix').scrollWidth") > PHONE["width"]
    page.locator("nav a").last.click()
    expect(page.locator("#reproduce h2")).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(visit, scheme):
    page = visit(color_scheme=scheme)
    ratios = page.evaluate(CONTRASTS)
    assert len(ratios) > 20
    assert [entry for entry in ratios if entry[1] < 4.5] == []


def test_the_page_prints_without_its_controls(visit):
    page = visit()
    page.emulate_media(media="print")
    assert not page.locator(".bar").is_visible() and not page.locator(".filters").first.is_visible()
    assert page.locator("#matrix").is_visible()
    assert page.pdf()[:5] == b"%PDF-"


def test_the_page_reads_without_scripts(visit):
    page = visit(java_script_enabled=False)
    assert page.locator("h1").is_visible() and "并非" not in page.locator("main").inner_text()
    assert page.locator("#pair-dcgan-generator-lines").is_visible()


def test_a_missing_browser_fails_with_the_way_to_install_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        chromium()


# Clicks on a section's entry in the navigation; where the page is scrolled to in each frame until the section's heading
# is in view. A smooth scroll passes through many places, a jump through none.
FRAMES = """(section) => new Promise((resolve) => {
  const heading = document.querySelector(`#${section} h2`);
  const frames = [scrollY];
  const look = () => {
    frames.push(scrollY);
    const place = heading.getBoundingClientRect();
    const arrived = place.top >= 0 && place.bottom <= innerHeight;
    if (arrived || frames.length > 600) resolve(frames);
    else requestAnimationFrame(look);
  };
  document.querySelector(`nav a[href="#${section}"]`).click();
  requestAnimationFrame(look);
})"""

# Contrast of every kind of text against what is painted behind it (WCAG 2: 4.5 for body text).
CONTRASTS = """() => {
  const sheet = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const canvas = sheet.getContext("2d", { willReadFrequently: true });
  const over = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const seen = new Map();
  for (const element of document.querySelectorAll("main *, header *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest("svg, option")) continue;
    const behind = [];
    for (let at = element; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
    const colour = getComputedStyle(element).color;
    const [a, b] = [over([...behind, colour]), over(behind)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const key = colour + "|" + behind.filter((c) => c !== "rgba(0, 0, 0, 0)").join();
    if (!seen.has(key)) seen.set(key, [element.className + " " + element.textContent.trim().slice(0, 30), ratio]);
  }
  return [...seen.values()];
}"""
