"""The reports in a real browser: no errors, accessible, readable in light and dark and on a narrow screen."""

import io
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

import frcnn
from tests.support.planted_faults import clean_set, plant_bad_labels, plant_leak, plant_missing_class
from tests.support.report_page import write_page

pytestmark = pytest.mark.browser

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is in the extra dev")
AXE = Path(
    os.environ.get("FRCNN_AXE")
    or Path.home() / ".cache/frcnn/npm/node_modules/axe-core/axe.min.js"
)  # fmt: skip
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("no chromium and chromedriver; scripts/install_browser.sh installs them")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """An evaluation, and the report of a data set with faults of several kinds."""
    folder = tmp_path_factory.mktemp("pages")
    write_page(folder / "evaluation.html", compared=True)
    root = clean_set(folder / "set")
    for plant in (plant_leak, plant_missing_class, plant_bad_labels):
        plant(root)
    report = frcnn.data_report(root, folder / "data")
    return {"evaluation": folder / "evaluation.html", "data": report.page}


@pytest.fixture(params=[(name, scheme) for name in ("evaluation", "data") for scheme in ("light", "dark")])
def page(request, browser, pages):
    name, scheme = request.param
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.set_window_size(1200, 900)
    browser.get(pages[name].as_uri())
    return browser


def test_the_console_stays_empty(page):
    assert page.get_log("browser") == []


def test_axe_finds_nothing_wrong(page):
    if not AXE.is_file():
        pytest.skip(f"no axe-core at {AXE}; scripts/install_browser.sh installs it")
    page.execute_script(AXE.read_text("utf-8"))
    page.set_script_timeout(60)
    result = page.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    assert len(result["passes"]) > 15
    assert [(each["id"], each["impact"], len(each["nodes"])) for each in result["violations"]] == []


def test_the_first_tab_stop_leads_past_the_header(page):
    from selenium.webdriver.common.keys import Keys

    page.find_element("tag name", "body").send_keys(Keys.TAB)
    focused = page.switch_to.active_element
    assert focused.text == "Skip to the results"
    assert focused.rect["x"] >= 0  # it shows once it has the focus


def test_every_picture_is_there(page):
    broken = "return [...document.images].filter(each => !each.complete || !each.naturalWidth).length"
    assert page.execute_script("return document.images.length") > 0
    assert page.execute_script(broken) == 0


def test_tables_fit_at_1280_px(page):
    page.set_window_size(1280, 900)
    wide = "return [...document.querySelectorAll('.scroll')].map(each => each.scrollWidth - each.clientWidth)"
    assert set(page.execute_script(wide)) == {0}


def test_no_number_or_column_name_is_broken_into_lines_at_1280_px(page):
    page.set_window_size(1280, 900)
    high = "[...document.querySelectorAll('td, thead th')].map(each => each.clientHeight)"
    assert page.execute_script(f"return Math.max(...{high})") < 60


@pytest.fixture
def screen(browser, pages):
    """Opens the page of the evaluation at a width, px."""

    def open_at(width):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(pages["evaluation"].as_uri())
        return browser

    yield open_at
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


WIDTHS = (400, 800, 1100, 1280, 1600)


@pytest.mark.parametrize("width", WIDTHS)
def test_rows_of_cards_and_of_examples_are_full_and_end_at_the_same_edge(screen, width):
    places = "[...document.querySelectorAll('{}')].map(each => each.getBoundingClientRect())"
    page = screen(width)
    edges = set()
    for what in (".cards > div", ".gallery.large img"):
        found = page.execute_script(f"return {places.format(what)}.map(each => [each.top, each.right])")
        rows = [[right for top, right in found if top == each] for each in sorted({top for top, _ in found})]
        assert len({len(row) for row in rows}) == 1
        edges |= {round(row[-1]) for row in rows}
    assert len(edges) == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_that_goes_on_beyond_the_edge_has_a_shadow_there_until_its_end(screen, width):
    page = screen(width)
    page.execute_script("document.querySelector('.scroll').scrollIntoView()")
    hidden = page.execute_script(
        "const e = document.querySelector('.scroll'); return e.scrollWidth - e.clientWidth"
    )
    assert (hidden > 0) == (width < 1100)
    assert _shadow(page) == (hidden > 0)
    page.execute_script("document.querySelector('.scroll').scrollLeft = 10000")
    assert not _shadow(page)


def _shadow(page):
    """Whether the blank strip above the first line of letters is darker at the right edge than left of it."""
    place = page.execute_script(
        "const r = document.querySelector('.scroll').getBoundingClientRect(); return [r.right, r.top]"
    )
    right, top = (round(each) for each in place)
    with Image.open(io.BytesIO(page.get_screenshot_as_png())) as picture:
        pixels = picture.convert("L")
    return pixels.getpixel((right - 2, top + 2)) != pixels.getpixel((right - 60, top + 2))


def test_the_names_of_classes_stay_when_the_table_is_scrolled(screen):
    page = screen(400)
    left = "return document.querySelector('.scroll tbody th').getBoundingClientRect().left"
    before = page.execute_script(left)
    page.execute_script("document.querySelector('.scroll').scrollLeft = 200")
    assert page.execute_script(left) == before


def test_captions_of_tables_fit_on_a_phone(page):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True},
    )
    right = "[...document.querySelectorAll('p, h2, figcaption')].map(e => e.getBoundingClientRect().right)"
    try:
        assert page.execute_script(f"return Math.max(...{right})") <= 390
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_narrow_screen_scrolls_tables_and_not_the_page(page):
    page.set_window_size(500, 900)
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.execute_script(wide) == 0


def test_light_and_dark_differ(browser, tmp_path):
    write_page(tmp_path / "report.html")
    colors = set()
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        browser.get((tmp_path / "report.html").as_uri())
        colors.add(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert colors == {"rgb(255, 255, 255)", "rgb(13, 17, 23)"}
