// The timeline of a model, drawn for the width that there is: win rates, versions, canaries and events on one time axis.

const NARROW = 620;
/** Pixels: lanes of the chart from top to bottom. */
const SIZES = { rates: 230, ratesNarrow: 190, stable: 22, canary: 46, events: 24, gap: 12, caption: 16, axis: 36 };

/** Draws it anew: {svg, x}, with x from instants to pixels; every mark gets its node, and the lane's top and bottom. */
function drawTimeline(model, marks, span, width) {
  const narrow = width < NARROW;
  const plot = { left: narrow ? 38 : 92, right: width - (narrow ? 6 : 14), narrow };
  plot.x = linear(span.from, span.until, plot.left, plot.right);
  const svg = s("svg", {
    class: "timeline", width, role: "group",
    "aria-label": `Timeline of ${model.name}: the arrow keys go from mark to mark`,
  });
  const back = s("g", { class: "grid", "aria-hidden": "true" });
  const front = s("g");
  svg.append(back, front);

  let y = 8;
  const lane = (name, caption, height, draw) => {
    if (narrow && caption) y += SIZES.caption;
    const own = marks.filter((mark) => mark.lane === name);
    const box = { top: y, bottom: y + height, middle: y + height / 2 };
    if (caption) back.append(captionOf(caption, plot, box));
    own.forEach((mark) => Object.assign(mark, { top: box.top - 4, bottom: box.bottom + 4 }));
    draw(own, box);
    y += height + SIZES.gap;
  };
  const rates = narrow ? SIZES.ratesNarrow : SIZES.rates;
  if (model.curve.length) lane("curve", null, rates, (own, box) => drawRates(back, front, own, plot, box, model));
  lane("stable", "Stable", SIZES.stable, (own, box) => drawStable(front, own, plot, box, model));
  if (model.canary.length) {
    lane("canary", "Canary weight", SIZES.canary, (own, box) => drawCanary(back, front, own, plot, box, model));
  }
  for (const [name, caption] of Object.entries(LANES)) {
    lane(name, caption, SIZES.events, (own, box) => drawEvents(back, front, own, plot, box));
  }
  drawTimeAxis(back, plot, span, y);
  const height = y + SIZES.axis;
  svg.setAttribute("height", height);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return { svg, x: plot.x };
}

const at = (value) => value.toFixed(1);

function captionOf(text, plot, box) {
  if (plot.narrow) return s("text", { class: "caption", x: plot.left, y: box.top - 5 }, text);
  return s("text", { class: "caption", x: 0, y: box.middle + 4 }, text);
}

function rule(plot, y, name) {
  return s("line", { class: name, x1: plot.left, x2: plot.right, y1: at(y), y2: at(y) });
}

function drawTimeAxis(back, plot, span, bottom) {
  const most = Math.max(2, Math.floor((plot.right - plot.left) / 68));
  for (const tick of timeTicks(span.from, span.until, most)) {
    const x = at(plot.x(tick.at));
    back.prepend(s("line", { class: "rule tick", x1: x, x2: x, y1: 8, y2: bottom }));
    const anchor = plot.x(tick.at) > plot.right - 24 ? "end" : "middle";
    back.append(s("text", { class: "time-tick", x, y: bottom + 14, "text-anchor": anchor }, tick.label));
    if (tick.under) {
      back.append(s("text", { class: "time-tick under", x, y: bottom + 29, "text-anchor": anchor }, tick.under));
    }
  }
  back.append(rule(plot, bottom, "axis"));
}

function drawRates(back, front, marks, plot, box, model) {
  const known = model.curve.flatMap((point) => [point.withRetraining, point.withoutRetraining]).filter(isKnown);
  const axis = shareAxis(known.flatMap((rate) => [rate.lower, rate.upper]), 6);
  const y = linear(axis.low, axis.high, box.bottom, box.top);
  for (const tick of axis.ticks) {
    const even = Math.abs(tick - 0.5) < 1e-9;
    back.append(rule(plot, y(tick), even ? "rule even" : "rule"));
    const label = { class: even ? "share-tick even" : "share-tick", x: plot.left - 6, y: at(y(tick) + 4) };
    back.append(s("text", { ...label, "text-anchor": "end" }, share(tick, axis.digits)));
  }
  for (const stretch of model.stable.slice(1)) {
    const x = at(plot.x(parse(stretch.from)));
    front.append(s("line", { class: "change", x1: x, x2: x, y1: box.top, y2: box.bottom + SIZES.gap }));
  }
  for (const [name, field] of [["without", "withoutRetraining"], ["with", "withRetraining"]]) {
    for (const run of unbroken(marks, field)) {
      front.append(s("path", { class: `band ${name}`, d: bandPath(run, field, plot, y) }));
    }
  }
  for (const [name, field] of [["with", "withRetraining"], ["without", "withoutRetraining"]]) {
    for (const run of unbroken(marks, field)) {
      front.append(s("path", { class: `line ${name}`, d: linePath(run, field, plot, y) }));
    }
  }
  for (const mark of marks) {
    const x = at(plot.x(mark.at));
    const node = markNode(mark, "point", s("line", { class: "hair", x1: x, x2: x, y1: box.top, y2: box.bottom }));
    for (const [name, field] of [["without", "withoutRetraining"], ["with", "withRetraining"]]) {
      const rate = mark.point[field];
      if (rate) node.append(s("circle", { class: `knob ${name}`, cx: x, cy: at(y(rate.value)), r: 3.5 }));
    }
    front.append(node);
  }
}

