//! Waiting for something to happen, always with a deadline and with words for what did not.

/** How long anything on one machine may take before a test gives up on it. */
export const DEADLINE_MS = 10_000;

/** Resolves like `promise`, or fails with `what` once the deadline has passed. */
export function within(promise, what, ms = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`not within ${ms} ms: ${typeof what === 'function' ? what() : what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Asks `condition` again and again until it gives something truthy, and resolves to that. */
export async function until(condition, what, ms = DEADLINE_MS) {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${typeof what === 'function' ? what() : what}`);
    await new Promise((resume) => setTimeout(resume, 10));
  }
}
