//! RFC 6455, the end: close frames and their codes, what comes behind them, and limits that end a connection.

import assert from 'node:assert/strict';
import { binaryCall, call, cut, echoed, echoedBinary, fragments, padded, refuses } from './lib/proto.mjs';
import { sharedServer, table } from './lib/table.mjs';
import { close, frame, OPCODE, text } from './lib/websocket.mjs';

const LIMIT = 100_000;
const server = sharedServer({ env: { CARILLON_SERVER__MAX_MESSAGE_BYTES: String(LIMIT) } });

// ---- codes ----

const ECHOED = '5.5.1: the answer typically echoes the code';
const codes = [];
for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3999, 4000, 4500, 4999]) {
  codes.push(
    [`code ${code}`, ECHOED, async (one) => refuses(await one.open(), code, close(code))],
    [`code ${code} with a reason`, ECHOED, async (one) => refuses(await one.open(), code, close(code, 'Bye, and thanks'))],
  );
}
for (const code of [0, 1, 500, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 9999, 65_535]) {
  codes.push([`code ${code}, which nobody may send`, '7.4.1, 7.4.2: codes that MUST NOT be set in a close frame', async (one) => refuses(await one.open(), 1002, close(code, 'x'))]);
}
for (const [what, reason] of Object.entries({ 'a continuation octet': [0x80], 'half a character': [0x41, 0xc3], 'a surrogate': [0xed, 0xa0, 0x80], 'a slash in two octets': [0xc0, 0xaf], 'the octet ff': [0xff] })) {
  codes.push([`a reason with ${what}`, '5.5.1, 8.1: the reason is UTF-8', async (one) => refuses(await one.open(), 1007, close(1000, Buffer.from(reason)))]);
}
codes.push(
  ['no code', '5.5.1: the body MAY be empty', async (one) => {
    const peer = await one.open();
    peer.write(close());
    await peer.until(() => peer.ended, 'the connection ends');
    assert.ok([undefined, 1000].includes(peer.closed()?.code) && peer.closed(), peer.said());
  }],
  ['half a code', '5.5.1: the first two octets of a body MUST be a code', async (one) => refuses(await one.open(), 1002, frame(OPCODE.close, Buffer.from([3])))],
  ['a reason of 123 octets', '5.5, 5.5.1', async (one) => refuses(await one.open(), 1000, close(1000, 'x'.repeat(123)))],
  ['a reason of several bytes a character', '5.5.1', async (one) => refuses(await one.open(), 1000, close(1000, 'Auf Wiedersehen, schöne 😀 Welt'))],
  ['a reason under a mask of zeros', '5.3, 5.5.1', async (one) => refuses(await one.open(), 1001, close(1001, 'x', { mask: [0, 0, 0, 0] }))],
);
table('rfc6455 close codes', server, codes);

// ---- the closing handshake ----

