// Tables: every version, every decision, and drift by feature.

/** A table in a region that scrolls by itself, and that a keyboard can scroll. */
function scrollable(label, table) {
  return h("div", { class: "scroller", role: "region", tabindex: 0, "aria-label": label }, table);
}

/** @param columns [heading, class]; rows come as lists of cells */
function tableOf(name, columns, rows) {
  const heads = columns.map(([heading, kind]) => h("th", { scope: "col", class: kind }, heading));
  return h("table", { class: name }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows));
}

function versionTable(model) {
  const columns = [
    ["Version, created", "key"], ["Trigger"], ["Rows", "number"], ["Lift", "number"], ["Lower bound", "number"],
    ["P(better)", "number"], ["Effective", "number"], ["Verdict"], ["Reason and message", "long"],
  ];
  const rows = model.versions.map((version) => {
    const { trigger } = version;
    return h("tr", { "data-version": version.name },
      h("th", { scope: "row", class: "key" }, version.name, h("small", {}, timeOf(version.createdAt))),
      h("td", { class: "trigger" }, h("b", {}, trigger.reason),
        h("span", { class: "message" }, [trigger.priority, trigger.message].filter(Boolean).join(": "))),
      h("td", { class: "number" }, count(version.trainingRows)),
      h("td", { class: "number", "data-value": version.lift }, signedShare(version.lift)),
      h("td", { class: "number", "data-value": version.lowerBound }, signedShare(version.lowerBound)),
      h("td", { class: "number", "data-value": version.probabilityBetter }, share(version.probabilityBetter)),
      h("td", { class: "number" }, count(version.effectiveOutcomes)),
      h("td", { class: "verdict" }, verdictOf(version),
        version.phase !== "Failed" && h("small", {}, version.phase)),
      h("td", { class: "long" }, version.reason && h("b", {}, version.reason),
        h("span", { class: "message" }, version.message || (version.reason ? "" : UNKNOWN))),
    );
  });
  return scrollable(`Versions of ${model.name}`, tableOf("versions", columns, rows));
}

function verdictOf(version) {
  if (version.decision) return [icon(version.decision.toLowerCase()), version.decision];
  return version.phase === "Failed" ? [icon("failed"), "failed"] : UNKNOWN;
}

/** Every decision of a run, with its filters. */
function decisionSection(run, id) {
  const triggers = new Map(run.models.flatMap((model) => model.versions.map((v) => [v.name, v.trigger.type])));
  const rows = run.decisions.map((decision) => decisionRow(decision, triggers));
  const none = h("tr", { class: "none", role: "row", hidden: rows.length > 0 },
    h("td", { colspan: 6, role: "cell" }, rows.length ? "No decision matches." : "Nothing was decided."));
  const columns = [["Time (UTC)"], ["Kind"], ["Model"], ["Version"], ["Reason"], ["Message", "long"]];
  const table = tableOf("decisions", columns, [...rows, none]);
  // on a phone rows are blocks, and would no longer be a table to a screen reader
  table.setAttribute("role", "table");
  const filters = filtersOf(run, rows, none);
  return h("section", { id, class: "decided" }, h("h3", {}, "Decisions"),
    rows.length > 0 && filters, scrollable(`Decisions of ${run.name}`, table));
}

function decisionRow(decision, triggers) {
  const sort = sortOf(decision, triggers);
  const cells = [
    ["time", timeOf(decision.at)],
    ["kind", sort && icon(sort), decision.kind],
    ["model", decision.model ?? h("i", {}, "the policy")],
    ["version", decision.version ?? ""],
    ["reason", h("b", {}, decision.reason), decision.warning && h("span", { class: "badge" }, "warning")],
    ["message long", decision.message],
  ];
  const row = h("tr", { class: decision.warning ? "warned" : null, role: "row" },
    cells.map(([name, ...content]) => h("td", { class: name, role: "cell" }, content)));
  Object.assign(row.dataset, { kind: decision.kind, model: decision.model ?? "", warning: decision.warning });
  const texts = [decision.at, decision.kind, decision.model, decision.version, decision.reason, decision.message];
  row.searched = texts.filter(Boolean).join("\n").toLowerCase();
  return row;
}

