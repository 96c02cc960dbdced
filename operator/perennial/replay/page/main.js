// Tiles and charts of a model, and the page as a whole.

function rateTiles(run, model) {
  const figure = (name, path, text) => {
    const value = path.split(".").reduce((found, key) => found?.[key], model);
    return exact(h(name, {}, text(value)), run.name, model.name, path, value);
  };
  const side = (kind, label, field) => h("div", { class: "tile" },
    h("p", { class: "label" }, h("span", { class: `swatch ${kind}` }), label),
    h("p", { class: "figure" }, figure("b", `${field}.winRate.value`, share),
      model[field].winRate && h("span", {}, "from ", figure("span", `${field}.winRate.lower`, share),
        " to ", figure("span", `${field}.winRate.upper`, share))),
    model[field].winRate && h("p", { class: "rests" }, trials(model[field].winRate)),
    h("dl", {},
      h("div", {}, h("dt", {}, "Total reward"), figure("dd", `${field}.totalReward`, reward)),
      h("div", {}, h("dt", {}, "Average reward"), figure("dd", `${field}.averageReward`, reward)),
      h("div", {}, h("dt", {}, "Brier score"), figure("dd", `${field}.brier`, (value) => fixed(value, 4)))));
  const { difference } = model;
  return h("div", { class: "tiles" },
    side("with", "With retraining", "withRetraining"),
    side("without", "Without", "withoutRetraining"),
    h("div", { class: "tile" },
      h("p", { class: "label" }, "Difference of win rates"),
      h("p", { class: "figure" }, figure("b", "difference.value", points),
        difference ? h("span", {}, "points, from ", figure("span", "difference.lower", points),
          " to ", figure("span", "difference.upper", points)) : null),
      difference && h("p", { class: "rests" }, trials(difference)),
      difference && h("p", { class: "conclusion" }, conclusion(difference,
        "better with retraining: the lower bound is above 0", "worse with retraining: the upper bound is below 0"))));
}

const COUNTS = ["retrains", "deploys", "canaries", "keeps", "failures", "promotions", "rollbacks"];

function countTiles(report, run, model) {
  const tile = (label, figure, value, text) => h("div", {},
    h("dt", {}, label), exact(h("dd", {}, text(value)), run.name, model.name, figure, value));
  const cpu = (table) => report.measured[table][`${run.name} ${model.name}`];
  return h("dl", { class: "counts" },
    COUNTS.map((name) => tile(name, name, model.counts[name], count)),
    tile("training CPU *", "trainingCpuSeconds", cpu("trainingCpuSeconds"), seconds),
    tile("scoring CPU *", "scoringCpuSeconds", cpu("scoringCpuSeconds"), seconds));
}

/** Lane by lane from top to bottom, and by time in each. */
function marksOf(model, decisions) {
  const events = eventMarks(model, decisions);
  return [
    ...pointMarks(model), ...stretchMarks("stable", model.stable), ...stretchMarks("canary", model.canary),
    ...Object.keys(LANES).flatMap((lane) => events.filter((mark) => mark.lane === lane)),
  ];
}

const charts = [];

function chartFigure(model, marks, span) {
  const stage = h("div", { class: "stage" });
  const figure = h("figure", {},
    h("figcaption", {}, h("b", {}, `Win rate over the last ${model.window}`),
      model.curve.length
        ? [h("span", {}, h("span", { class: "swatch with" }), "with retraining"),
          h("span", {}, h("span", { class: "swatch without" }), "without: the first version, left alone")]
        : h("span", {}, "unknown: too few outcomes"),
      h("span", { class: "keys" }, "← → along a lane, ↑ ↓ to the next one")),
    stage,
    legend(marks));
  let drawn = 0;
  const draw = (width) => {
    if (!width || width === drawn) return;
    hide();
    drawn = width;
    const { svg, x } = drawTimeline(model, marks, span, width);
    listen(svg, marks, x);
    stage.replaceChildren(svg);
  };
  charts.push({ stage, draw });
  return figure;
}

/** The shapes that occur, by lane. */
function legend(marks) {
  const occurs = new Set(marks.map((mark) => mark.sort));
  const lanes = Object.entries(LANES).map(([lane, caption]) => {
    const sorts = Object.keys(SORTS).filter((sort) => SORTS[sort].lane === lane && occurs.has(sort));
    return sorts.length && h("span", {}, h("b", {}, caption), sorts.map((sort) => h("span", {}, icon(sort), SORTS[sort].name)));
  });
  return h("p", { class: "legend" }, lanes.filter(Boolean));
}

const PRINTED = 680; // pixels, about what a sheet of A4 is wide between its margins

function followWidths() {
  const fit = () => {
    const widths = charts.map(({ stage }) => Math.floor(stage.clientWidth)); // all first: each read lays the page out
    charts.forEach(({ draw }, index) => draw(widths[index]));
  };
  fit();
  new ResizeObserver(fit).observe(document.getElementById("page"));
  let closed = [];
  window.addEventListener("beforeprint", () => {
    charts.forEach(({ draw }) => draw(PRINTED));
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((details) => { details.open = true; });
  });
  window.addEventListener("afterprint", () => {
    closed.forEach((details) => { details.open = false; });
    fit();
  });
}

function footer(report) {
  const { wallSeconds, peakMemoryMib } = report.measured;
  return h("footer", {}, h("p", {},
    "* Measured on the machine that replayed, and different from run to run: CPU seconds, ",
    `${seconds(wallSeconds)} in all, at most ${count(peakMemoryMib)} MiB of memory. `,
    "Everything else is the same for the same inputs; report.json beside this page has every figure."));
}

function main() {
  const report = JSON.parse(document.getElementById("report").textContent);
  const span = { from: parse(report.settings.from), until: parse(report.simulatedUntil) };
  const names = report.runs.map((run) => run.name).join(" beside ");
  document.title = `Replay: ${names || "no run"}, ${day(span.from)} to ${day(parse(report.settings.until))}`;
  document.getElementById("page").replaceChildren(...[
    header(report),
    contents(report),
    report.comparison && comparisonSection(report),
    ...report.runs.map((run, index) => runSection(report, run, index, span)),
    footer(report),
  ].filter(Boolean));
  followWidths();
}

main();
