// The last questions, without their texts, with the path each one took.

import { element, refill } from "./elements.js";

const FEW = 10;
const MARKS = { answered: "✓", failed: "✕", skipped: "–" };

let all = false;

/** Fills the list and its button; questions that are there already stay as they are, opened details too. */
export function recent(list, more, { numbers, texts, figures, language }) {
  const questions = all ? numbers.recent : numbers.recent.slice(0, FEW);
  const there = new Map([...list.children].map((item) => [item.dataset.key, item]));
  const items = questions.map((question) => {
    const key = `${language} ${question.questionId}`;
    return there.get(key) ?? item(question, key, texts, figures);
  });
  if (!items.length) {
    refill(list, language, () => element("li", { class: "hint" }, texts.recentEmpty));
  } else if (items.length !== list.children.length || items.some((made, index) => made !== list.children[index])) {
    list.madeFrom = null;
    list.replaceChildren(...items);
  }
  more.hidden = numbers.recent.length <= FEW;
  more.textContent = all ? texts.showLess : texts.showMore(figures.count(numbers.recent.length));
  more.setAttribute("aria-expanded", String(all));
}

/** Shows all of them, or few again. */
export function toggle() {
  all = !all;
}

function item(question, key, texts, figures) {
  const { questionId, traceId, source, attempts } = question;
  return element(
    "li", { "data-key": key },
    element("time", { datetime: question.at, title: figures.moment(question.at) }, figures.clockSeconds(question.at)),
    element(
      "span", { class: "about" },
      element("strong", {}, texts.categories[question.category] ?? question.category),
      ` ${texts.personalities[question.personality] ?? question.personality}, ${texts.languageNames[question.language] ?? question.language}`,
    ),
    element("span", { class: "took" }, source === null ? texts.noAnswer : figures.duration(question.durationMs)),
    element("ol", { class: "path" }, attempts.map((attempt) => step(attempt, texts, figures))),
    element(
      "details", {},
      element("summary", {}, texts.ids),
      element("p", {}, `${texts.question} `, element("code", {}, questionId)),
      element("p", {}, `${texts.trace} `, element("code", {}, traceId)),
    ),
  );
}

function step({ provider, outcome, reason, durationMs }, texts, figures) {
  const how = reason === null ? texts.outcome[outcome] : texts.reasons[reason] ?? reason;
  const took = outcome === "skipped" ? "" : ` ${figures.duration(durationMs)}`;
  return element(
    "li", { class: outcome },
    element("span", { class: "mark", "aria-hidden": "true" }, MARKS[outcome]),
    element("span", { class: "unseen" }, reason === null ? "" : `${texts.outcome[outcome]}, `),
    element("strong", {}, texts[provider] ?? provider), ` ${how}${took}`,
  );
}
