// The arc of the board: each source's share, under the letters.

import { picture, svg } from "./elements.js";

const LETTERS = "ABCDEFGHIJKLMNÑOPQRSTUVWXYZ";
const [WIDTH, HEIGHT, X, Y] = [360, 186, 180, 178];
const RADIUS = 132;
const LETTERS_RADIUS = 160;
const GAP = 0.012; // radians between two segments

/** Half a circle, from left to right in the order of the sources; counts by source. */
export function arc(sources, counts, title, description) {
  const all = sources.reduce((sum, source) => sum + counts[source], 0);
  const shown = sources.filter((source) => counts[source] > 0);
  const segments = [];
  let from = Math.PI;
  for (const source of shown) {
    const to = from - (Math.PI * counts[source]) / all;
    const gap = shown.length > 1 ? Math.min(GAP, (from - to) / 3) : 0;
    segments.push(svg("path", { class: `arc ${source}`, d: segment(from - gap, to + gap) }));
    from = to;
  }
  return picture(WIDTH, HEIGHT, title, description, letters(), svg("path", { class: "arc rest", d: segment(Math.PI, 0) }), ...segments);
}

function segment(from, to) {
  return `M${point(from, RADIUS)}A${RADIUS} ${RADIUS} 0 0 1 ${point(to, RADIUS)}`;
}

function point(angle, radius) {
  return `${(X + radius * Math.cos(angle)).toFixed(2)} ${(Y - radius * Math.sin(angle)).toFixed(2)}`;
}

function letters() {
  const group = svg("g", { class: "letters", "aria-hidden": "true" });
  [...LETTERS].forEach((letter, index) => {
    const angle = Math.PI * (1 - (index + 0.5) / LETTERS.length);
    const turn = 90 - (angle * 180) / Math.PI;
    group.append(svg("text", { transform: `translate(${point(angle, LETTERS_RADIUS)}) rotate(${turn.toFixed(1)})` }, letter));
  });
  return group;
}
