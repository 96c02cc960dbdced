// What there is to see in the timeline of a model: marks in lanes, and what each of them tells.

/** Shapes around 0,0; those in OPEN are strokes without an inside. Shape and colour always say the same thing. */
const GLYPHS = {
  bar: "M0-5V5",
  down: "M-4.5-4H4.5L0 4.5Z",
  "down-hollow": "M-4.5-4H4.5L0 4.5Z",
  up: "M-5 4 0-5 5 4Z",
  diamond: "M0-5.5 5 0 0 5.5-5 0Z",
  ring: "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0Z",
  cross: "M-4-4 4 4M4-4-4 4",
  square: "M-4-4H4V4H-4Z",
  chevron: "M-4.5 2.5 0-3 4.5 2.5",
  stop: "M-4-4H4V4H-4ZM-4-4 4 4",
  back: "M4.5-5V5L-5 0Z",
  dot: "M-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0Z",
};
const OPEN = new Set(["bar", "cross", "chevron"]);

/** Every sort of mark: its lane, shape, and what the legend calls it. What comes later is drawn above. */
const SORTS = {
  scheduled: { lane: "triggers", glyph: "bar", name: "schedule, new samples" },
  wanted: { lane: "triggers", glyph: "down-hollow", name: "no version, by hand" },
  evidence: { lane: "triggers", glyph: "down", name: "health, trend, drift, regime" },
  keep: { lane: "verdicts", glyph: "ring", name: "Keep" },
  canary: { lane: "verdicts", glyph: "diamond", name: "Canary" },
  deploy: { lane: "verdicts", glyph: "up", name: "Deploy" },
  failed: { lane: "verdicts", glyph: "cross", name: "failed" },
  moving: { lane: "traffic", glyph: "dot", name: "pods made ready" },
  step: { lane: "traffic", glyph: "chevron", name: "canary starts or climbs" },
  ended: { lane: "traffic", glyph: "stop", name: "ended" },
  promoted: { lane: "traffic", glyph: "square", name: "promoted" },
  rollback: { lane: "traffic", glyph: "back", name: "rolled back" },
};
const LANES = { triggers: "Triggers", verdicts: "Verdicts", traffic: "Traffic" };
const TRIGGER_SORTS = { Missing: "wanted", Manual: "wanted", Schedule: "scheduled", NewSamples: "scheduled" };
const VERDICT_SORTS = { VerdictDeploy: "deploy", VerdictCanary: "canary", VerdictKeep: "keep" };
const KIND_SORTS = { Canary: "step", Traffic: "moving", Ended: "ended" };

/** The sort of a decision's mark; undefined for what stands in the table alone: plans, and trainings that start. */
function sortOf(decision, triggers) {
  if (decision.kind === "Trigger") return TRIGGER_SORTS[triggers.get(decision.version)] ?? "evidence";
  if (decision.kind === "Verdict") return VERDICT_SORTS[decision.reason];
  if (decision.kind === "Training") return decision.warning ? "failed" : undefined;
  return decision.reason === "Promoted" ? "promoted" : KIND_SORTS[decision.kind];
}

/** A glyph as a drawing of its own, for legends and tables. */
function icon(sort) {
  return s("svg", { class: "icon", viewBox: "-7 -7 14 14", "aria-hidden": "true" }, glyph(sort));
}

function glyph(sort) {
  const shape = SORTS[sort].glyph;
  return s("path", { class: `glyph ${sort}${OPEN.has(shape) ? " open" : ""}`, d: GLYPHS[shape] });
}

/** Marks of decisions and of rollbacks, in the order of time: {lane, at, until, sort, entries}. */
function eventMarks(model, decisions) {
  const triggers = new Map(model.versions.map((version) => [version.name, version.trigger.type]));
  const marks = [];
  for (const decision of decisions) {
    const sort = decision.model === model.name ? sortOf(decision, triggers) : undefined;
    if (sort) marks.push(markOf(sort, parse(decision.at), decisionEntry(decision)));
  }
  marks.push(...rollbacks(model));
  marks.sort((one, other) => one.at - other.at);
  return marks;
}

function markOf(sort, at, entry) {
  return { lane: SORTS[sort].lane, at, until: at, sort, entries: [entry] };
}

function decisionEntry(decision) {
  return {
    when: instant(parse(decision.at)),
    kind: decision.kind,
    version: decision.version,
    reason: decision.reason,
    message: decision.message,
    warning: decision.warning,
  };
}

/** An older version that serves again: the report has it in the stretches alone. */
function rollbacks(model) {
  const found = [];
  model.stable.forEach((stretch, index) => {
    const before = model.stable[index - 1];
    if (!before || revision(stretch.version, model.name) >= revision(before.version, model.name)) return;
    found.push(
      markOf("rollback", parse(stretch.from), {
        when: instant(parse(stretch.from)),
        kind: "Rollback",
        version: stretch.version,
        reason: "RolledBack",
        message: `${stretch.version} serves again, after ${before.version}`,
      }),
    );
  });
  return found;
}

/** Marks of the versions that served, as stable or as a canary. */
function stretchMarks(lane, stretches) {
  const kind = lane === "stable" ? "Stable" : "Canary";
  return stretches.map((stretch) => {
    const [at, until] = [parse(stretch.from), parse(stretch.until)];
    const weight = lane === "stable" ? "" : `at ${share(stretch.weight, 0)} of the traffic, `;
    return {
      lane,
      at,
      until,
      stretch,
      entries: [
        {
          when: `${instant(at)} to ${instant(until)}`,
          kind,
          version: stretch.version,
          message: `${weight}${length(until - at)}`,
        },
      ],
    };
  });
}

/** Marks of the points of the curve. */
function pointMarks(model) {
  return model.curve.map((point) => {
    const at = parse(point.at);
    return {
      lane: "curve",
      at,
      until: at,
      point,
      entries: [
        {
          when: instant(at),
          kind: `Win rate, ${model.window} up to here`,
          rates: [
            ["with", "With retraining", point.withRetraining],
            ["without", "Without", point.withoutRetraining],
          ],
        },
      ],
    };
  });
}

/** An entry as one sentence, for those who do not see the page. */
function say(entry) {
  const rates = (entry.rates ?? []).map(
    ([, name, rate]) => `${name} ${rate ? `${share(rate.value)} (${bounds(rate)}), ${trials(rate)}` : "unknown"}`,
  );
  const parts = [entry.when, entry.warning && "warning", entry.kind, entry.version, entry.reason, entry.message];
  return [...parts, ...rates].filter(Boolean).join(", ");
}