const LAST = '5.5.1: after a close frame no more frames are sent, and none are looked at';
const closed = (peer) => peer.closes(1000);
table('rfc6455 closing', server, [
  ['a close frame before any CONNECT', '5.5.1, 7.1.2', async (one) => refuses(await one.open({ namespace: null }), 1000, close(1000))],
  ['the server ends the TCP connection first', '7.1.1: the server MUST close it', async (one) => {
    const peer = await one.open();
    peer.write(close(1000));
    await peer.until(() => peer.closed(), 'a close frame');
    await peer.until(() => peer.ended, 'the server ends the connection, which this side leaves open');
  }],
  ['a message behind a close frame', LAST, async (one) => {
    const peer = await one.open();
    peer.write(Buffer.concat([close(1000), text(call('1'))]));
    await closed(peer);
    assert.ok(!peer.texts().some((said) => said.startsWith('43')));
  }],
  ['a second close frame', LAST, async (one) => refuses(await one.open(), 1000, Buffer.concat([close(1000), close(1001)]))],
  ['nonsense behind a close frame', LAST, async (one) => refuses(await one.open(), 1000, Buffer.concat([close(1000), Buffer.alloc(1_000, 0xff)]))],
  ['a close frame behind a ping', '5.5.1, 5.5.2', async (one) => {
    const peer = await one.open();
    peer.write(Buffer.concat([frame(OPCODE.ping, 'p'), close(1000)]));
    await closed(peer);
  }],
  ['a close frame in the middle of a message', '5.4, 7.1.2', async (one) => refuses(await one.open(), 1000, text('42/proto', { fin: false }), close(1000))],
  ['a close frame octet by octet', '5.5.1', async (one) => {
    const peer = await one.open();
    await peer.chop(close(1000, 'slowly'));
    await closed(peer);
  }],
  ['the end of TCP without a close frame', '7.1.4, 7.1.5: the server may find the connection ended at any time', async (one) => {
    const peer = await one.open();
    peer.socket.end();
    await peer.until(() => peer.ended, 'the server ends it too');
  }],
  ['the end of TCP within a frame', '7.1.4', async (one) => {
    const peer = await one.open();
    peer.write(text(call('1')).subarray(0, 10));
    peer.socket.end();
    await peer.until(() => peer.ended, 'the server ends it too');
  }],
  ['a close frame, and at once the end of TCP', '7.1.2, 7.1.4', async (one) => {
    const peer = await one.open();
    peer.write(close(1000));
    peer.socket.end();
    await peer.until(() => peer.ended, 'the server ends it too');
  }],
]);

// ---- limits ----

const TOO_BIG = '7.4.1, 10.4: 1009, a message that is too big to process';
const big = (size) => Buffer.from(call(padded(size)));
const half = LIMIT / 2;
table('rfc6455 limits', server, [
  ['a message of exactly the limit', '10.4', async (one) => {
    const peer = await one.open();
    peer.write(text(big(LIMIT)));
    await echoed(peer, padded(LIMIT));
  }],
  ['a message of exactly the limit in fragments', '10.4', async (one) => {
    const peer = await one.open();
    peer.write(...fragments(OPCODE.text, cut(big(LIMIT), half, half + 1)));
    await echoed(peer, padded(LIMIT));
  }],
  ['binary data of half the limit', '10.4', async (one) => {
    const peer = await one.open();
    peer.write(text(binaryCall()), frame(OPCODE.binary, Buffer.alloc(half, 7)));
    await echoedBinary(peer, Buffer.alloc(half, 7));
  }],
  ['a message one octet over the limit', TOO_BIG, async (one) => refuses(await one.open(), 1009, text(big(LIMIT + 1)))],
  ['binary data one octet over the limit', TOO_BIG, async (one) => refuses(await one.open(), 1009, frame(OPCODE.binary, Buffer.alloc(LIMIT + 1)))],
  ['the head alone of a message over the limit', TOO_BIG, async (one) => refuses(await one.open(), 1009, text('', { length: 64, declared: LIMIT + 1 }))],
  ['the head alone of binary data over the limit', TOO_BIG, async (one) => refuses(await one.open(), 1009, frame(OPCODE.binary, '', { length: 64, declared: LIMIT + 1 }))],
  ['two fragments that are over the limit together', TOO_BIG, async (one) => refuses(await one.open(), 1009, ...fragments(OPCODE.text, cut(big(LIMIT + 1), half)))],
  ['the head alone of the fragment that is over the limit', TOO_BIG, async (one) => refuses(await one.open(), 1009,
    text(big(LIMIT).subarray(0, half), { fin: false }), frame(OPCODE.continuation, '', { declared: half + 1 }))],
  ['a hundred fragments that are over the limit together', TOO_BIG, async (one) => refuses(await one.open(), 1009,
    ...fragments(OPCODE.text, cut(big(LIMIT + 1), ...Array.from({ length: 100 }, (_, at) => (at + 1) * 1_000))))],
  ['a first fragment over the limit', TOO_BIG, async (one) => refuses(await one.open(), 1009, text(big(LIMIT + 1), { fin: false }))],
  ['the limit holds for each message, not for all', '10.4', async (one) => {
    const peer = await one.open();
    for (const id of [1, 2, 3]) {
      peer.write(text(call(padded(LIMIT, id), id)));
      await echoed(peer, padded(LIMIT, id), id);
    }
  }],
]);
