//! How long a test that could go on for ever does: `make soak` gives it minutes, `make test` seconds.

/** True under `make soak`. */
export const SOAK = process.env.CARILLON_SOAK === '1';

/** The first under `make test`, the second under `make soak`. */
export const short = (seconds, minutes) => (SOAK ? minutes : seconds);
