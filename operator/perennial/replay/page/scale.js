// Axes: from instants and shares to pixels, and where their ticks are.

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/** What a time axis may step by: a unit, how many of it, and about how long that is. */
const TIME_STEPS = [
  ["time", MINUTE], ["time", 5 * MINUTE], ["time", 15 * MINUTE], ["time", 30 * MINUTE],
  ["time", HOUR], ["time", 3 * HOUR], ["time", 6 * HOUR], ["time", 12 * HOUR],
  ["day", DAY], ["day", 2 * DAY], ["day", 7 * DAY],
  ["month", 1], ["month", 3], ["month", 6],
  ["year", 1], ["year", 2], ["year", 5], ["year", 10], ["year", 20], ["year", 50],
];
/** Divisors of a half, so that 50% always has a tick. */
const SHARE_STEPS = [0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25];

function linear(from, to, start, end) {
  const factor = to > from ? (end - start) / (to - from) : 0;
  return (value) => start + (value - from) * factor;
}

function stepLength([unit, size]) {
  return unit === "year" ? size * YEAR : unit === "month" ? size * (YEAR / 12) : size;
}

/** Ticks at round instants (UTC): [{at, label, under}]; `under` stands in a second line where it changes. */
function timeTicks(from, to, most) {
  const step = TIME_STEPS.find((found) => (to - from) / stepLength(found) <= most) ?? TIME_STEPS.at(-1);
  let before = "";
  return instantsBy(step, from, to).map((at) => {
    const [label, context] = tickLabel(step[0], new Date(at));
    const under = context === before ? "" : context;
    before = context;
    return { at, label, under };
  });
}

function instantsBy([unit, size], from, to) {
  const found = [];
  const begin = new Date(from);
  if (unit === "time" || unit === "day") {
    const offset = size === 7 * DAY ? 4 * DAY : 0; // weeks begin on Mondays, and the epoch on a Thursday
    for (let at = Math.ceil((from - offset) / size) * size + offset; at <= to; at += size) found.push(at);
    return found;
  }
  const months = unit === "year" ? 12 * size : size;
  const first = Math.floor((12 * begin.getUTCFullYear() + begin.getUTCMonth()) / months) * months;
  for (let month = first; ; month += months) {
    const at = Date.UTC(Math.floor(month / 12), month % 12);
    if (at > to) return found;
    if (at >= from) found.push(at);
  }
}

function tickLabel(unit, date) {
  const year = String(date.getUTCFullYear());
  const month = MONTHS[date.getUTCMonth()];
  if (unit === "year") return [year, ""];
  if (unit === "month") return [month, year];
  if (unit === "day") return [`${date.getUTCDate()} ${month}`, year];
  return [iso(date).slice(11, 16), `${date.getUTCDate()} ${month} ${year}`];
}

/** A share's axis around what is shown: {low, high, ticks}, never beyond 0 and 1. */
function shareAxis(values, most) {
  const least = Math.min(0.5, ...values);
  const greatest = Math.max(0.5, ...values);
  const step = SHARE_STEPS.find((size) => (greatest - least) / size <= most) ?? 0.25;
  const first = Math.max(0, Math.floor(least / step - 1e-9));
  const last = Math.min(Math.round(1 / step), Math.ceil(greatest / step + 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
  return { low: first * step, high: last * step, ticks, digits: step < 0.01 ? (step < 0.005 ? 2 : 1) : 0 };
}
