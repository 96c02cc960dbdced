// Pointers and keys in a timeline: the nearest mark tells what it is.

const REACH = 22; // pixels from a mark that a finger may miss it by
const MOST_TOLD = 4; // marks of one instant in one lane
const tip = document.getElementById("tip");
let active = null;

/** Makes the marks of a drawing tell of themselves. */
function listen(svg, marks, plotX) {
  if (marks.length) marks[0].node.setAttribute("tabindex", 0);
  const point = (event) => {
    const edge = svg.getBoundingClientRect();
    const mark = nearest(marks, event.clientX - edge.left, event.clientY - edge.top, plotX);
    if (mark) show(mark, marks, event.clientX);
    else hide();
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
  svg.addEventListener("focusin", (event) => {
    const mark = marks.find((found) => found.node === event.target);
    if (mark) show(mark, marks);
  });
  svg.addEventListener("focusout", hide);
  svg.addEventListener("keydown", (event) => onKey(event, marks));
}

/** The mark that a pointer means: in the lane that it is in, the one beside it. */
function nearest(marks, x, y, plotX) {
  let best = null;
  let least = Infinity;
  for (const mark of marks) {
    if (y < mark.top || y > mark.bottom) continue;
    const [start, end] = [plotX(mark.at), plotX(mark.until)];
    const distance = Math.max(0, start - x, x - end);
    if (distance < least || (distance === least && mark.sort)) [best, least] = [mark, distance];
  }
  return best && (best.lane === "curve" || least <= REACH) ? best : null;
}

/** Left and right go through a lane, up and down to the mark of the next lane that is nearest in time. */
function onKey(event, marks) {
  const current = marks.find((mark) => mark.node === document.activeElement);
  if (event.key === "Escape") hide();
  if (!current) return;
  const lane = marks.filter((mark) => mark.lane === current.lane);
  const place = lane.indexOf(current);
  const next = {
    ArrowLeft: () => lane[place - 1],
    ArrowRight: () => lane[place + 1],
    Home: () => lane[0],
    End: () => lane.at(-1),
    ArrowUp: () => besideIn(marks, current, -1),
    ArrowDown: () => besideIn(marks, current, 1),
  }[event.key];
  if (!next) return;
  event.preventDefault();
  const mark = next();
  if (!mark) return;
  current.node.setAttribute("tabindex", -1);
  mark.node.setAttribute("tabindex", 0);
  mark.node.focus();
}

function besideIn(marks, current, direction) {
  const lanes = [...new Set(marks.map((mark) => mark.lane))];
  const lane = lanes[lanes.indexOf(current.lane) + direction];
  const found = marks.filter((mark) => mark.lane === lane);
  const distance = (mark) => Math.max(0, mark.at - current.at, current.at - mark.until);
  return found.reduce((best, mark) => (best && distance(best) <= distance(mark) ? best : mark), undefined);
}

/** @param pointer where to show it beside a long mark; without, at its middle */
function show(mark, marks, pointer) {
  if (active === mark) return;
  hide();
  active = mark;
  mark.node.classList.add("active");
  const along = marks.filter((other) => other !== mark && other.lane === mark.lane && mark.sort && other.at === mark.at);
  const entries = [mark, ...along].flatMap((found) => found.entries);
  const more = entries.length - MOST_TOLD;
  tip.replaceChildren(
    ...entries.slice(0, MOST_TOLD).map(tipEntry),
    ...(more > 0 ? [h("p", { class: "tip-more" }, `and ${more} more at this time`)] : []),
  );
  tip.hidden = false;
  place(mark.node.getBoundingClientRect(), mark.lane === "curve", pointer);
}

function hide() {
  if (!active) return;
  active.node.classList.remove("active");
  active = null;
  tip.hidden = true;
}

function tipEntry(entry) {
  const rates = (entry.rates ?? []).map(([name, label, rate]) =>
    h("p", { class: "tip-rate" },
      h("span", { class: `swatch ${name}` }),
      h("span", {}, label),
      h("b", {}, rate ? share(rate.value) : UNKNOWN),
      h("span", {}, bounds(rate)),
      h("small", {}, rate ? trials(rate) : "too few outcomes"),
    ),
  );
  return h("div", { class: "tip-entry" },
    h("p", { class: "tip-head" }, h("span", {}, entry.when), h("span", {}, entry.kind)),
    entry.version && h("p", { class: "tip-version" }, entry.version),
    entry.reason && h("p", {},
      h("b", { class: "tip-reason" }, entry.reason), entry.warning && h("span", { class: "badge" }, "warning")),
    entry.message && h("p", { class: "tip-message" }, entry.message),
    rates,
  );
}

/** Where it hides no curve, if there is room: above the curve's, below the others. */
function place(mark, upward, pointer = mark.left + mark.width / 2) {
  const room = document.documentElement.clientWidth;
  tip.style.left = "0";
  const own = tip.getBoundingClientRect();
  const middle = Math.min(Math.max(pointer, mark.left), mark.right);
  const left = Math.min(middle - own.width / 2, room - own.width - 8);
  const above = mark.top - own.height - 10;
  const below = mark.bottom + 10;
  const fits = below + own.height + 8 < document.documentElement.clientHeight;
  const top = (upward || !fits) && above > 8 ? above : below;
  tip.style.left = `${Math.max(8, left) + window.scrollX}px`;
  tip.style.top = `${top + window.scrollY}px`;
}

document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest?.(".timeline")) hide();
});
