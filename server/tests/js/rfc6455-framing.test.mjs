//! RFC 6455, framing: every way to write a length, masks, and messages that arrive in pieces, over a namespace that echoes.

import assert from 'node:assert/strict';
import { binaryCall, call, cut, echoed, echoedBinary, padded, refuses, serves } from './lib/proto.mjs';
import { sharedServer, table } from './lib/table.mjs';
import { close, frame, OPCODE, text } from './lib/websocket.mjs';

const server = sharedServer();
const bytes = (size) => Buffer.from(Array.from({ length: size }, (_, at) => (at * 31) % 256));

/** How the octets of one or more frames reach the server. */
const WAYS = {
  'in one write': async (peer, octets) => peer.write(octets),
  'cut in its header': (peer, octets) => peer.chop(cut(octets, 1, 3)),
  'cut in its mask': (peer, octets) => peer.chop(cut(octets, 5)),
  'cut in two': (peer, octets) => peer.chop(cut(octets, octets.length >> 1)),
};

// ---- lengths ----

const TEXT_SIZES = [40, 125, 126, 127, 128, 65_535, 65_536, 65_537];
const BINARY_SIZES = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537];
const sizes = [];
for (const [way, send] of Object.entries(WAYS)) {
  for (const size of TEXT_SIZES) {
    sizes.push([`a text message of ${size} octets ${way}`, '5.2, 5.6', async (one) => {
      const peer = await one.open();
      const octets = text(call(padded(size)));
      await send(peer, octets);
      await echoed(peer, padded(size));
    }]);
  }
  for (const size of BINARY_SIZES) {
    sizes.push([`a binary message of ${size} octets ${way}`, '5.2, 5.6', async (one) => {
      const peer = await one.open();
      peer.write(text(binaryCall()));
      await send(peer, frame(OPCODE.binary, bytes(size)));
      await echoedBinary(peer, bytes(size));
    }]);
  }
}
table('rfc6455 lengths', server, sizes);

// ---- octet by octet ----

const chopped = [
  ['a text message with a length of 7 bits', (peer) => peer.chop(text(call(padded(60)))), (peer) => echoed(peer, padded(60))],
  ['a text message with a length of 16 bits', (peer) => peer.chop(text(call(padded(300)))), (peer) => echoed(peer, padded(300))],
  ['a text message with a length of 64 bits', (peer) => peer.chop(cutLong(text(call(padded(66_000))))), (peer) => echoed(peer, padded(66_000))],
  ['a binary message', (peer) => peer.chop(Buffer.concat([text(binaryCall()), frame(OPCODE.binary, bytes(200))])), (peer) => echoedBinary(peer, bytes(200))],
  ['an empty binary message', (peer) => peer.chop(Buffer.concat([text(binaryCall()), frame(OPCODE.binary)])), (peer) => echoedBinary(peer, bytes(0))],
  ['a close frame', (peer) => peer.chop(close(1000, 'bye')), (peer) => peer.closes(1000)],
  ['a ping', (peer) => peer.chop(frame(OPCODE.ping, 'chopped')), (peer) => peer.until(() => peer.pongs().some((data) => data.equals(Buffer.from('chopped'))), 'the pong')],
  ['two messages', (peer) => peer.chop(Buffer.concat([text(call('1', 1)), text(call('2', 2))])), (peer) => echoed(peer, '2', 2)],
  ['a message with control frames around', (peer) => peer.chop(Buffer.concat([frame(OPCODE.ping), text(call('1')), frame(OPCODE.pong)])), (peer) => echoed(peer, '1')],
];
/** The first 40 octets one by one, then the rest at once. */
function cutLong(octets) {
  return [...Array.from(octets.subarray(0, 40), (octet) => Buffer.from([octet])), octets.subarray(40)];
}
table('rfc6455 chopped octet by octet', server, chopped.map(([what, send, expect]) => [what, '5.2: frames are a stream, whatever the segments', async (one) => {
  const peer = await one.open();
  await send(peer);
  await expect(peer);
}]));

// ---- masks ----

