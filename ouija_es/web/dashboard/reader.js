// What the reader of the page has chosen and typed.

/** Choices and the token, in the browser's stores; in this page alone where a browser forbids those. */
export const memory = { local: kept(() => localStorage), session: kept(() => sessionStorage) };

/** What was typed as the API takes it: a position, or a time with its offset; one without is the reader's own. */
export function asPosition(typed) {
  const text = typed.trim();
  if (/^\d+$/.test(text) || /(Z|[+-]\d\d:?\d\d)$/i.test(text)) return text;
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? text : time.toISOString();
}

function kept(store) {
  const here = new Map();
  /** Gives what is kept under a name, or keeps a value there; null removes it. */
  return (name, value) => {
    try {
      if (value === undefined) return store().getItem(name) ?? here.get(name) ?? null;
      here.delete(name);
      return value === null ? store().removeItem(name) : store().setItem(name, value);
    } catch {
      if (value === undefined) return here.get(name) ?? null;
      return value === null ? here.delete(name) : here.set(name, value);
    }
  };
}
