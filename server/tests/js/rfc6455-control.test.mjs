//! RFC 6455, pings and pongs, reserved bits and reserved opcodes.

import assert from 'node:assert/strict';
import { call, echoed, fragments, refuses, serves } from './lib/proto.mjs';
import { sharedServer, table } from './lib/table.mjs';
import { close, frame, OPCODE, text } from './lib/websocket.mjs';

const server = sharedServer();
const ping = (payload, options) => frame(OPCODE.ping, payload, options);
const pong = (payload, options) => frame(OPCODE.pong, payload, options);
/** The pong of this payload comes. */
const ponged = (peer, payload) => peer.until(() => peer.pongs().some((data) => data.equals(Buffer.from(payload))), 'the pong');

// ---- pings ----

const payloads = {
  'no payload': '', 'one octet': 'x', 'text': 'Hello, world!', '124 octets': 'x'.repeat(124), '125 octets': 'x'.repeat(125),
  'octets that are no UTF-8': Buffer.from([0, 0xff, 0xfe, 0xc0, 0x80]), 'zeros': Buffer.alloc(64), 'the octets of a close frame': close(1000),
  'the text of a packet': '42/proto,5["message-with-ack"]', 'the text of a CONNECT': '40/echo,',
};
const pings = Object.entries(payloads).map(([what, payload]) => [`a ping with ${what} gets a pong with the same`, '5.5.2, 5.5.3', async (one) => {
  const peer = await one.open();
  peer.write(ping(payload));
  await ponged(peer, payload);
  await serves(peer);
}]);
for (const [what, octets] of Object.entries({
  'a ping of 126 octets': ping('x'.repeat(126)), 'a pong of 126 octets': pong('x'.repeat(126)), 'a close frame of 126 octets': close(1000, 'x'.repeat(124)),
  'a ping of 65,536 octets': ping('x'.repeat(65_536)), 'a ping that claims 2^32 octets': ping('', { length: 64, declared: 1n << 32n }),
})) {
  pings.push([what, '5.5: a control frame MUST have a payload of 125 octets or less', async (one) => refuses(await one.open(), 1002, octets)]);
}
for (const [what, octets] of Object.entries({
  'a ping': ping('', { fin: false }), 'a ping with a payload': ping('x', { fin: false }), 'a pong': pong('', { fin: false }), 'a close frame': close(1000, '', { fin: false }),
  'a ping, and its end': Buffer.concat([ping('x', { fin: false }), frame(OPCODE.continuation, 'y')]),
})) {
  pings.push([`${what} in fragments`, '5.5: a control frame MUST NOT be fragmented', async (one) => refuses(await one.open(), 1002, octets)]);
}
pings.push(
  ['a pong nobody asked for', '5.5.3: an answer is not expected', async (one) => {
    const peer = await one.open();
    peer.write(pong(), pong('x'.repeat(125)), pong(Buffer.from([0xff])));
    await serves(peer);
    assert.equal(peer.pongs().length, 0);
  }],
  ['a pong nobody asked for, then a ping', '5.5.2, 5.5.3', async (one) => {
    const peer = await one.open();
    peer.write(pong('mine'), ping('yours'));
    await ponged(peer, 'yours');
    assert.deepEqual(peer.pongs().map(String), ['yours']);
  }],
  ['ten pings one after the other', '5.5.2', async (one) => {
    const peer = await one.open();
    for (let n = 0; n < 10; n += 1) {
      peer.write(ping(`n${n}`));
      await ponged(peer, `n${n}`);
    }
    assert.deepEqual(peer.pongs().map(String), Array.from({ length: 10 }, (_, n) => `n${n}`));
  }],
  ['a hundred pings at once: the last is answered, and none twice', '5.5.3: MAY elect to answer the most recent only', async (one) => {
    const peer = await one.open();
    peer.write(Buffer.concat(Array.from({ length: 100 }, (_, n) => ping(`n${n}`))));
    await ponged(peer, 'n99');
    const numbers = peer.pongs().map((data) => Number(data.toString().slice(1)));
    assert.deepEqual(numbers, [...new Set(numbers)].sort((first, second) => first - second));
  }],
  ['a ping before any CONNECT', '5.5.2', async (one) => {
    const peer = await one.open({ namespace: null });
    peer.write(ping('early'));
    await ponged(peer, 'early');
  }],
  ['a ping between the fragments of a message', '5.4, 5.5: control frames MAY be injected', async (one) => {
    const peer = await one.open();
    const [first, second] = fragments(OPCODE.text, ['42/proto,1["message-', 'with-ack",7]']);
    peer.write(first, ping('between'));
    await ponged(peer, 'between');
    peer.write(second);
    await echoed(peer, '7');
  }],
  ['pings and pongs between all fragments of a message', '5.4, 5.5', async (one) => {
    const peer = await one.open();
    const pieces = fragments(OPCODE.text, [...call('"abc"')]);
    peer.write(Buffer.concat(pieces.flatMap((piece) => [ping('p'), piece, pong('q')])));
    await echoed(peer, '"abc"');
    await ponged(peer, 'p');
  }],
  ['a ping under a mask of zeros', '5.3', async (one) => {
    const peer = await one.open();
    peer.write(ping('bare', { mask: [0, 0, 0, 0] }));
    await ponged(peer, 'bare');
  }],
  ['a ping behind a close frame', '5.5.1: nothing after a close frame', async (one) => {
    const peer = await one.open();
    peer.write(close(1000), ping('late'));
    await peer.closes(1000);
    assert.equal(peer.pongs().length, 0);
  }],
);
table('rfc6455 ping and pong', server, pings);