const MASKS = [[0, 0, 0, 0], [0xff, 0xff, 0xff, 0xff], [0, 0, 0, 1], [1, 0, 0, 0], [0x80, 0x40, 0x20, 0x10], [0x34, 0x32, 0x2f, 0x70], [0xaa, 0x55, 0xaa, 0x55]];
const masks = MASKS.flatMap((mask) => [
  [`text under the mask ${Buffer.from(mask).toString('hex')}`, '5.3', async (one) => {
    const peer = await one.open();
    peer.write(text(call('"é€😀"'), { mask }));
    await echoed(peer, '"é€😀"');
  }],
  [`binary data under the mask ${Buffer.from(mask).toString('hex')}`, '5.3', async (one) => {
    const peer = await one.open();
    peer.write(text(binaryCall(), { mask }), frame(OPCODE.binary, bytes(1_001), { mask }));
    await echoedBinary(peer, bytes(1_001));
  }],
]);
masks.push(['each frame has a mask of its own', '5.3: a fresh masking key for every frame', async (one) => {
  const peer = await one.open();
  for (const [id, mask] of MASKS.entries()) peer.write(text(call(id, id), { mask }));
  for (const id of MASKS.keys()) await echoed(peer, String(id), id);
}]);
for (const [name, octets] of Object.entries({
  'a text frame': text(call('1'), { mask: null }),
  'an empty text frame': text('', { mask: null }),
  'a binary frame': frame(OPCODE.binary, 'x', { mask: null }),
  'a ping': frame(OPCODE.ping, 'x', { mask: null }),
  'a pong': frame(OPCODE.pong, '', { mask: null }),
  'a close frame': close(1000, '', { mask: null }),
  'the second fragment': Buffer.concat([text('42/proto,', { fin: false }), frame(OPCODE.continuation, '1["message-with-ack"]', { mask: null })]),
})) {
  masks.push([`${name} without a mask`, '5.1: a server MUST close on a frame that is not masked', async (one) => refuses(await one.open(), 1002, octets)]);
}
table('rfc6455 masks', server, masks);

// ---- how a length is written ----

const lengths = [
  ['a 64-bit length with the highest bit set', '5.2: the most significant bit MUST be 0', 1002, { length: 64, declared: 0x8000_0000_0000_0001n }],
  ['a 64-bit length of all ones', '5.2: the most significant bit MUST be 0', 1002, { length: 64, declared: 0xffff_ffff_ffff_ffffn }],
  ['a length of 2^63 - 1', '7.4.1, 10.4', 1009, { length: 64, declared: 0x7fff_ffff_ffff_ffffn }],
  ['a length of 2^53', '7.4.1, 10.4', 1009, { length: 64, declared: 1n << 53n }],
  ['a length of 2^32', '7.4.1, 10.4', 1009, { length: 64, declared: 1n << 32n }],
  ['a length of 2^32 - 1', '7.4.1, 10.4', 1009, { length: 64, declared: (1n << 32n) - 1n }],
];
table('rfc6455 lengths that cannot be', server, lengths.flatMap(([what, section, code, options]) => [
  [`text with ${what}`, section, async (one) => refuses(await one.open(), code, text('42', options))],
  [`binary data with ${what}`, section, async (one) => refuses(await one.open(), code, frame(OPCODE.binary, 'x', options))],
]));

// A client must not write a length longer than it need be; a server may take it or refuse it, and does nothing else.
table('rfc6455 lengths longer than they need be', server, [
  ['40 octets with 16 bits', 40, 16], ['40 octets with 64 bits', 40, 64], ['125 octets with 16 bits', 125, 16], ['126 octets with 64 bits', 126, 64],
  ['65,535 octets with 64 bits', 65_535, 64],
].map(([what, size, length]) => [what, '5.2: the minimal number of octets MUST be used', async (one) => {
  const peer = await one.open();
  peer.write(text(call(padded(size)), { length }));
  await peer.until(() => peer.ended || peer.texts().some((said) => said.startsWith('43')), 'an answer, or a close frame');
  if (peer.closed()) return peer.closes(1002);
  await echoed(peer, padded(size));
  return serves(peer);
}]));

// ---- what the server writes ----

table('rfc6455 what the server writes', server, [
  ['its frames are unmasked, whole, and of the shortest length', '5.1, 5.2', async (one) => {
    // The peer of these tests checks each frame; here is one of each length.
    const peer = await one.open();
    for (const [id, size] of [60, 126, 200, 65_535, 65_700].entries()) {
      peer.write(text(call(padded(size, id), id)));
      await echoed(peer, padded(size, id), id);
    }
    assert.ok(peer.frames.every(({ fin }) => fin));
  }],
  ['text comes as text, attachments as binary data', '5.6', async (one) => {
    const peer = await one.open();
    peer.write(text(binaryCall()), frame(OPCODE.binary, bytes(10)));
    await echoedBinary(peer, bytes(10));
    assert.deepEqual(peer.frames.filter(({ data }) => data.toString() !== '2').slice(-2).map(({ opcode }) => opcode), [OPCODE.text, OPCODE.binary]);
  }],
  ['many messages in one write are answered in order', '5.4, 5.6', async (one) => {
    const peer = await one.open();
    peer.write(Buffer.concat(Array.from({ length: 200 }, (_, id) => text(call(id, id)))));
    await echoed(peer, '199', 199);
    const answers = peer.texts().filter((said) => said.startsWith('43'));
    assert.deepEqual(answers, Array.from({ length: 200 }, (_, id) => `43/proto,${id}[${id}]`));
  }],
]);
