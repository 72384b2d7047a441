// Counts side by side: a list of lengths, and one bar of parts.

import { element } from "./elements.js";

/** A table of names, bars and counts, greatest first; `counts` is a word to a count. */
export function lengths(counts, names, title, figures, empty) {
  const rows = Object.entries(counts).sort(([, a], [, b]) => b - a);
  if (!rows.length) return element("p", { class: "hint" }, empty);
  const most = rows[0][1];
  return element(
    "table", { class: "lengths" },
    element("caption", {}, title),
    element("tbody", {}, rows.map(([word, count]) => element(
      "tr", {},
      element("th", { scope: "row" }, names[word] ?? word),
      element("td", {}, bar(count / most)),
      element("td", { class: "number", "data-figure": `count.${word}` }, figures.count(count)),
    ))),
  );
}

/** One bar of parts: [[class, count]]; decoration for numbers that stand beside it. */
export function parts(counts) {
  const all = counts.reduce((sum, [, count]) => sum + count, 0);
  const whole = element("div", { class: "parts", "aria-hidden": "true" });
  for (const [name, count] of counts) {
    if (count > 0) {
      const part = element("span", { class: name });
      part.style.flexGrow = String(Math.max(count / all, 0.012));
      whole.append(part);
    }
  }
  return whole;
}

function bar(share) {
  const made = element("span", { class: "length", "aria-hidden": "true" });
  made.style.width = `${(100 * share).toFixed(1)}%`;
  return made;
}
