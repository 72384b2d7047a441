// Percentiles of durations as points on one scale.

import { element, picture, svg } from "./elements.js";
import { logarithmic } from "./scale.js";

const ROW = 46;
const [TOP, BOTTOM, RIGHT] = [4, 24, 14];
const TICKS = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000];

/** The chart; rows are {name, source, p50Ms, p95Ms, p99Ms?}. */
export function latency(rows, width, texts, figures) {
  const left = Math.min(110, width * 0.28);
  const all = rows.flatMap((row) => percentiles(row).map(([, ms]) => ms));
  const from = TICKS.findLast((tick) => tick <= Math.min(...all, 100)) ?? 1;
  const to = TICKS.find((tick) => tick >= Math.max(...all, 10 * from, 1000));
  const x = (ms) => left + (width - left - RIGHT) * logarithmic(ms, from, to);
  const bottom = TOP + rows.length * ROW;
  const parts = TICKS.filter((tick) => tick >= from && tick <= to).flatMap((tick) => [
    svg("path", { class: "grid", d: `M${x(tick)} ${TOP}V${bottom}` }),
    svg("text", { class: tick === from ? null : tick === to ? "end" : "middle", x: x(tick) + (tick === to ? RIGHT : 0), y: bottom + 18 }, figures.duration(tick)),
  ]);
  rows.forEach((row, index) => parts.push(...range(row, TOP + index * ROW + ROW / 2, left, width, x, texts, figures)));
  const description = rows.map((row) => `${row.name}: ${said(row, texts, figures)}`).join("; ");
  return picture(width, bottom + BOTTOM, texts.latencyChart, description, ...parts);
}

/** The same as a table. */
export function latencyTable(rows, texts, figures) {
  const columns = ["p50", "p95", "p99"];
  return element(
    "table", { class: "data" },
    element("thead", {}, element("tr", {}, element("td"), columns.map((name) => element("th", { scope: "col" }, texts[name])))),
    element("tbody", {}, rows.map((row) => element(
      "tr", {},
      element("th", { scope: "row" }, row.name),
      columns.map((name) => element("td", { "data-figure": `latency.${row.source}.${name}` }, figures.duration(row[`${name}Ms`]))),
    ))),
  );
}

function percentiles(row) {
  return ["p50", "p95", "p99"].map((name) => [name, row[`${name}Ms`]]).filter(([, ms]) => ms !== null && ms !== undefined);
}

function said(row, texts, figures) {
  const found = percentiles(row);
  return found.length ? found.map(([name, ms]) => `${texts[name]} ${figures.duration(ms)}`).join(", ") : texts.noSamples;
}

function range(row, y, left, width, x, texts, figures) {
  const found = percentiles(row);
  const name = svg("text", { class: "name", x: 0, y: y + 5 }, row.name);
  if (!found.length) return [name, svg("text", { x: left + 6, y: y + 4 }, texts.noSamples)];
  const [first, last] = [found[0][1], found.at(-1)[1]];
  const points = found.map(([, ms], index) => svg("circle", { class: row.source, cx: x(ms).toFixed(1), cy: y, r: 6 - index }));
  const label = found.map(([, ms]) => figures.duration(ms)).join(" · ");
  const anchor = (x(first) + x(last)) / 2 > left + (width - left) * 0.55 ? "end" : "start";
  return [
    name,
    svg("path", { class: `range ${row.source}`, d: `M${x(first)} ${y}H${x(last)}` }),
    ...points.reverse(),
    svg("text", { class: `value ${anchor}`, x: anchor === "end" ? x(last) + 6 : x(first) - 6, y: y - 11 }, label),
  ];
}
