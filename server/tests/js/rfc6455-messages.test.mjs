//! RFC 6455, messages in fragments and text that is UTF-8 or is not.

import { binaryCall, call, cut, echoed, echoedBinary, fragments, refuses, serves } from './lib/proto.mjs';
import { sharedServer, table } from './lib/table.mjs';
import { close, frame, OPCODE, text } from './lib/websocket.mjs';

const server = sharedServer();

// ---- fragments ----

const message = Buffer.from(call('"in pieces"'));
const DATA = Buffer.from(Array.from({ length: 300 }, (_, at) => at % 256));
const FRAGMENTED = '5.4: fragments are put together in order';
const taken = {
  'two fragments': cut(message, 20),
  'the first octet alone': cut(message, 1),
  'the last octet alone': cut(message, message.length - 1),
  'three fragments': cut(message, 5, 25),
  'a fragment for each octet': cut(message, ...Array.from({ length: message.length - 1 }, (_, at) => at + 1)),
  'an empty first fragment': [Buffer.alloc(0), message],
  'an empty last fragment': [message, Buffer.alloc(0)],
  'empty fragments all over': cut(message, 0, 7, 7, 7, 30, 30, message.length),
};
const fragmented = [];
for (const [what, pieces] of Object.entries(taken)) {
  fragmented.push(
    [`text as ${what} in one write`, FRAGMENTED, async (one) => {
      const peer = await one.open();
      peer.write(Buffer.concat(fragments(OPCODE.text, pieces)));
      await echoed(peer, '"in pieces"');
    }],
    [`text as ${what}, each in a write of its own`, FRAGMENTED, async (one) => {
      const peer = await one.open();
      await peer.chop(fragments(OPCODE.text, pieces));
      await echoed(peer, '"in pieces"');
      await serves(peer);
    }],
  );
}
for (const [what, places] of Object.entries({ 'two fragments': [150], 'fifty fragments': Array.from({ length: 49 }, (_, at) => 6 * (at + 1)), 'an empty first fragment': [0], 'an empty last fragment': [300] })) {
  fragmented.push([`binary data as ${what}`, FRAGMENTED, async (one) => {
    const peer = await one.open();
    peer.write(text(binaryCall()));
    await peer.chop(fragments(OPCODE.binary, cut(DATA, ...places)));
    await echoedBinary(peer, DATA);
  }]);
}
fragmented.push(
  ['a mask of its own in each fragment', '5.3, 5.4', async (one) => {
    const peer = await one.open();
    peer.write(...cut(message, 9, 18).map((piece, at) => frame(at === 0 ? OPCODE.text : OPCODE.continuation, piece, { fin: at === 2, mask: [at, 255 - at, 7, 0] })));
    await echoed(peer, '"in pieces"');
  }],
  ['a thousand fragments', FRAGMENTED, async (one) => {
    const peer = await one.open();
    const long = Buffer.from(call(`"${'y'.repeat(1_000)}"`));
    peer.write(Buffer.concat(fragments(OPCODE.text, cut(long, ...Array.from({ length: 999 }, (_, at) => at + 1)))));
    await echoed(peer, `"${'y'.repeat(1_000)}"`);
  }],
  ['two messages in fragments one after the other', FRAGMENTED, async (one) => {
    const peer = await one.open();
    peer.write(Buffer.concat([1, 2].flatMap((id) => fragments(OPCODE.text, cut(Buffer.from(call(id, id)), 10)))));
    await echoed(peer, '1', 1);
    await echoed(peer, '2', 2);
  }],
  ['fragments of a text, octet by octet', FRAGMENTED, async (one) => {
    const peer = await one.open();
    await peer.chop(Buffer.concat(fragments(OPCODE.text, cut(message, 4, 5))));
    await echoed(peer, '"in pieces"');
  }],
  ['a close frame between fragments', '5.4, 5.5.1: control frames MAY be injected', async (one) => {
    const peer = await one.open();
    peer.write(text('42/proto,', { fin: false }), close(1000));
    await peer.closes(1000);
  }],
);
const ORDER = '5.4: a continuation continues, and messages are not interleaved';
const refused = {
  'a continuation with nothing to continue': [frame(OPCODE.continuation, 'x')],
  'an empty continuation with nothing to continue': [frame(OPCODE.continuation)],
  'a continuation, not the last, with nothing to continue': [frame(OPCODE.continuation, 'x', { fin: false })],
  'a continuation behind a whole message': [text(call('1')), frame(OPCODE.continuation, 'x')],
  'a continuation behind the last fragment': [...fragments(OPCODE.text, cut(message, 9)), frame(OPCODE.continuation, 'x')],
  'a continuation behind a ping': [frame(OPCODE.ping), frame(OPCODE.continuation, 'x')],
  'text within a text': [text('42', { fin: false }), text(call('1'))],
  'the first fragment of a text within a text': [text('42', { fin: false }), text('42', { fin: false })],
  'binary data within a text': [text('42', { fin: false }), frame(OPCODE.binary, 'x')],
  'text within binary data': [frame(OPCODE.binary, 'x', { fin: false }), text(call('1'))],
  'binary data within binary data': [frame(OPCODE.binary, 'x', { fin: false }), frame(OPCODE.binary, 'x')],
  'text within a text behind a ping': [text('42', { fin: false }), frame(OPCODE.ping), text(call('1'))],
};
for (const [what, octets] of Object.entries(refused)) {
  fragmented.push(
    [what, ORDER, async (one) => refuses(await one.open(), 1002, Buffer.concat(octets))],
    [`${what}, frame by frame`, ORDER, async (one) => {
      const peer = await one.open();
      await peer.chop(octets);
      await peer.closes(1002);
    }],
  );
}
table('rfc6455 fragments', server, fragmented);

