//! What nearly all of many measurements stay below.

/** The 99th percentile; NaN of none. */
export const p99 = (values) => values.toSorted((one, other) => one - other)[Math.floor(values.length * 0.99)] ?? NaN;
