// Text and figures. What is unknown is absent in a report, and shows as an en dash: never as 0.

const UNKNOWN = "–";
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365.25 * DAY;

const isKnown = (value) => value !== undefined && value !== null;
const shown = (value, format) => (isKnown(value) ? format(value) : UNKNOWN);

/** An element; children are elements or texts, and a text is never read as markup. */
function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
function s(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (isKnown(value) && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => isKnown(child) && child !== false));
  return node;
}

const minus = (text) => text.replace("-", "−");
/** Thousands apart by a narrow space, from 10 000 on. */
const grouped = (text) => (text.length > 4 ? text.replace(/\B(?=(\d{3})+$)/g, "\u202f") : text);
const count = (value) => shown(value, (n) => minus(grouped(String(Math.round(n)))));
const fixed = (value, digits) => shown(value, (n) => minus(n.toFixed(digits)));
const share = (value, digits = 1) => shown(value, (n) => `${minus((100 * n).toFixed(digits))}%`);

/** With its sign; what rounds to nothing has none. */
function signed(value, digits) {
  if (!isKnown(value)) return UNKNOWN;
  const text = value.toFixed(digits);
  if (Number(text) === 0) return text.replace("-", "");
  return value > 0 ? `+${text}` : minus(text);
}

const signedShare = (value) => shown(value, (n) => `${signed(100 * n, 1)}%`);
const points = (value) => shown(value, (n) => signed(100 * n, 2));

/** A reward: three digits that say something. */
function reward(value) {
  if (!isKnown(value)) return UNKNOWN;
  const size = Math.abs(value);
  return signed(value, size >= 1 || size === 0 ? 3 : Math.min(8, 2 - Math.floor(Math.log10(size))));
}

const bounds = (interval) => (interval ? `${(100 * interval.lower).toFixed(1)}–${share(interval.upper)}` : UNKNOWN);
const pointBounds = (interval) => (interval ? `${points(interval.lower)} to ${points(interval.upper)}` : UNKNOWN);

/** What a figure rests on. */
function trials(found) {
  if (!found) return UNKNOWN;
  const blocks = isKnown(found.blocks) ? `, differing in ${count(found.blocks)} blocks` : "";
  return `${count(found.effectiveOutcomes)} effective of ${count(found.outcomes)} outcomes${blocks}`;
}

/** What a difference of win rates shows, at 95 %. */
function conclusion(difference, better, worse) {
  if (!difference) return "";
  if (difference.lower > 0) return better;
  if (difference.upper < 0) return worse;
  return "no difference shown";
}

const parse = (text) => Date.parse(text);
const iso = (at) => new Date(at).toISOString();
const day = (at) => iso(at).slice(0, 10);
const instant = (at) => `${day(at)} ${iso(at).slice(11, 16)}`;
const timeOf = (text) => h("time", { datetime: text }, instant(parse(text)));

function plural(value, word) {
  return `${count(value)} ${word}${value === 1 ? "" : "s"}`;
}

/** How long a span is, in the unit that fits. */
function length(milliseconds) {
  if (milliseconds >= 2 * YEAR) return `${(milliseconds / YEAR).toFixed(1)} years`;
  if (milliseconds >= 2 * DAY) return plural(Math.round(milliseconds / DAY), "day");
  return plural(Math.round(milliseconds / HOUR), "hour");
}

/** Measured seconds. */
function seconds(value) {
  if (!isKnown(value)) return UNKNOWN;
  if (value < 120) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  const minutes = Math.round(value / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `btc-v7` of the model `default/btc` is v7, where there is no room for more. */
function shortVersion(version, model) {
  const prefix = `${model.slice(model.indexOf("/") + 1)}-`;
  return version.startsWith(prefix) ? version.slice(prefix.length) : version;
}

/** The number of a version; 0 for a name of another form. */
function revision(version, model) {
  const found = /^v(\d+)$/.exec(shortVersion(version, model));
  return found ? Number(found[1]) : 0;
}
