//! What the engine under test cannot hold of the tables of the protocols, each with its reason: the only place that says so.

/** The engine under test: `CARILLON_TEST_ENGINE` names one, else it is the default. */
export const ENGINE = process.env.CARILLON_TEST_ENGINE ?? 'socketioxide';

const EMPTY_CLOSE = 'what breaks RFC 6455 is answered with an empty close frame, so nobody learns what was wrong';

// Of each engine: the reason, and the titles of the rows, as patterns. A row is tried and must fail, unless it is `untried`:
// it fails at some times only.
const DIFFERENCES = {
  socketioxide: [
    { reason: EMPTY_CLOSE, rows: [
      /^rfc6455 ping and pong: .* \(5\.5: a control frame MUST/, /^rfc6455 reserved bits: /, /^rfc6455 opcodes: /, /^rfc6455 masks: .* without a mask/, /^rfc6455 lengths that cannot be: /,
      /^rfc6455 fragments: .* \(5\.4: a continuation continues/, /^rfc6455 invalid utf-8: /, /^rfc6455 utf-8 at the end: .* \(8\.1/,
      /^rfc6455 close codes: a reason with .* \(5\.5\.1, 8\.1/, /^rfc6455 close codes: half a code/, /^rfc6455 limits: .* \(7\.4\.1, 10\.4/,
    ] },
    { reason: 'the code 1014, which was registered after the RFC, is taken for one that nobody may send', rows: [/^rfc6455 close codes: code 1014/] },
    { reason: 'any key will do for a handshake', rows: [/^rfc6455 handshake refused: (an empty key|a key |two keys|the same key)/] },
    { reason: 'a handshake needs no Host, and may come over HTTP/1.0', rows: [/^rfc6455 handshake refused: (no Host|two Hosts|HTTP\/1\.0)/] },
    { reason: 'another version is answered 400, without the one that is spoken', rows: [/^rfc6455 handshake refused: (version|no version|two versions)/] },
  ],
  carillon: [],
};

/** Why the engine does not hold the row of this title, or nothing. */
export function differenceOf(title) {
  return DIFFERENCES[ENGINE].find(({ rows }) => rows.some((row) => row.test(title)));
}
