// Answers by source over the last day, as bars by time.

import { element, picture, svg } from "./elements.js";
import { step } from "./scale.js";

const MINUTE = 60_000;
const SLOT = 5 * MINUTE;
const DAY = 24 * 60 * MINUTE;
const GROUPS = [1, 2, 3, 6, 12]; // slots a bar
const LEAST = 4; // pixels a bar and the space beside it
const HEIGHT = 190;
const [LEFT, RIGHT, TOP, BOTTOM] = [44, 4, 10, 24];

/** The day before `now` in bars as narrow as `width` pixels allow: [{at, groq, ollama, database, all}], and minutes a bar. */
export function bars(slots, sources, now, width) {
  const end = Math.floor(new Date(now).getTime() / SLOT) * SLOT + SLOT;
  const group = GROUPS.find((size) => ((width - LEFT - RIGHT) * size) / (DAY / SLOT) >= LEAST) ?? GROUPS.at(-1);
  const length = group * SLOT;
  const found = new Map();
  for (const slot of slots) {
    const back = Math.floor((end - 1 - new Date(slot.at).getTime()) / length);
    if (back < 0 || back * length >= DAY) continue;
    const bar = found.get(back) ?? { at: end - (back + 1) * length, all: 0, ...Object.fromEntries(sources.map((it) => [it, 0])) };
    for (const source of sources) {
      bar[source] += slot[source];
      bar.all += slot[source];
    }
    found.set(back, bar);
  }
  return { bars: [...found.values()].sort((a, b) => a.at - b.at), minutes: length / MINUTE, start: end - DAY, end };
}

/** The chart. `point` is called with a bar under the pointer, or with null. */
export function timeline({ bars: shown, minutes, start, end }, sources, width, texts, figures, point) {
  const inner = { width: width - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM };
  const size = step(Math.max(1, ...shown.map((bar) => bar.all)), 4);
  const top = size * Math.max(1, Math.ceil(Math.max(...shown.map((bar) => bar.all), 0) / size));
  const x = (time) => LEFT + ((time - start) / (end - start)) * inner.width;
  const y = (count) => TOP + inner.height * (1 - count / top);
  const parts = [];
  for (let count = 0; count <= top; count += size) {
    parts.push(svg("path", { class: count ? "grid" : "axis", d: `M${LEFT} ${y(count)}H${width - RIGHT}` }));
    parts.push(svg("text", { class: "end", x: LEFT - 8, y: y(count) + 4 }, figures.count(count)));
  }
  for (const hour of hours(start, end, inner.width)) {
    parts.push(svg("path", { class: "axis", d: `M${x(hour)} ${TOP + inner.height}v4` }));
    parts.push(svg("text", { class: "middle", x: x(hour), y: HEIGHT - 4 }, figures.clock(hour)));
  }
  const wide = x(start + minutes * MINUTE) - x(start);
  for (const bar of shown) parts.push(stack(bar, sources, x(bar.at), Math.max(1, wide - (wide > 3 ? 1.5 : 0.5)), y));
  const description = texts.timelineReadout(figures.count(shown.reduce((sum, bar) => sum + bar.all, 0)));
  const drawn = picture(width, HEIGHT, texts.timelineChart(figures.count(minutes)), description, ...parts);
  follow(drawn, shown, width, (time) => start + ((time - LEFT) / inner.width) * (end - start), minutes * MINUTE, x, point);
  return drawn;
}

/** The bars as a table, newest first. */
export function timelineTable(shown, sources, texts, figures) {
  const heads = [texts.slot, ...sources.map((source) => texts[source]), texts.all];
  return element(
    "table", { class: "data" },
    element("thead", {}, element("tr", {}, heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, shown.toReversed().map((bar) => element(
      "tr", {},
      element("th", { scope: "row" }, figures.moment(bar.at)),
      [...sources, "all"].map((column) => element("td", {}, figures.count(bar[column]))),
    ))),
  );
}

function stack(bar, sources, left, width, y) {
  let below = 0;
  return svg("g", {}, sources.filter((source) => bar[source] > 0).map((source) => {
    const [from, to] = [y(below), y(below + bar[source])];
    const gap = below > 0 && from - to > 3 ? 1 : 0; // a line of the card between two colours
    below += bar[source];
    return svg("rect", { class: source, x: left.toFixed(2), y: to.toFixed(2), width: width.toFixed(2), height: (from - to - gap).toFixed(2) });
  }));
}

/** Full hours of the reader's day, as many as fit. */
function hours(start, end, width) {
  const every = [2, 3, 4, 6, 12].find((size) => (width * size) / 24 >= 64) ?? 12;
  const hour = new Date(start);
  hour.setMinutes(0, 0, 0);
  const found = [];
  for (; hour.getTime() <= end; hour.setHours(hour.getHours() + 1)) {
    if (hour.getTime() >= start && hour.getHours() % every === 0) found.push(hour.getTime());
  }
  return found;
}

function follow(drawn, shown, width, timeAt, length, x, point) {
  const line = svg("path", { class: "cursor" });
  drawn.append(line);
  drawn.addEventListener("pointermove", (event) => {
    const box = drawn.getBoundingClientRect();
    const time = timeAt(((event.clientX - box.left) / box.width) * width);
    const bar = nearest(shown, time, length);
    line.setAttribute("d", bar ? `M${x(bar.at + length / 2)} ${TOP}V${HEIGHT - BOTTOM}` : "");
    point(bar);
  });
  drawn.addEventListener("pointerleave", () => {
    line.removeAttribute("d");
    point(null);
  });
}

function nearest(shown, time, length) {
  const distance = (bar) => Math.abs(bar.at + length / 2 - time);
  const best = shown.reduce((found, bar) => (found === null || distance(bar) < distance(found) ? bar : found), null);
  return best !== null && distance(best) <= 2 * length ? best : null;
}
