// The page from top to bottom: what was replayed, how two runs compare, and each model of each run.

function header(report) {
  const { settings } = report;
  const [from, until] = [parse(settings.from), parse(settings.until)];
  const span = `${instant(from)} to ${instant(until)} UTC, ${length(until - from)}`;
  const samples = Object.entries(report.samples).map(([table, rows]) => `${count(rows)} (${table})`);
  const policies = [...new Set(report.runs.flatMap((run) => run.policies))];
  const facts = [
    ["Samples", samples.join(", ") || UNKNOWN],
    ["A training takes", settings.trainingDuration],
    ["Looks, at most every", settings.lookEvery],
    ["Cost of an action", String(settings.cost)],
    settings.speedUpTraining > 1 && ["Boosting rounds", `1/${settings.speedUpTraining} of the declared`],
    ["Policies", policies.join(", ") || UNKNOWN],
  ].filter(Boolean);
  return h("header", {},
    h("p", { class: "eyebrow" }, "Perennial replay"),
    h("h1", {}, report.runs.map((run) => run.name).join(" beside ") || "No run"),
    h("p", { class: "span" }, span),
    report.complete ? null : interruption(report),
    h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    report.withoutEffect.length > 0 && h("div", { class: "note", role: "note" },
      h("p", {}, h("b", {}, "Declared, but without effect yet")),
      h("ul", {}, report.withoutEffect.map((gap) => h("li", {}, gap)))),
    h("p", { class: "reading" },
      "Both bounds of a win rate's interval are one-sided, at 95% each; a difference has an interval at 95%, and of many ",
      "differences one in twenty shows itself where there is none. Effective outcomes are what overlapping outcomes are ",
      `worth as independent ones. Times are UTC; ${UNKNOWN} is unknown.`),
    h("details", { class: "assumptions" }, h("summary", {}, "What the replay assumes"),
      h("ul", {}, report.assumptions.map((text) => h("li", {}, text)))),
  );
}

function interruption(report) {
  const until = parse(report.simulatedUntil);
  return h("p", { class: "banner", role: "status" }, h("b", {}, `interrupted at ${instant(until)}`),
    ` of ${instant(parse(report.settings.until))}: what follows goes only so far, and `, h("code", {}, "--resume"), " goes on");
}

/** Where to go in a long page; nothing in a short one. */
function contents(report) {
  if (report.runs.every((run) => run.models.length < 2) && report.runs.length < 2) return null;
  const link = (id, name) => h("a", { href: `#${id}` }, name);
  return h("nav", { "aria-label": "On this page" }, report.runs.map((run, index) => h("p", {},
    report.runs.length > 1 && h("b", {}, link(`run-${index}`, run.name)),
    run.models.map((model, place) => link(`run-${index}-model-${place}`, model.name)),
    link(`run-${index}-decisions`, "decisions"))));
}

/** A figure of a model with its exact value; `figure` is its path in the model's report, or the name of a count. */
function exact(node, run, model, figure, value) {
  Object.assign(node.dataset, { run, model, figure });
  if (isKnown(value)) node.dataset.value = value;
  return node;
}

/** An interval of a difference on a common scale, 0 in the middle. */
function whisker(difference, widest) {
  if (!difference) return "";
  const x = linear(-widest, widest, 4, 156);
  const box = { class: "whisker", width: 160, height: 18, viewBox: "0 0 160 18", "aria-hidden": "true" };
  return s("svg", box,
    s("path", { class: "zero", d: "M80 0V18" }),
    s("path", { class: "reach", d: `M${at(x(difference.lower))} 9H${at(x(difference.upper))}` }),
    s("circle", { class: "dot", cx: at(x(difference.value)), cy: 9, r: 4 }));
}

const worseBetter = () => h("span", { class: "worse-better" }, h("span", {}, "worse"), h("span", {}, "better"));

function widestOf(differences) {
  const known = differences.filter(isKnown).flatMap(({ lower, upper }) => [Math.abs(lower), Math.abs(upper)]);
  return Math.max(0.001, ...known);
}

function rateCell(performance) {
  const rate = performance.winRate;
  return h("td", { class: "number" }, h("b", {}, shown(rate, ({ value }) => share(value))),
    rate && h("small", {}, bounds(rate)));
}

