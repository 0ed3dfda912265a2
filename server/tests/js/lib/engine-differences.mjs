//! What the engine under test cannot hold of the tables of the protocols, each with its reason: the only place that says so.

/** The engine under test: `CARILLON_TEST_ENGINE` names one, else it is the default. */
export const ENGINE = process.env.CARILLON_TEST_ENGINE ?? 'carillon';

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
    { untried: true, reason: 'a close frame that comes before its writer has begun is answered by the end of the connection alone', rows: [/^rfc6455 closing: a close frame before any CONNECT/] },
    { reason: 'the code 1014, which was registered after the RFC, is taken for one that nobody may send', rows: [/^rfc6455 close codes: code 1014/] },
    { reason: 'the codes of refusals are text, a request without a query lacks a version first, and a method that is not known gets no code', rows: [
      /^engineio refused: .* (EIO|an empty EIO|EIO \w+): code 5 \(/, /^engineio refused: polling with .*: code [01] \(/, /^engineio refused: a handshake with/,
      /^engineio refused: (an unknown sid in a POST|a POST for the WebSocket transport|PUT in a session)/, /^engineio refused: polling for a session that is a WebSocket/,
    ] },
    { reason: 'the first ping comes at once, so that there is one more in any time', rows: [/^engineio heartbeat: pings come at the interval/] },
    { reason: 'pongs, refusals and answers that are not read are kept, in a queue and behind it, until the client has not read for wire.write_stall_ms', untried: true, rows: [
      /^A1: pings of one who does not read/, /^A1: refusals with long names/, /^A3: refusals with long names/, /^A1: answers to unknown events that are not read/,
    ] },
    { untried: true, reason: 'who asks faster than it reads is not read more slowly: its queue is full at some time, and it is closed as slow', rows: [/events of .* flushed at once are all answered/] },
    { reason: 'POSTs are taken side by side', rows: [/^engineio polls: two POSTs at once/] },
    { untried: true, reason: 'the first ping comes at once, and how soon it is seen depends', rows: [/^engineio open: it is alone on the wire/, /^engineio heartbeat: (the first ping|who answers no ping is gone)/] },
    { reason: 'the sid of a client is that of its session, which is a secret', rows: [/^engineio open: the id of the session is not/, /^socketio connect: \w+: the sid (of the reply|that the main)/, /^socketio disconnect: \w+: DISCONNECT, CONNECT/, /^identity: .*the id of a client/] },
    { reason: 'connect_error has no data', rows: [/^socketio connect: \w+: (a refusal tells its code|a namespace that is not there has a code)/, /^identity: .*a refusal has data/] },
    { reason: 'an event name is taken as it is written, and an escape ends the session', rows: [/^socketio events: \w+: a name with (an escape|quotes|a surrogate)/, /^socketio events: \w+: a declared name that is/, /^identity: .*an event may have any name/] },
    { reason: 'what follows a separator need not be a packet', rows: [/^engineio posts: (an empty body|a separator at the end)/] },
    { reason: 'a poll that its client cancels leaves the session open', rows: [/^engineio polls: a poll that its client cancels/] },
    { reason: 'a ping of the client is nothing', rows: [/^engineio (polls|websocket): a ping of the client/] },
    { reason: 'a probe that fails ends the session', rows: [/^engineio upgrade: a probe (whose|that)/, /^engineio upgrade: a WebSocket that says something else/, /^engineio upgrade: a ping of RFC 6455 before/] },
    { reason: 'while a WebSocket says nothing polls are answered at once, with nothing', rows: [/^engineio upgrade: polling goes on while/] },
    { reason: 'a second WebSocket for a session is refused before it is one', rows: [/^engineio two transports: (a WebSocket for|a second probe)/] },
    { reason: 'what follows a packet within its frame is not looked at', rows: [/^engineio websocket: a payload of polling/, /^socketio malformed: \w+: (a bracket too many|something behind the array)/] },
    { reason: 'auth that is no JSON is no auth', rows: [/^socketio first: \w+: CONNECT with auth/] },
    { reason: 'an ack, and an event with attachments, are not looked at before they are needed', rows: [/^socketio malformed: \w+: (an id of 300|an ack that is an object|a binary event without a payload|a binary event that is no JSON)/] },
    { reason: 'what has come in part is bounded for each connection only', rows: [/^A6: half (a message over a WebSocket|an event with attachments), of many/] },
    { untried: true, reason: 'the id of a client is that of its session, and plugins know it by another', rows: [/^A11: /] },
    { reason: 'an answer to a poll has as many packets as there are, more than a Python client takes', rows: [/^identity: Python, polling: a burst/] },
    { untried: true, reason: 'an event that is read before its CONNECT is answered ends the connection, and whether it is depends', rows: [/^an event in the same TCP segment as CONNECT/] },
    { untried: true, reason: 'half an event is kept for as long as its client pongs', rows: [/^clocks: A6: half an event/] },
    { untried: true, reason: 'a WebSocket that never sends a probe stays for as long as its client likes', rows: [/^clocks: a WebSocket that never sends/] },
  ],
  carillon: [],
};

/** Why the engine does not hold the row of this title, or nothing. */
export function differenceOf(title) {
  return DIFFERENCES[ENGINE].find(({ rows }) => rows.some((row) => row.test(title)));
}
