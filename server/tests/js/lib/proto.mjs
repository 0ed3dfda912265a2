//! `/proto` of the fixture as an echo over a WebSocket made by hand: what is sent, and what must come back.

import assert from 'node:assert/strict';
import { frame, OPCODE, text } from './websocket.mjs';

const PLACEHOLDER = '{"_placeholder":true,"num":0}';

/** A call whose answer is these arguments, and that answer. */
export const call = (args, id = 1) => `42/proto,${id}["message-with-ack",${args}]`;
export const answer = (args, id = 1) => `43/proto,${id}[${args}]`;
/** The same with one attachment, which follows. */
export const binaryCall = (id = 1) => `451-/proto,${id}["message-with-ack",${PLACEHOLDER}]`;
const binaryAnswer = (id = 1) => `461-/proto,${id}[${PLACEHOLDER}]`;

/** The argument with which a call is a message of exactly so many octets. */
export function padded(size, id = 1) {
  const room = size - call('""', id).length;
  assert.ok(room >= 0, `a call has at least ${call('""', id).length} octets`);
  return `"${'x'.repeat(room)}"`;
}

/** The answer to `call(args, id)` comes. */
export async function echoed(peer, args, id = 1) {
  const got = await peer.text(`43/proto,${id}[`);
  assert.ok(got === answer(args, id), `the answer is ${got.slice(0, 200)} (${got.length} octets)`);
}

/** The answer to `binaryCall(id)` comes, with this attachment. */
export async function echoedBinary(peer, data, id = 1) {
  assert.equal(await peer.text('461-'), binaryAnswer(id));
  const got = await peer.until(() => peer.frames.find(({ opcode }) => opcode === OPCODE.binary), 'the attachment');
  assert.ok(got.data.equals(data), `the attachment has ${got.data.length} octets, not these ${data.length}`);
}

/** A call over this WebSocket is answered: it is as good as new. */
export async function serves(peer, id = 900) {
  peer.write(text(call('"still there"', id)));
  await echoed(peer, '"still there"', id);
}

/** The connection is open until now, and these octets end it with a close frame of this code. */
export async function refuses(peer, code, ...octets) {
  peer.write(...octets);
  await peer.closes(code);
}

/** A message in fragments, each of these pieces one; the continuation frames have the options of the first. */
export function fragments(opcode, pieces, options = {}) {
  return pieces.map((piece, at) => frame(at === 0 ? opcode : OPCODE.continuation, piece, { ...options, fin: at === pieces.length - 1 }));
}

/** The pieces between these places of some octets. */
export const cut = (octets, ...places) => [0, ...places].map((from, at) => octets.subarray(from, places[at] ?? octets.length));
