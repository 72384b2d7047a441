// One card a source.

import { lengths, parts } from "./bars.js";
import { element } from "./elements.js";

const OUTCOMES = ["answered", "failed", "skipped"];

/** The card of a model provider; what only the process knows is missing where it is not `live`. */
export function provider(name, state, now, live, texts, figures) {
  const { breaker, rateLimit, latency, lastSuccessAt, lastFailureAt } = state;
  const remaining = rateLimit.remaining === null && live ? texts.unlimited : figures.count(rateLimit.remaining);
  const rows = [
    [texts.breaker, breaker === null ? figures.count(null) : texts.breakers[breaker] ?? breaker, "breaker", mood(breaker)],
    [texts.remaining, remaining, "remaining"],
    ...(rateLimit.resetsAt === null ? [] : [[texts.resets, figures.clockSeconds(rateLimit.resetsAt), "resets"]]),
    [`${texts.p50} · ${texts.p95}`, `${figures.duration(latency.p50Ms)} · ${figures.duration(latency.p95Ms)}`, "latency"],
    [texts.lastSuccess, moment(lastSuccessAt, now, texts, figures), "success"],
    [texts.lastFailure, moment(lastFailureAt, now, texts, figures), "failure"],
  ];
  return card(
    name, availability(state.available, live, texts), texts,
    element("dl", { class: "pairs" }, rows.map(([term, said, figure, feeling]) => element(
      "div", {}, element("dt", {}, term), element("dd", { class: feeling, "data-figure": `${name}.${figure}` }, said),
    ))),
    element("h4", {}, texts.tries),
    tries(name, state.attempts, texts, figures),
  );
}

/** The card of the table of canned answers. */
export function table(state, texts, figures) {
  return card(
    "database", ["good", texts.always], texts,
    element("p", { class: "total" }, element("strong", { "data-figure": "database.total" }, figures.count(state.totalResponses)), " ", texts.answers),
    lengths(state.byCategory, texts.categories, texts.tableAnswers, figures, texts.nothingYet),
  );
}

function card(name, [feeling, said], texts, ...children) {
  const id = `provider-${name}`;
  return element(
    "article", { class: `card provider ${name}`, "aria-labelledby": id },
    element(
      "header", {},
      element("h3", { id }, element("span", { class: `swatch ${name}`, "aria-hidden": "true" }), texts[name]),
      element("span", { class: `state ${feeling}`, "data-figure": `${name}.available` }, said),
    ),
    ...children,
  );
}

function availability(available, live, texts) {
  if (available === true) return ["good", texts.available];
  if (available === false) return ["bad", texts.unavailable];
  return ["unknown", live ? texts.untried : texts.unknownThen];
}

function mood(breaker) {
  return { closed: "good", open: "bad", due: "warn" }[breaker];
}

function moment(time, now, texts, figures) {
  if (time === null) return texts.never;
  return element("time", { datetime: time, title: figures.moment(time) }, figures.since(time, now));
}

function tries(name, attempts, texts, figures) {
  const sums = OUTCOMES.map((outcome) => [outcome, Object.values(attempts[outcome]).reduce((sum, count) => sum + count, 0)]);
  const reasons = OUTCOMES.flatMap((outcome) => Object.entries(attempts[outcome])
    .filter(([reason]) => reason !== "none")
    .map(([reason, count]) => ({ outcome, reason, count }))).sort((a, b) => b.count - a.count);
  return [
    parts(sums),
    element("ul", { class: "outcomes" }, sums.map(([outcome, count]) => element(
      "li", {}, element("span", { class: `swatch ${outcome}`, "aria-hidden": "true" }),
      element("strong", { "data-figure": `${name}.${outcome}` }, figures.count(count)), " ", texts.outcomes[outcome],
    ))),
    reasons.length ? reasonTable(name, reasons, texts, figures) : null,
  ];
}

function reasonTable(name, reasons, texts, figures) {
  return element(
    "table", { class: "reasons" },
    element("caption", { class: "unseen" }, texts.triesChart(texts[name])),
    element("thead", { class: "unseen" }, element("tr", {}, [texts.why, texts.howMany].map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, reasons.map(({ outcome, reason, count }) => element(
      "tr", {},
      element("th", { scope: "row" }, element("span", { class: `swatch ${outcome}`, "aria-hidden": "true" }), texts.reasons[reason] ?? reason, " ", element("code", {}, reason)),
      element("td", { "data-figure": `${name}.${outcome}.${reason}` }, figures.count(count)),
    ))),
  );
}
