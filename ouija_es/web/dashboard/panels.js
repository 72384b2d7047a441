// The page's panels: what is shown of the numbers, and where.

import { arc } from "./arc.js";
import { lengths } from "./bars.js";
import { element, refill, retext } from "./elements.js";
import { latency, latencyTable } from "./latency.js";
import { provider, table } from "./providers.js";
import { recent } from "./recent.js";
import { bars, timeline, timelineTable } from "./timeline.js";

export const SOURCES = ["groq", "ollama", "database"];

const at = (id) => document.getElementById(id);

/** Draws everything. `view` is {numbers, texts, figures, language, live}. */
export function draw(view) {
  const { numbers, texts, figures, language } = view;
  at("numbers").hidden = false; // first: what is hidden has no width
  who(numbers.totals.answers, texts, figures, language);
  totals(numbers.totals, texts, figures, language);
  durations(numbers, texts, figures, language);
  day(numbers, texts, figures, language);
  sources(view);
  recent(at("recent"), at("more"), view);
  log(view);
  asked(numbers.totals, texts, figures, language);
  document.body.dataset.position = numbers.position;
}

function who(answers, texts, figures, language) {
  const all = SOURCES.reduce((sum, source) => sum + answers[source], 0);
  const share = (source) => (all ? answers[source] / all : null);
  retext(document.querySelector("[data-figure=answers]"), figures.count(all));
  refill(at("sources"), [answers, language], () => SOURCES.map((source) => element(
    "tr", {},
    element("th", { scope: "row" }, element("span", { class: `swatch ${source}`, "aria-hidden": "true" }), texts[source]),
    element("td", {}, figures.share(share(source))),
    element("td", { "data-figure": `answers.${source}` }, figures.count(answers[source])),
  )));
  const description = SOURCES.map((source) => `${texts[source]}: ${figures.share(share(source))}`).join(", ");
  refill(at("arc"), [answers, language], () => arc(SOURCES, answers, texts.arc, description));
}

function totals(counted, texts, figures, language) {
  const { questions, sessions, answers, withdrawn, abandoned, erasures } = counted;
  const answered = SOURCES.reduce((sum, source) => sum + answers[source], 0);
  const byModel = answered ? (answered - answers.database) / answered : null;
  const shown = { questions, sessions, withdrawn, abandoned, erasures };
  refill(at("totals"), [shown, byModel, language], () => [
    ["questions", figures.count(questions)], ["sessions", figures.count(sessions)], ["byModel", figures.share(byModel)],
    ["withdrawn", figures.count(withdrawn)], ["abandoned", figures.count(abandoned)], ["erasures", figures.count(erasures)],
  ].map(([name, text]) => element("div", {}, element("dt", {}, texts[name]), element("dd", { "data-figure": name }, text))));
}

function durations(numbers, texts, figures, language) {
  const { groq, ollama } = numbers.services;
  const rows = [
    { name: texts.whole, source: "whole", ...numbers.answers.latency },
    { name: texts.groq, source: "groq", ...groq.latency },
    { name: texts.ollama, source: "ollama", ...ollama.latency },
  ];
  const width = widthOf(at("latency"));
  refill(at("latency"), [rows, width, language], () => latency(rows, width, texts, figures));
  refill(at("latency-table"), [rows, language], () => latencyTable(rows, texts, figures));
}

function day(numbers, texts, figures, language) {
  const figure = at("timeline");
  const width = widthOf(figure);
  const shown = bars(numbers.timeline, SOURCES, numbers.timestamp, width);
  const count = shown.bars.reduce((sum, bar) => sum + bar.all, 0);
  const said = (bar) => (bar === null
    ? count ? texts.timelineReadout(figures.count(count)) : texts.timelineEmpty
    : `${texts.timelineSlot(figures.clock(bar.at), figures.clock(bar.at + shown.minutes * 60_000))}: ${SOURCES.filter((source) => bar[source])
      .map((source) => `${texts[source]} ${figures.count(bar[source])}`).join(", ")}`);
  const readout = at("timeline-readout");
  const from = [shown, width, language];
  if (figure.madeFrom !== JSON.stringify(from)) retext(readout, said(null));
  refill(figure, from, () => timeline(shown, SOURCES, width, texts, figures, (bar) => retext(readout, said(bar))));
  if (at("timeline-details").open) {
    refill(at("timeline-table"), [shown.bars, language], () => timelineTable(shown.bars, SOURCES, texts, figures));
  }
}

function sources({ numbers, texts, figures, language, live }) {
  const { groq, ollama, database } = numbers.services;
  // Relative times change from minute to minute, so the service's time is a part of what they are made from.
  const minute = numbers.timestamp.slice(0, 16);
  refill(at("providers"), [groq, ollama, database, minute, language, live], () => [
    provider("groq", groq, numbers.timestamp, live, texts, figures),
    provider("ollama", ollama, numbers.timestamp, live, texts, figures),
    table(database, texts, figures),
  ]);
}

function log({ numbers, texts, figures, language }) {
  const { eventStore, position, totals: counted } = numbers;
  const { events, projected, lag, projectorStopped, sealedPosition } = eventStore;
  const rows = [
    ["events", figures.count(events)], ["projected", figures.count(projected)], ["lag", figures.count(lag)],
    ["position", figures.count(position)],
    ...(sealedPosition === undefined ? [] : [["sealed", figures.count(sealedPosition)]]),
  ];
  refill(at("store"), [eventStore, position, counted.tokens, language], () => [
    ...rows.map(([name, text]) => pair(texts[name], text, name)),
    ...(projectorStopped === null ? [] : [
      pair(texts.projector, projectorStopped ? texts.projectorStopped : texts.projectorRuns, "projector", projectorStopped ? "bad" : "good"),
    ]),
    ...Object.entries(counted.tokens).map(([name, { input, output }]) => pair(
      texts.tokens(texts[name]), texts.tokensInOut(figures.count(input), figures.count(output)), `tokens.${name}`,
    )),
  ]);
}

function asked(counted, texts, figures, language) {
  const { byCategory, byPersonality, byLanguage } = counted;
  refill(at("asked"), [byCategory, byPersonality, byLanguage, language], () => [
    lengths(byCategory, texts.categories, texts.byCategory, figures, texts.nothingYet),
    ...(Object.keys(byCategory).length ? [
      lengths(byPersonality, texts.personalities, texts.byPersonality, figures, texts.nothingYet),
      lengths(byLanguage, texts.languageNames, texts.byLanguage, figures, texts.nothingYet),
    ] : []),
  ]);
}

function pair(name, text, figure, mood) {
  return element("div", {}, element("dt", {}, name), element("dd", { class: mood, "data-figure": figure }, text));
}

/** In whole pixels; a picture is drawn as wide as it is shown, so that its letters have their size. */
function widthOf(node) {
  return Math.max(240, Math.floor(node.clientWidth));
}
