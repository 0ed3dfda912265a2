//! Socket.IO protocol 5, events and acks with and without attachments, and packets that are malformed, over every transport.

import assert from 'node:assert/strict';
import { join, onEach } from './lib/line.mjs';
import { answer, binaryCall, call } from './lib/proto.mjs';
import { sharedServer, table } from './lib/table.mjs';

const server = sharedServer();
const EVENT = 'EVENT: a payload that is an array with the name first, and an id if an ack is wanted';
const ACK = 'ACK: the id of the event, and an array';
const BINARY = 'BINARY_EVENT, BINARY_ACK: the number of attachments, then the attachments';
const place = (num) => `{"_placeholder":true,"num":${num}}`;
const attached = (count, id = 1) => `45${count}-/proto,${id}["message-with-ack",${Array.from({ length: count }, (_, num) => place(num)).join(',')}]`;

/** A row in which `/proto` has been joined. */
const joined = ([name, section, run]) => [name, section, async (line, one) => {
  await join(line);
  await run(line, one);
}];
/** A row in which `sent` is answered with `got`, to the letter. */
const answered = (name, section, sent, got) => [name, section, async (line) => {
  await line.send(...[sent].flat());
  assert.equal(await line.packet(got.slice(0, got.indexOf('[') + 1)), got);
}];
/** A row in which `sent` ends the session. */
const fatal = (name, section, ...sent) => [name, section, async (line) => {
  await line.send(...sent);
  await line.ends();
  assert.ok(!line.said().some((packet) => packet.startsWith('43')), 'and is not answered');
}];