/** Points in a row with nothing missing between them. */
function unbroken(marks, field) {
  const gaps = marks.slice(1).map((mark, index) => mark.at - marks[index].at);
  const usual = Math.min(...gaps);
  const runs = [];
  let run = [];
  marks.forEach((mark, index) => {
    if (run.length && (!mark.point[field] || gaps[index - 1] > 1.6 * usual)) runs.push(run.splice(0));
    if (mark.point[field]) run.push(mark);
  });
  return run.length ? [...runs, run] : runs;
}

function linePath(run, field, plot, y) {
  const steps = run.map((mark) => `${at(plot.x(mark.at))} ${at(y(mark.point[field].value))}`);
  return `M${steps.join("L")}${run.length === 1 ? "h.1" : ""}`;
}

function bandPath(run, field, plot, y) {
  const edge = (bound, shift) =>
    (mark) => `${at(plot.x(mark.at) + (run.length === 1 ? shift : 0))} ${at(y(mark.point[field][bound]))}`;
  const wide = run.length === 1 ? [run[0], run[0]] : run;
  const upper = wide.map((mark, index) => edge("upper", 3 * index - 1.5)(mark));
  const lower = wide.map((mark, index) => edge("lower", 3 * index - 1.5)(mark)).reverse();
  return `M${[...upper, ...lower].join("L")}Z`;
}

function drawStable(front, marks, plot, box, model) {
  marks.forEach((mark, index) => {
    const [x, width] = extent(mark, plot);
    const bar = s("rect", { x: at(x), y: box.top, width: at(width), height: box.bottom - box.top });
    const node = markNode(mark, index % 2 ? "stable other" : "stable", bar);
    const name = shortVersion(mark.stretch.version, model.name);
    if (width > 7.5 * name.length + 8) node.append(s("text", { x: at(x + 6), y: box.middle + 4 }, name));
    front.append(node);
  });
}

function drawCanary(back, front, marks, plot, box, model) {
  const y = linear(0, 1, box.bottom, box.top);
  for (const weight of [0, 0.5, 1]) {
    back.append(rule(plot, y(weight), "rule"));
    const label = { class: "share-tick", x: plot.left - 6, y: at(y(weight) + 4), "text-anchor": "end" };
    if (weight !== 0.5) back.append(s("text", label, share(weight, 0)));
  }
  let named = null;
  let free = -Infinity;
  const topOf = (mark) => Math.min(y(mark.stretch.weight), box.bottom - 1.5); // a shadow of weight 0 is there too
  marks.forEach((mark, index) => {
    const [x, width] = extent(mark, plot);
    const top = topOf(mark);
    const before = marks[index - 1]?.until === mark.at ? topOf(marks[index - 1]) : box.bottom;
    const end = marks[index + 1]?.at === mark.until ? "" : `V${box.bottom}`;
    const area = s("rect", { x: at(x), y: at(top), width: at(width), height: at(box.bottom - top) });
    const edge = s("path", { class: "edge", d: `M${at(x)} ${at(before)}V${at(top)}H${at(x + width)}${end}` });
    front.append(markNode(mark, "weight", area, edge));
    const name = shortVersion(mark.stretch.version, model.name);
    if (mark.stretch.version !== named && x > free) {
      front.append(s("text", { class: "inside", x: at(x + 4), y: box.top + 11, "aria-hidden": "true" }, name));
      free = x + 7.5 * name.length + 8;
    }
    named = mark.stretch.version;
  });
}

function extent(mark, plot) {
  const x = plot.x(mark.at);
  return [x, Math.max(1, plot.x(mark.until) - x)];
}

function drawEvents(back, front, marks, plot, box) {
  back.append(rule(plot, box.middle, "rule"));
  const sorts = Object.keys(SORTS);
  const drawn = [...marks].sort((one, other) => sorts.indexOf(one.sort) - sorts.indexOf(other.sort));
  for (const mark of drawn) {
    const node = markNode(mark, `event${mark.entries[0].warning ? " warned" : ""}`, glyph(mark.sort));
    node.setAttribute("transform", `translate(${at(plot.x(mark.at))} ${box.middle})`);
    node.dataset.sort = mark.sort;
    front.append(node);
  }
}

/** The group of a mark, which a keyboard reaches and a screen reader tells. */
function markNode(mark, name, ...children) {
  const label = mark.entries.map(say).join("; ");
  mark.node = s("g", { class: `mark ${name}`, role: "img", tabindex: -1, "aria-label": label }, ...children);
  mark.node.dataset.lane = mark.lane;
  return mark.node;
}
