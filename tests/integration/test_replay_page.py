"""The page that a replay writes, in a real browser: its figures, its marks, and how it takes what it is given."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from tests.integration.browser import Watched, running_browser
from tests.integration.replay_reports import BEGIN, DAY, MODEL, bare_report, empty_report, full_report

from perennial.replay.page import PAGE_FILE, REPORT_FILE, write_page
from perennial.replay.report import Decision, ModelReport, Report

PHONE = {"width": 375, "height": 812}
NASTY = "</script><b>bold</b><!--<script> /*STYLE*/ &amp; \u2028"
COUNTS = {"retrains", "deploys", "canaries", "keeps", "failures", "promotions", "rollbacks"}
PERFORMANCE = {"winRate.value", "totalReward", "averageReward", "brier"}
BOUNDS = {"winRate.lower", "winRate.upper"}
Show = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for the module: while it runs, no event loop of another test could."""
    with running_browser() as browser:
        yield browser


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    """Opens the page of a report; in the end no page may have asked for anything, or complained."""
    opened: list[Watched] = []

    def open_page(report: Report, **options: Any) -> Page:
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        write_page(report, folder)
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        opened.append(Watched(context.new_page(), (folder / PAGE_FILE).as_uri()))
        return opened[-1].page

    yield open_page
    for watched in opened:
        watched.check()
        watched.page.context.close()


def _figures(page: Page) -> list[dict[str, str]]:
    found: list[dict[str, str]] = page.locator("[data-figure]").evaluate_all(
        "nodes => nodes.map(n => ({...n.dataset}))"
    )
    return found


def _looked_up(document: dict[str, Any], shown: dict[str, str]) -> Any:
    """What report.json says where a figure of the page points to."""
    if shown["run"] == "comparison":
        found: Any = next(m for m in document["comparison"]["models"] if m["model"] == shown["model"])
    else:
        run = next(r for r in document["runs"] if r["name"] == shown["run"])
        found = next(m for m in run["models"] if m["name"] == shown["model"])
    if shown["figure"] in COUNTS:
        return found["counts"][shown["figure"]]
    if shown["figure"].endswith("CpuSeconds"):
        return document["measured"][shown["figure"]].get(f"{shown['run']} {shown['model']}")
    for name in shown["figure"].split("."):
        found = (found or {}).get(name)
    return found


def _section(page: Page, model: str = MODEL) -> Locator:
    return page.locator(f'section[data-model="{model}"]').first


def _point_at(page: Page, mark: Locator) -> None:
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


@pytest.mark.parametrize(
    "report",
    [full_report(), full_report(names=("weekly", "monthly")), empty_report(), bare_report()],
    ids=["full", "two", "empty", "bare"],
)
def test_figures_are_those_of_the_report(show: Show, tmp_path: Path, report: Report) -> None:
    page = show(report)
    document = json.loads((tmp_path / "0" / REPORT_FILE).read_text())
    figures = _figures(page)
    for shown in figures:
        expected = _looked_up(document, shown)
        assert shown.get("value") is None if expected is None else float(shown["value"]) == expected, shown
    for run in report.runs:
        for model in run.models:
            named = {f["figure"] for f in figures if (f["run"], f["model"]) == (run.name, model.name)}
            sides = {"withRetraining", "withoutRetraining"}
            wanted = PERFORMANCE | (BOUNDS if model.with_retraining.win_rate else set())
            assert named >= COUNTS | {f"{side}.{name}" for side in sides for name in wanted} | {"difference.value"}
            assert named >= {"trainingCpuSeconds", "scoringCpuSeconds"}


def test_what_is_unknown_is_a_dash_and_what_is_none_a_zero(show: Show) -> None:
    page = show(full_report())
    known, unknown = _section(page), _section(page, "default/eth")
    expect(known.locator('[data-figure="withRetraining.winRate.value"]')).to_have_text("51.4%")
    expect(known.locator('[data-figure="difference.value"]')).to_have_text("−0.64")
    expect(known).to_contain_text("4861 effective of 14\u202f184 outcomes, differing in 592 blocks")
    expect(known).to_contain_text("worse with retraining: the upper bound is below 0")
    expect(unknown.locator('[data-figure="retrains"]')).to_have_text("0")
    for figure in ("withRetraining.winRate.value", "difference.value", "withoutRetraining.brier", "trainingCpuSeconds"):
        expect(unknown.locator(f'[data-figure="{figure}"]')).to_have_text("–")
    failed = known.locator('[data-version="btc-v5"] .number')
    assert failed.all_text_contents() == ["10\u202f005", "–", "–", "–", "729"]