table('socketio events', server, onEach([
  answered('an event with an ack', EVENT, call('1,"two",{"three":[null,true]}'), answer('1,"two",{"three":[null,true]}')),
  answered('no arguments', ACK, '42/proto,1["message-with-ack"]', '43/proto,1[]'),
  ['an event without an ack', EVENT, async (line) => {
    await line.send('42/proto,["message",1,{"a":"é"}]');
    assert.equal(await line.packet('42/proto,["message-back"'), '42/proto,["message-back",1,{"a":"é"}]');
  }],
  answered('numbers and text as they were written', EVENT, call('1.50,1e2,-0,{"b":1,"a":2},"\\u00e9\\ud83d\\ude00\\/"'), answer('1.50,1e2,-0,{"b":1,"a":2},"\\u00e9\\ud83d\\ude00\\/"')),
  answered('the id 0', ACK, call('1', 0), answer('1', 0)),
  answered('an id with zeros in front', ACK, '42/proto,007["message-with-ack",1]', '43/proto,7[1]'),
  answered('the largest id of 32 bits', ACK, call('1', 4_294_967_295), answer('1', 4_294_967_295)),
  answered('the largest id that JavaScript counts', ACK, call('1', Number.MAX_SAFE_INTEGER), answer('1', Number.MAX_SAFE_INTEGER)),
  answered('the largest id of 63 bits', ACK, call('1', '9223372036854775807'), answer('1', '9223372036854775807')),
  ['the same id twice', ACK, async (line) => {
    await line.send(call('1', 5), call('2', 5));
    await line.packet(answer('2', 5));
    assert.ok(line.said().includes(answer('1', 5)));
  }],
  answered('spaces within the array', EVENT, '42/proto,1[ "message-with-ack" , 1 ]', '43/proto,1[1]'),
  answered('a name with an escape', EVENT, '42/proto,1["sant\\u00e9"]', '43/proto,1[{"ok":true,"data":{"event":"santé","arguments":0}}]'),
  answered('a name that is not ASCII', EVENT, '42/proto,1["santé"]', '43/proto,1[{"ok":true,"data":{"event":"santé","arguments":0}}]'),
  answered('a name with quotes and backslashes', EVENT, '42/proto,1["a\\"b\\\\c"]', '43/proto,1[{"ok":true,"data":{"event":"a\\"b\\\\c","arguments":0}}]'),
  answered('a declared name that is written with an escape', EVENT, '42/proto,1["n\\u0075mber",{"n":7}]', '43/proto,1[{"ok":true,"data":{"n":7}}]'),
  answered('an empty name', EVENT, '42/proto,1[""]', '43/proto,1[{"ok":true,"data":{"event":"","arguments":0}}]'),
  answered('a name with a surrogate pair in escapes', EVENT, '42/proto,1["\\ud83d\\ude00"]', '43/proto,1[{"ok":true,"data":{"event":"😀","arguments":0}}]'),
  ['a question of the server is answered by the client', ACK, async (line) => {
    await line.send('42/proto,1["ask",{"what":"why","timeout_ms":5000}]');
    const question = await line.packet('42/proto,');
    const [, id] = /^42\/proto,(\d+)\["question","why"\]$/.exec(question);
    await line.send(`43/proto,${id}["because",{"of":1.0}]`);
    assert.equal(await line.packet('43/proto,1['), '43/proto,1["because",{"of":1.0}]');
  }],
  ['a question that is answered twice, and an answer to nobody', ACK, async (line) => {
    await line.send('42/proto,1["ask",{"what":"why","timeout_ms":5000}]');
    const [, id] = /^42\/proto,(\d+)\[/.exec(await line.packet('42/proto,'));
    await line.send('43/proto,99999[]', '43/proto,9223372036854775807[]', `43/proto,${id}["one"]`, `43/proto,${id}["two"]`);
    assert.equal(await line.packet('43/proto,1['), '43/proto,1["one"]');
    await line.send(call('3', 3));
    await line.packet(answer('3', 3));
  }],
].map(joined)));

table('socketio binary', server, onEach([
  ['one attachment both ways', BINARY, async (line) => {
    await line.send(binaryCall(), Buffer.from([0, 255, 1]));
    assert.equal(await line.packet('461-'), `461-/proto,1[${place(0)}]`);
    assert.deepEqual(await line.attachments(1), [Buffer.from([0, 255, 1])]);
  }],
  ['an event without an ack', BINARY, async (line) => {
    await line.send(`452-/proto,["message",${place(0)},{"deep":[${place(1)}]}]`, Buffer.from('a'), Buffer.from('b'));
    assert.equal(await line.packet('452-'), `452-/proto,["message-back",${place(0)},{"deep":[${place(1)}]}]`);
    assert.deepEqual((await line.attachments(2)).map(String), ['a', 'b']);
  }],
  ['ten attachments', BINARY, async (line) => {
    await line.send(attached(10), ...Array.from({ length: 10 }, (_, n) => Buffer.from([n])));
    await line.packet('4610-/proto,1[');
    assert.deepEqual((await line.attachments(10)).map(([n]) => n), Array.from({ length: 10 }, (_, n) => n));
  }],
  ['an attachment of no octets', BINARY, async (line) => {
    await line.send(binaryCall(), Buffer.alloc(0));
    await line.packet('461-');
    assert.deepEqual(await line.attachments(1), [Buffer.alloc(0)]);
  }],
  ['placeholders in another order', BINARY, async (line) => {
    await line.send(`452-/proto,1["message-with-ack",${place(1)},${place(0)}]`, Buffer.from('zero'), Buffer.from('one'));
    const got = JSON.parse((await line.packet('462-')).slice('462-/proto,1'.length));
    const attachments = (await line.attachments(2)).map(String);
    assert.deepEqual(got.map(({ num }) => attachments[num]), ['one', 'zero']);
  }],
  ['attachments one by one', BINARY, async (line) => {
    await line.send(attached(2));
    await line.send(Buffer.from('a'));
    await line.send(Buffer.from('b'));
    await line.packet('462-');
    assert.deepEqual((await line.attachments(2)).map(String), ['a', 'b']);
  }],
  ['a pong between an event and its attachment', BINARY, async (line) => {
    await line.send(binaryCall(), '3', Buffer.from('x'));
    await line.packet('461-');
  }],
  ['a question of the server is answered with an attachment', BINARY, async (line) => {
    await line.send('42/proto,1["ask",{"what":"why","timeout_ms":5000}]');
    const [, id] = /^42\/proto,(\d+)\[/.exec(await line.packet('42/proto,'));
    await line.send(`461-/proto,${id}["it is",${place(0)}]`, Buffer.from('this'));
    assert.equal(await line.packet('461-/proto,1['), `461-/proto,1["it is",${place(0)}]`);
    assert.deepEqual((await line.attachments(1)).map(String), ['this']);
  }],
  fatal('text where an attachment is due', BINARY, binaryCall(), call('2', 2)),
  fatal('DISCONNECT where an attachment is due', BINARY, binaryCall(), '41/proto,'),
  fatal('another binary event where an attachment is due', BINARY, binaryCall(), binaryCall(2)),
  fatal('an attachment that was not announced', BINARY, Buffer.from('x')),
  fatal('more attachments than announced', BINARY, `451-/proto,["count",${place(0)}]`, Buffer.from('a'), Buffer.from('b')),
  fatal('eleven attachments', 'docs/protocol.md: ten at most', attached(11)),
].map(joined)));

const MALFORMED = 'Packet encoding: a packet that cannot be decoded closes the connection';
table('socketio malformed', server, onEach([
  ...Object.entries({
    'an empty packet': '4', 'a type that is not there': '47', 'a type that is a letter': '4x', 'an event without a payload': '42/proto,', 'an event with an id and no payload': '42/proto,1',
    'an event that is an object': '42/proto,1{"a":1}', 'an event that is text': '42/proto,1"message"', 'an event that is null': '42/proto,1null', 'an empty array': '42/proto,1[]',
    'a name that is a number': '42/proto,1[1]', 'a name that is null': '42/proto,1[null]', 'a name that is an array': '42/proto,1[["message-with-ack"]]',
    'an array cut short': '42/proto,1["message-with-ack",', 'an array without an end': '42/proto,1["message-with-ack"', 'a name cut short': '42/proto,1["message-with',
    'an argument that is no JSON': '42/proto,1["message-with-ack",nonsense]', 'a comma too many': '42/proto,1["message-with-ack",]', 'two commas': '42/proto,1["message-with-ack",,1]',
    'a bracket too many': '42/proto,1["message-with-ack"]]', 'something behind the array': '42/proto,1["message-with-ack"]x', 'a number with a zero in front': '42/proto,1["message-with-ack",01]',
    'NaN': '42/proto,1["message-with-ack",NaN]', 'single quotes': "42/proto,1['message-with-ack']", 'a line feed within text': '42/proto,1["message-with-ack","a\nb"]',
    'an escape that is not there': '42/proto,1["message-with-ack","\\x41"]', 'a key without quotes': '42/proto,1["message-with-ack",{a:1}]', 'a negative id': '42/proto,-1["message-with-ack"]',
    'an id with a point': '42/proto,1.5["message-with-ack"]', 'an id of 300 digits': `42/proto,${'9'.repeat(300)}["message-with-ack"]`, 'a byte order mark': '42/proto,1\ufeff["message-with-ack"]',
    'an ack without an id': '43/proto,["x"]', 'an ack without a payload': '43/proto,1', 'an ack that is an object': '43/proto,1{}',
    'a binary event without a number': '45/proto,["message"]', 'a binary event without a dash': '451/proto,["message"]', 'a number of attachments that is text': '45x-/proto,["message"]',
    'a negative number of attachments': '45-1-/proto,["message"]', 'a number of attachments of 300 digits': `45${'9'.repeat(300)}-/proto,["message"]`, 'a binary event without a payload': '451-/proto,',
    'a binary ack without an id': '461-/proto,["x"]', 'a binary event that is no JSON': '451-/proto,["message",nonsense]',
  }).map(([what, packet]) => fatal(what, MALFORMED, packet)),
].map(joined), ['websocket', 'polling']));