function filtersOf(run, rows, none) {
  const kinds = choice("Kind", "All kinds", [...new Set(run.decisions.map((decision) => decision.kind))].sort());
  const models = choice("Model", "All models", run.models.map((model) => model.name));
  const text = h("input", { type: "search", placeholder: "Search", "aria-label": "Search in decisions" });
  const warnings = h("input", { type: "checkbox" });
  const shownCount = h("output", {});
  const warned = run.decisions.filter((decision) => decision.warning).length;
  const form = h("form", { class: "filters", role: "search" }, kinds, models, text,
    h("label", {}, warnings, `warnings (${count(warned)})`), shownCount);
  const apply = () => {
    const wanted = text.value.trim().toLowerCase();
    let left = 0;
    for (const row of rows) {
      const keep = (!kinds.value || row.dataset.kind === kinds.value)
        && (!models.value || row.dataset.model === models.value)
        && (!warnings.checked || row.dataset.warning === "true")
        && (!wanted || row.searched.includes(wanted));
      row.hidden = !keep;
      left += keep;
    }
    none.hidden = left > 0;
    shownCount.textContent = left === rows.length ? `${count(left)} in all` : `${count(left)} of ${count(rows.length)}`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
  return form;
}

function choice(label, all, values) {
  const options = values.map((value) => h("option", { value }, value));
  return h("select", { "aria-label": label, autocomplete: "off" }, h("option", { value: "" }, all), options);
}

/** Drift by feature: how often, how far, and when; nothing where nobody looked. */
function driftSection(model, span) {
  const features = new Map();
  for (const look of model.drift) {
    if (!features.has(look.feature)) features.set(look.feature, []);
    features.get(look.feature).push(look);
  }
  const highest = Math.max(...model.drift.map((look) => look.psi));
  const rows = [...features].map(([feature, looks]) => {
    const most = looks.reduce((one, other) => (other.psi > one.psi ? other : one));
    return h("tr", { "data-feature": feature },
      h("th", { scope: "row", class: "key" }, feature),
      h("td", { class: "number" }, count(looks.length)),
      h("td", { class: "number" }, count(looks.filter((look) => look.drifted).length)),
      h("td", { class: "number" }, fixed(looks.at(-1).psi, 3)),
      h("td", { class: "number" }, fixed(most.psi, 3)),
      h("td", { class: "time" }, timeOf(most.at)),
      h("td", { class: "spark" }, spark(looks, span, highest)),
    );
  });
  const columns = [
    ["Feature", "key"], ["Looks", "number"], ["Drifted", "number"], ["Last PSI", "number"], ["Highest", "number"],
    ["at"], ["PSI over time; ticks below: drifted"],
  ];
  return h("section", {}, h("h4", {}, "Drift"), scrollable(`Drift of ${model.name}`, tableOf("drift", columns, rows)));
}

function spark(looks, span, highest) {
  const x = linear(span.from, span.until, 1, 299);
  const y = linear(0, highest || 1, 24, 2);
  const line = looks.map((look) => `${at(x(parse(look.at)))} ${at(y(look.psi))}`).join("L");
  const ticks = looks.filter((look) => look.drifted).map((look) => `M${at(x(parse(look.at)))} 27v5`).join("");
  const label = `PSI from ${day(parse(looks[0].at))} to ${day(parse(looks.at(-1).at))}`;
  return s("svg", { width: 300, height: 34, viewBox: "0 0 300 34", role: "img", "aria-label": label },
    s("path", { class: "rule", d: "M1 24.5H299" }), s("path", { class: "line with", d: `M${line}` }),
    s("path", { class: "drifted", d: ticks }));
}