def _expected_marks(model: ModelReport, decisions: list[Decision]) -> dict[str, int]:
    own = [decision for decision in decisions if decision.model == model.name]
    kinds = Counter(decision.kind for decision in own)
    failed = sum(decision.kind == "Training" and decision.warning for decision in own)
    return {
        "curve": len(model.curve),
        "stable": len(model.stable),
        "canary": len(model.canary),
        "triggers": kinds["Trigger"],
        "verdicts": kinds["Verdict"] + failed,
        "traffic": kinds["Canary"] + kinds["Traffic"] + kinds["Ended"] + model.counts.rollbacks,
    }


@pytest.mark.parametrize("report", [full_report(), full_report(110, span=timedelta(days=3652))], ids=["full", "long"])
def test_charts_have_a_mark_for_everything(show: Show, report: Report) -> None:
    page = show(report)
    run = report.runs[0]
    model = run.models[0]
    section = _section(page)
    expected = _expected_marks(model, run.decisions)
    assert all(expected.values())
    lanes = section.locator(".mark").evaluate_all("marks => marks.map(mark => mark.dataset.lane)")
    assert Counter(lanes) == expected
    sorts = Counter(section.locator(".event").evaluate_all("marks => marks.map(mark => mark.dataset.sort)"))
    counts = model.counts
    assert (sorts["deploy"], sorts["canary"], sorts["keep"]) == (counts.deploys, counts.canaries, counts.keeps)
    assert (sorts["failed"], sorts["rollback"]) == (counts.failures, counts.rollbacks) != (0, 0)
    labels = section.locator(".mark").evaluate_all("marks => marks.map(mark => mark.getAttribute('aria-label'))")
    assert all(labels)
    assert section.locator(".versions tbody tr").count() == len(model.versions)
    assert page.locator(".decisions tbody tr[data-kind]").count() == len(run.decisions)
    assert page.locator(".drift tbody tr").count() == len({look.feature for look in model.drift})


def test_marks_stand_where_their_time_is(show: Show) -> None:
    """A tick at each January, and leap years are a day longer."""
    page = show(full_report(110, span=timedelta(days=3652)))
    script = "ticks => ticks.map(tick => [tick.textContent, Number(tick.getAttribute('x'))])"
    ticks = dict(_section(page).locator(".time-tick").evaluate_all(script))
    assert list(ticks) == [str(year) for year in range(2019, 2029)]
    per_day = (ticks["2027"] - ticks["2019"]) / 2922
    assert ticks["2021"] - ticks["2020"] == pytest.approx(366 * per_day, abs=0.11)
    mark = _section(page).locator(".stable").nth(1)
    seconds = (full_report(110, span=timedelta(days=3652)).runs[0].models[0].stable[1].from_ - BEGIN).total_seconds()
    to_2019 = (BEGIN.replace(year=2019, month=1, day=1, hour=0, minute=0) - BEGIN).total_seconds()
    expected = ticks["2019"] + (seconds - to_2019) / 86400 * per_day
    assert float(mark.locator("rect").get_attribute("x") or "nan") == pytest.approx(expected, abs=0.3)


def test_hovering_a_mark_tells_of_it(show: Show) -> None:
    report = full_report()
    page = show(report)
    verdicts = [decision for decision in report.runs[0].decisions if decision.kind == "Verdict"]
    marks = _section(page).locator('.event[data-lane="verdicts"]:not([data-sort="failed"])')
    by_label = {decision.version: decision for decision in verdicts}
    for version in ("btc-v1", "btc-v3", "btc-v12"):
        decision = by_label[version]
        _point_at(page, marks.and_(page.locator(f'[aria-label*="{version},"]')))
        tip = page.get_by_role("tooltip")
        expect(tip.locator(".tip-reason")).to_have_text(decision.reason)
        expect(tip.locator(".tip-message")).to_have_text(decision.message)
        expect(tip.locator(".tip-version")).to_have_text(version)
        expect(tip.locator(".tip-head")).to_contain_text(f"{decision.at:%Y-%m-%d %H:%M}")
    page.mouse.move(2, 2)
    expect(page.locator("#tip")).to_be_hidden()


