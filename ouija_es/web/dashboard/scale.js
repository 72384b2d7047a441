// Scales: round numbers for an axis.

/** The smallest of 1, 2, 5, 10, 20, 50 … that makes at most `steps` steps up to `value`; at least 1. */
export function step(value, steps) {
  for (let size = 1; ; size *= 10) {
    for (const factor of [1, 2, 5]) {
      if (size * factor * steps >= value) return size * factor;
    }
  }
}

/** Where a duration lies between two others on a logarithmic scale: 0 to 1. */
export function logarithmic(ms, shortest, longest) {
  return Math.log(Math.max(shortest, ms) / shortest) / Math.log(longest / shortest);
}
