"""The reports in a real browser: no errors, accessible, readable in light and dark and on a narrow screen."""

import os
import shutil
from pathlib import Path

import pytest

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