// ---- UTF-8 that is valid ----

const VALID = '5.6, 8.1: text is UTF-8, wherever it is cut';
const points = { 'U+007F': 0x7f, 'U+0080': 0x80, 'U+07FF': 0x7ff, 'U+0800': 0x800, 'U+0FFF': 0xfff, 'U+D7FF': 0xd7ff, 'U+E000': 0xe000, 'U+FEFF': 0xfeff, 'U+FFFD': 0xfffd,
  'U+FFFE': 0xfffe, 'U+FFFF': 0xffff, 'U+10000': 0x10000, 'U+1F600': 0x1f600, 'U+3FFFF': 0x3ffff, 'U+FFFFF': 0xfffff, 'U+10FFFF': 0x10ffff };
const valid = Object.entries(points).map(([what, point]) => [what, String.fromCodePoint(point)]).concat([
  ['a Greek word', 'κόσμε'], ['an emoji of several characters', '👩‍👩‍👧'], ['combining characters', 'e\u0301a\u030a'], ['right to left', 'שלום مرحبا'], ['Japanese', '日本語テキスト'],
]);
table('rfc6455 valid utf-8', server, valid.flatMap(([what, characters]) => {
  const json = JSON.stringify(characters);
  const octets = Buffer.from(call(json));
  const at = octets.indexOf(json) + 1;
  return [
    [`${what} in one frame`, VALID, async (one) => {
      const peer = await one.open();
      peer.write(text(octets));
      await echoed(peer, json);
    }],
    [`${what}, a fragment for each octet`, VALID, async (one) => {
      const peer = await one.open();
      await peer.chop(fragments(OPCODE.text, cut(octets, ...Array.from({ length: Buffer.byteLength(characters) }, (_, n) => at + n))));
      await echoed(peer, json);
    }],
  ];
}));

// ---- octets that are no UTF-8 ----