// ---- reserved bits ----

const FRAMES = {
  'text': [OPCODE.text, call('1')], 'binary data': [OPCODE.binary, 'x'], 'a ping': [OPCODE.ping, 'x'], 'a pong': [OPCODE.pong, ''],
  'a close frame': [OPCODE.close, Buffer.from([3, 0xe8])], 'a continuation': [OPCODE.continuation, 'x'],
};
const SECTION = '5.2: a reserved bit MUST be 0 unless an extension says what it is';
const reserved = [];
for (let rsv = 1; rsv < 8; rsv += 1) {
  for (const [what, [opcode, payload]] of Object.entries(FRAMES)) {
    reserved.push([`${what} with the bits ${rsv.toString(2).padStart(3, '0')}`, SECTION, async (one) => {
      const peer = await one.open();
      if (opcode === OPCODE.continuation) peer.write(text('42/proto,', { fin: false }));
      await refuses(peer, 1002, frame(opcode, payload, { rsv }));
    }]);
  }
  reserved.push([`a good message, then one with the bits ${rsv.toString(2).padStart(3, '0')}`, SECTION, async (one) => {
    const peer = await one.open();
    peer.write(text(call('1')));
    await echoed(peer, '1');
    await refuses(peer, 1002, text(call('2', 2), { rsv }));
    assert.ok(!peer.texts().some((said) => said.startsWith('43/proto,2[')), 'it is not taken');
  }]);
}
table('rfc6455 reserved bits', server, reserved);

// ---- opcodes ----

const OPCODES = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15];
const UNKNOWN = '5.2: on an unknown opcode the receiver MUST fail the connection';
table('rfc6455 opcodes', server, OPCODES.flatMap((opcode) => [
  [`opcode ${opcode}, empty`, UNKNOWN, async (one) => refuses(await one.open(), 1002, frame(opcode))],
  [`opcode ${opcode} with a payload`, UNKNOWN, async (one) => refuses(await one.open(), 1002, frame(opcode, 'x'))],
  [`opcode ${opcode} between fragments`, UNKNOWN, async (one) => refuses(await one.open(), 1002, text('42/proto,', { fin: false }), frame(opcode, 'x'))],
  [`opcode ${opcode} behind a good message, octet by octet`, UNKNOWN, async (one) => {
    const peer = await one.open();
    await peer.chop(Buffer.concat([text(call('1')), frame(opcode, '')]));
    await peer.closes(1002);
  }],
]));
