// The page's life: asks for the numbers every few seconds while somebody looks, and shows what came of it.

import { retext } from "./elements.js";
import { figures } from "./figures.js";
import { draw } from "./panels.js";
import { asPosition, memory } from "./reader.js";
import { toggle } from "./recent.js";
import { NoNumbers, numbers } from "./source.js";
import { preferred, words } from "./words.js";

const POLL_MS = 3000;
const MOST_RETRY_MS = 60_000;

const at = (id) => document.getElementById(id);
const state = {
  language: memory.local("language") ?? preferred(navigator.languages),
  asOf: new URLSearchParams(location.search).get("as_of"),
  paused: false,
  latest: null, // the numbers that are shown
  failure: null,
  asked: 0, // which request counts: an answer to an earlier one is dropped
  timer: 0,
};
if (!(state.language in words)) state.language = preferred(navigator.languages);

const formats = Object.fromEntries(Object.keys(words).map((language) => [language, figures(language, navigator.languages)]));

async function ask() {
  clearTimeout(state.timer);
  const mine = (state.asked += 1);
  try {
    const found = await numbers(state.asOf, memory.session("token"));
    if (mine !== state.asked) return;
    [state.latest, state.failure] = [found, null];
  } catch (error) {
    if (!(error instanceof NoNumbers)) throw error;
    if (mine !== state.asked) return;
    state.failure = error;
    if (error.kind === "refused") memory.session("token", null);
    if (["token", "refused", "time", "history"].includes(error.kind)) state.latest = null;
  }
  show();
  schedule();
}

/** When to ask again: not while nobody looks, not about the past, not before somebody has done something about it. */
function schedule() {
  clearTimeout(state.timer);
  const { failure } = state;
  const waits = failure !== null && !["unreachable", "busy", "broken"].includes(failure.kind);
  if (document.hidden || state.paused || waits || (state.asOf && failure === null)) return;
  const retryMs = Math.min(MOST_RETRY_MS, failure?.retryMs ?? 0);
  state.timer = setTimeout(ask, Math.max(POLL_MS, retryMs));
}

function show() {
  const texts = words[state.language];
  const shown = formats[state.language];
  const { latest, failure, asOf } = state;
  if (latest !== null) {
    draw({ numbers: latest, texts, figures: shown, language: state.language, live: !asOf });
  } else {
    at("numbers").hidden = true;
  }
  retext(at("problem"), failure === null ? "" : told(failure, latest, texts, shown)); // said once, not at every try
  const wanted = failure !== null && ["token", "refused"].includes(failure.kind);
  if (!wanted) at("token").value = "";
  at("token-form").hidden = !wanted;
  at("past").hidden = !asOf;
  at("past-text").textContent = asOf && latest ? texts.pastText(shown.count(latest.position), shown.moment(latest.timestamp)) : "";
  at("forget").hidden = memory.session("token") === null;
  at("pause").hidden = Boolean(asOf) || latest === null;
  at("pause").textContent = state.paused ? texts.resume : texts.pause;
  pulse(texts, shown);
}

function pulse(texts, shown) {
  const { latest, failure, asOf, paused } = state;
  const time = shown.clockSeconds(latest?.timestamp);
  const [mood, said] = failure !== null ? ["bad", latest === null ? texts.nothing : texts.stale(time)]
    : latest === null ? ["waiting", texts.waiting]
    : asOf ? ["then", texts.then]
    : paused ? ["waiting", texts.paused(time)]
    : ["live", texts.live(time)];
  at("pulse").dataset.state = mood;
  at("pulse-text").textContent = said;
}

function told({ kind, status }, latest, texts, shown) {
  if (kind === "unreachable") return latest === null ? texts.unreachable : texts.unreachableSince(shown.clockSeconds(latest.timestamp));
  if (kind === "broken") return texts.broken(status);
  return { token: texts.tokenWanted, refused: texts.tokenRefused, time: texts.noSuchTime, history: texts.noHistory, busy: texts.busy }[kind];
}

/** The texts that stand in the page itself. */
function speak() {
  const texts = words[state.language];
  document.documentElement.lang = state.language;
  document.title = texts.pageTitle;
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = texts[node.dataset.word];
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", texts[node.dataset.label]);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === state.language));
  }
  at("zone").textContent = texts.zone(formats[state.language].zone);
}

function travel(asOf) {
  state.asOf = asOf;
  [state.latest, state.failure] = [null, null];
  at("as-of").value = asOf ?? "";
  history.replaceState(null, "", asOf ? `?as_of=${encodeURIComponent(asOf)}` : location.pathname);
  show();
  ask();
}

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => {
    state.language = button.dataset.language;
    memory.local("language", state.language);
    speak();
    show();
  });
}
at("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  memory.session("token", at("token").value.trim());
  ask();
});
at("past-form").addEventListener("submit", (event) => {
  event.preventDefault();
  travel(asPosition(at("as-of").value));
});
at("back").addEventListener("click", () => travel(null));
at("forget").addEventListener("click", () => {
  memory.session("token", null);
  state.latest = null;
  ask();
});
at("pause").addEventListener("click", () => {
  state.paused = !state.paused;
  if (state.paused) {
    state.asked += 1; // what is under way comes too late
    clearTimeout(state.timer);
    show();
  } else {
    ask();
  }
});
at("more").addEventListener("click", () => {
  toggle();
  show();
});
at("timeline-details").addEventListener("toggle", show);
document.addEventListener("visibilitychange", () => {
  clearTimeout(state.timer);
  if (!document.hidden && !state.paused) ask();
});
let width = 0;
new ResizeObserver(([{ contentRect }]) => {
  if (contentRect.width === width) return;
  width = contentRect.width;
  if (state.latest !== null) requestAnimationFrame(show);
}).observe(at("main"));

at("as-of").value = state.asOf ?? "";
speak();
show();
ask();
