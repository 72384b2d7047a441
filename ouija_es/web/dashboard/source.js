// Where the numbers come from: GET /dashboard as JSON.

const TIMEOUT_MS = 8000;

/** Why there are no numbers. `kind`: unreachable, token, refused, time, history, busy or broken. */
export class NoNumbers extends Error {
  constructor(kind, { status = 0, retryMs = 0 } = {}) {
    super(kind);
    this.kind = kind;
    this.status = status;
    this.retryMs = retryMs;
  }
}

/** The numbers, live or as of a position or time. Throws NoNumbers. */
export async function numbers(asOf, token) {
  const query = asOf ? `?as_of=${encodeURIComponent(asOf)}` : "";
  const headers = { Accept: "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const response = await reached(`/dashboard${query}`, headers);
  if (response.ok) return body(response);
  throw failure(response, asOf, token);
}

async function reached(url, headers) {
  try {
    return await fetch(url, { headers, cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new NoNumbers("unreachable"); // refused, reset, timed out: a browser does not tell which
  }
}

async function body(response) {
  try {
    return await response.json();
  } catch {
    throw new NoNumbers("unreachable"); // broke off half-way
  }
}

function failure(response, asOf, token) {
  const { status } = response;
  if (status === 401) return new NoNumbers(token ? "refused" : "token", { status });
  if (asOf && status === 400) return new NoNumbers("time", { status });
  if (asOf && status === 404) return new NoNumbers("history", { status });
  if (status === 429 || status === 503) {
    return new NoNumbers("busy", { status, retryMs: 1000 * (Number(response.headers.get("Retry-After")) || 0) });
  }
  return new NoNumbers("broken", { status });
}