const INVALID = '8.1: on text that is no UTF-8 an endpoint MUST fail the connection';
const invalid = {
  'a continuation octet alone': [0x80], 'the last continuation octet alone': [0xbf], 'two continuation octets': [0x80, 0xbf], 'all continuation octets': Array.from({ length: 64 }, (_, at) => 0x80 + at),
  'a character cut after one of two octets': [0xc3], 'one of three octets': [0xe2], 'two of three octets': [0xe2, 0x82], 'one of four octets': [0xf0], 'two of four octets': [0xf0, 0x9f], 'three of four octets': [0xf0, 0x9f, 0x98],
  'a lead octet before a letter': [0xc3, 0x28], 'a letter as the second of three': [0xe2, 0x28, 0xa1], 'a letter as the third of three': [0xe2, 0x82, 0x28],
  'a letter as the second of four': [0xf0, 0x28, 0x8c, 0xbc], 'a letter as the third of four': [0xf0, 0x90, 0x28, 0xbc], 'a letter as the fourth of four': [0xf0, 0x28, 0x8c, 0x28],
  'a slash in two octets': [0xc0, 0xaf], 'a slash in three octets': [0xe0, 0x80, 0xaf], 'a slash in four octets': [0xf0, 0x80, 0x80, 0xaf], 'a zero in two octets': [0xc0, 0x80],
  'U+007F in two octets': [0xc1, 0xbf], 'U+07FF in three octets': [0xe0, 0x9f, 0xbf], 'U+FFFF in four octets': [0xf0, 0x8f, 0xbf, 0xbf],
  'the first high surrogate': [0xed, 0xa0, 0x80], 'the last high surrogate': [0xed, 0xaf, 0xbf], 'the first low surrogate': [0xed, 0xb0, 0x80], 'the last low surrogate': [0xed, 0xbf, 0xbf],
  'a pair of surrogates': [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80],
  'U+110000': [0xf4, 0x90, 0x80, 0x80], 'U+13FFFF': [0xf4, 0xbf, 0xbf, 0xbf], 'a lead octet f5': [0xf5, 0x80, 0x80, 0x80], 'five octets': [0xf8, 0x88, 0x80, 0x80, 0x80], 'six octets': [0xfc, 0x84, 0x80, 0x80, 0x80, 0x80],
  'the octet fe': [0xfe], 'the octet ff': [0xff], 'both': [0xfe, 0xff], 'Latin-1': [...Buffer.from('caf\u00e9 au lait', 'latin1')], 'UTF-16': [0xff, 0xfe, 0x41, 0],
};
table('rfc6455 invalid utf-8', server, Object.entries(invalid).flatMap(([what, octets]) => {
  const head = Buffer.from('42/proto,1["message-with-ack","');
  const whole = Buffer.concat([head, Buffer.from(octets), Buffer.from('"]')]);
  return [
    [`${what} in one frame`, INVALID, async (one) => refuses(await one.open(), 1007, text(whole))],
    [`${what} in fragments`, INVALID, async (one) => refuses(await one.open(), 1007, ...fragments(OPCODE.text, cut(whole, head.length + (octets.length >> 1))))],
  ];
}));

table('rfc6455 utf-8 at the end', server, [
  ['a message that ends within a character', INVALID, async (one) => refuses(await one.open(), 1007, text(Buffer.concat([message, Buffer.from([0xe2, 0x82])])))],
  ['a last fragment that ends within a character', INVALID, async (one) => refuses(await one.open(), 1007, ...fragments(OPCODE.text, [message, Buffer.from([0xc3])]))],
  ['an empty last fragment after half a character', INVALID, async (one) => refuses(await one.open(), 1007, ...fragments(OPCODE.text, [Buffer.concat([message, Buffer.from([0xc3])]), Buffer.alloc(0)]))],
  ['the only octet of a message', INVALID, async (one) => refuses(await one.open(), 1007, text(Buffer.from([0xff])))],
  ['binary data need not be UTF-8', '5.6: binary data is arbitrary', async (one) => {
    const peer = await one.open();
    peer.write(text(binaryCall()), frame(OPCODE.binary, Buffer.from([0xff, 0xfe, 0xc0, 0x80, 0xed, 0xa0, 0x80])));
    await echoedBinary(peer, Buffer.from([0xff, 0xfe, 0xc0, 0x80, 0xed, 0xa0, 0x80]));
  }],
]);