function differenceCell(difference) {
  return h("td", { class: "number" }, h("b", {}, shown(difference, ({ value }) => points(value))),
    difference && h("small", {}, pointBounds(difference)));
}

/** The answer in a row for each model. */
function overview(run, measured) {
  const widest = widestOf(run.models.map((model) => model.difference));
  const columns = [
    ["Model", "key"], ["With retraining", "number"], ["Without", "number"], ["Difference, points", "number"], [worseBetter()],
    ["Evidence"], ["Retrains", "number"], ["Promotions", "number"], ["Rollbacks", "number"], ["CPU *", "number"],
  ];
  const rows = run.models.map((model) => h("tr", {},
    h("th", { scope: "row", class: "key" }, model.name, h("small", {}, model.algorithm)),
    rateCell(model.withRetraining), rateCell(model.withoutRetraining), differenceCell(model.difference),
    h("td", {}, whisker(model.difference, widest)),
    h("td", { class: "evidence" }, conclusion(model.difference, "better with retraining", "worse with retraining") || UNKNOWN),
    h("td", { class: "number" }, count(model.counts.retrains)),
    h("td", { class: "number" }, count(model.counts.promotions)),
    h("td", { class: "number" }, count(model.counts.rollbacks)),
    h("td", { class: "number" }, seconds(measured.trainingCpuSeconds[`${run.name} ${model.name}`])),
  ));
  return scrollable(`Models of ${run.name}`, tableOf("overview", columns, rows));
}

function comparisonSection(report) {
  const { first, second, models } = report.comparison;
  const widest = widestOf(models.map((model) => model.difference));
  const cpu = (run, model) => seconds(report.measured.trainingCpuSeconds[`${run} ${model}`]);
  const columns = [
    ["Model", "key"], [first, "number"], [second, "number"], [`${first} − ${second}, points`, "number"], [worseBetter()],
    ["Evidence"], ["Rests on"], [`Reward, ${first}`, "number"], [`Reward, ${second}`, "number"],
    [`CPU *, ${first}`, "number"], [`CPU *, ${second}`, "number"],
  ];
  const rows = models.map((model) => exact(h("tr", {},
    h("th", { scope: "row", class: "key" }, model.model),
    rateCell(model.first), rateCell(model.second), differenceCell(model.difference),
    h("td", {}, whisker(model.difference, widest)),
    h("td", { class: "evidence" }, conclusion(model.difference, `${first} is better`, `${first} is worse`) || UNKNOWN),
    h("td", { class: "trials" }, trials(model.difference)),
    h("td", { class: "number" }, reward(model.first.totalReward)),
    h("td", { class: "number" }, reward(model.second.totalReward)),
    h("td", { class: "number" }, cpu(first, model.model)),
    h("td", { class: "number" }, cpu(second, model.model)),
  ), "comparison", model.model, "difference.value", model.difference?.value));
  return h("section", { id: "comparison" }, h("h2", {}, `${first} beside ${second}`),
    models.length ? scrollable("Comparison", tableOf("overview", columns, rows))
      : h("p", { class: "empty" }, "No model answered in both runs."));
}

function runSection(report, run, index, span) {
  const id = `run-${index}`;
  return h("section", { class: "run", id },
    report.runs.length > 1 ? h("h2", {}, run.name, h("small", {}, run.policies.join(", ")))
      : h("h2", {}, "With and without retraining"),
    run.models.length ? overview(run, report.measured) : h("p", { class: "empty" }, "No model was replayed."),
    run.models.map((model, place) => modelSection(report, run, model, `${id}-model-${place}`, span)),
    decisionSection(run, `${id}-decisions`),
  );
}

function modelSection(report, run, model, id, span) {
  const last = model.stable.at(-1);
  const state = last ? `${last.version} since ${day(parse(last.from))}` : "no version came to serve";
  const marks = marksOf(model, run.decisions);
  return h("section", { class: "modelled", id, "data-model": model.name },
    h("h3", {}, model.name, h("small", {}, `${model.algorithm}, ${state}`)),
    rateTiles(run, model),
    countTiles(report, run, model),
    marks.length ? chartFigure(model, marks, span) : h("p", { class: "empty" }, "Nothing happened to this model."),
    model.drift.length > 0 && driftSection(model, span),
    model.versions.length > 0 && [h("h4", {}, plural(model.versions.length, "version")), versionTable(model)],
  );
}