def test_marks_of_one_instant_are_told_together(show: Show) -> None:
    page = show(full_report())
    _point_at(page, _section(page).locator('.event[data-sort="rollback"]'))
    assert set(page.locator(".tip-reason").all_text_contents()) == {"Pinning", "RolledBack"}


def test_the_curve_tells_its_intervals(show: Show) -> None:
    report = full_report()
    page = show(report)
    point = report.runs[0].models[0].curve[3]
    _point_at(page, _section(page).locator(".point").nth(3))
    assert point.with_retraining is not None
    rate, without = page.locator(".tip-rate").all()
    expect(rate).to_contain_text(f"{point.with_retraining.value:.1%}")
    expect(rate).to_contain_text(f"{100 * point.with_retraining.lower:.1f}–{point.with_retraining.upper:.1%}")
    expect(without).to_contain_text("too few outcomes")


def test_a_keyboard_reaches_every_lane(show: Show) -> None:
    report = full_report()
    page = show(report)
    tip = page.locator("#tip")
    first = _section(page).locator(".mark[tabindex='0']")
    assert first.count() == 1
    page.locator("nav a").last.focus()
    for _ in range(10):
        if page.evaluate("document.activeElement.classList.contains('mark')"):
            break
        page.keyboard.press("Tab")
    expect(tip.locator(".tip-rate")).to_have_count(2)
    lanes = ["curve"]
    for _ in range(5):
        page.keyboard.press("ArrowDown")
        lanes.append(page.evaluate("document.activeElement.dataset.lane"))
        expect(tip).to_be_visible()
    assert lanes == ["curve", "stable", "canary", "triggers", "verdicts", "traffic"]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("End")
    last = [decision for decision in report.runs[0].decisions if decision.kind == "Verdict"][-1]
    expect(tip.locator(".tip-message")).to_have_text(last.message)
    page.keyboard.press("ArrowLeft")
    expect(tip.locator(".tip-reason")).to_have_text("OutOfMemory")
    expect(tip.locator(".badge")).to_have_text("warning")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_a_finger_reaches_marks_that_are_close(show: Show) -> None:
    report = full_report(110, span=timedelta(days=3652))
    page = show(report, viewport=PHONE, has_touch=True)
    mark = _section(page).locator('.event[data-sort="failed"]').nth(3)
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#tip .tip-reason").first).to_have_text("OutOfMemory")
    page.touchscreen.tap(4, 4)
    expect(page.locator("#tip")).to_be_hidden()


def test_decisions_are_filtered(show: Show) -> None:
    report = full_report()
    page = show(report)
    decisions = report.runs[0].decisions
    rows = page.locator(".decisions tbody tr[data-kind]").locator("visible=true")
    expect(page.get_by_text(f"{len(decisions)} in all")).to_be_visible()
    page.get_by_label("Kind", exact=True).select_option("Verdict")
    expect(rows).to_have_count(sum(decision.kind == "Verdict" for decision in decisions))
    page.get_by_label("Kind", exact=True).select_option("")
    page.get_by_label("Model", exact=True).select_option("default/eth")
    expect(page.get_by_text("No decision matches.")).to_be_visible()
    page.get_by_label("Model", exact=True).select_option("")
    page.get_by_label("warnings").check()
    warned = [decision for decision in decisions if decision.warning]
    expect(rows).to_have_count(len(warned))
    expect(rows.first).to_contain_text("warning")
    page.get_by_label("warnings").uncheck()
    page.get_by_label("Search in decisions").fill("ON 3 OF 2665")
    expect(rows).to_have_count(1)
    expect(rows.first.locator(".message")).to_have_text("lift +3.9% on 3 of 2665 holdout rows")


def test_two_runs_are_compared_on_top(show: Show) -> None:
    page = show(full_report(names=("weekly", "monthly")))
    expect(page.locator("main > section").first).to_have_attribute("id", "comparison")
    row = page.locator('#comparison [data-figure="difference.value"]')
    expect(row).to_contain_text("weekly is worse")
    expect(row).to_contain_text("4861 effective of 14\u202f184 outcomes, differing in 592 blocks")
    assert page.locator(".run").count() == 2


