// Numbers, durations and times as one language writes them.

const NONE = "–";
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** Formats for a language; of the reader's regional variants of it the first is taken. A missing value is a dash. */
export function figures(language, languages) {
  const locale = languages.find((tag) => tag.toLowerCase().split("-")[0] === language) ?? language;
  const count = new Intl.NumberFormat(locale);
  const share = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });
  const seconds = new Intl.NumberFormat(locale, { maximumSignificantDigits: 3 });
  const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
  const clockSeconds = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const moment = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
  const or = (format) => (value) => (value === null || value === undefined ? NONE : format(value));
  return {
    count: or((value) => count.format(value)),
    share: or((value) => share.format(value)),
    duration: or((ms) => (ms < 1000 ? `${count.format(ms)}\u00a0ms` : `${seconds.format(ms / 1000)}\u00a0s`)),
    clock: or((time) => clock.format(new Date(time))),
    clockSeconds: or((time) => clockSeconds.format(new Date(time))),
    moment: or((time) => moment.format(new Date(time))),
    /** How long before or after `now`, both as the service tells them: the reader's clock may be wrong. */
    since(time, now) {
      const delta = (new Date(time) - new Date(now)) / 1000;
      const [unit, size] = UNITS.find(([, length]) => Math.abs(delta) >= length) ?? ["second", 1];
      return relative.format(Math.trunc(delta / size), unit);
    },
    zone: new Intl.DateTimeFormat(locale).resolvedOptions().timeZone,
  };
}