def test_an_interrupted_replay_says_so(show: Show) -> None:
    report = full_report().model_copy(update={"complete": False, "simulated_until": BEGIN + 300 * DAY})
    page = show(report)
    expect(page.get_by_role("status").first).to_contain_text("interrupted at 2018-11-28 05:30")
    expect(show(full_report()).locator(".banner")).to_have_count(0)


def test_nothing_is_shown_as_nothing(show: Show) -> None:
    gap = "default/book: spec.drift has no effect yet"
    page = show(empty_report(without_effect=[gap]))
    expect(page.get_by_role("note")).to_contain_text(gap)
    expect(page.get_by_text("Nothing happened to this model.")).to_be_visible()
    expect(page.get_by_text("Nothing was decided.")).to_be_visible()
    expect(show(bare_report()).locator("h1")).to_have_text("No run")


def test_text_is_never_markup(show: Show) -> None:
    report = full_report()
    run = report.runs[0]
    decisions = [decision.model_copy(update={"message": NASTY}) for decision in run.decisions]
    versions = [version.model_copy(update={"message": NASTY}) for version in run.models[0].versions]
    models = [run.models[0].model_copy(update={"versions": versions}), *run.models[1:]]
    run = run.model_copy(update={"name": NASTY, "decisions": decisions, "models": models})
    page = show(report.model_copy(update={"runs": [run], "assumptions": [NASTY], "without_effect": [NASTY]}))
    assert page.locator("h1").text_content() == NASTY
    assert set(page.locator("td.message").all_text_contents()) == {NASTY}
    assert set(page.locator(".versions .long .message").all_text_contents()) == {NASTY}
    _point_at(page, _section(page).locator('.event[data-sort="keep"]').first)
    assert page.locator(".tip-message").text_content() == NASTY
    assert page.get_by_text("bold", exact=True).count() == 0
    assert page.locator("script").count() == 2


@pytest.mark.parametrize(
    "report",
    [full_report(), full_report(names=("weekly" * 12, "monthly" * 12)), empty_report(), bare_report()],
    ids=["full", "two", "empty", "bare"],
)
def test_a_phone_scrolls_in_one_direction(show: Show, report: Report) -> None:
    page = show(report, viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size({"width": 1280, "height": 900})
    page.set_viewport_size(PHONE)
    widths = "svgs => Math.max(0, ...svgs.map(svg => svg.getBoundingClientRect().right))"
    page.wait_for_function(f"({widths})([...document.querySelectorAll('.timeline')]) <= {PHONE['width']}")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def _luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in colour[4:-1].split(",")]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_light_and_dark_are_legible(show: Show) -> None:
    page = show(full_report())
    backgrounds = []
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        backgrounds.append(background)
        for selector in ("h1", ".eyebrow", ".legend", ".badge", "nav a", "thead th"):
            colour = page.locator(selector).first.evaluate("node => getComputedStyle(node).color")
            low, high = sorted((_luminance(colour), _luminance(background)))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (scheme, selector)
    assert backgrounds[0] != backgrounds[1]


def test_paper_has_everything_but_what_needs_a_pointer(show: Show) -> None:
    page = show(full_report(), color_scheme="dark")
    opened = "document.querySelectorAll('details[open]').length"
    page.evaluate(f"window.addEventListener('beforeprint', () => {{ window.printed = {opened} }})")
    width = page.locator(".timeline").first.get_attribute("width")
    assert page.pdf().startswith(b"%PDF")
    assert page.locator(".timeline").first.get_attribute("width") == width
    assert page.evaluate("window.printed") == 1
    assert page.locator("details[open]").count() == 0
    page.emulate_media(media="print")
    expect(page.locator(".filters")).to_be_hidden()
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator(".timeline").first).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    cut = "nodes => nodes.filter(node => getComputedStyle(node).overflow !== 'visible').length"
    assert page.locator(".scroller").evaluate_all(cut) == 0


def test_nothing_jumps_while_it_loads(show: Show) -> None:
    page = show(full_report())
    shifts = page.evaluate(
        """() => new Promise(done => {
            let sum = 0;
            new PerformanceObserver(list => list.getEntries().forEach(entry => { sum += entry.value }))
              .observe({type: "layout-shift", buffered: true});
            requestAnimationFrame(() => requestAnimationFrame(() => done(sum)));
        })"""
    )
    assert shifts == 0
