//! What an existing Socket.IO application expects of a server, spoken by a plugin that was written with the public API only.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Manager } from 'socket.io-client';
import { disconnected, record, refused } from './lib/client.mjs';
import { start } from './lib/server.mjs';

const fixture = (t, options = {}) => start(t, { program: 'fixture', ...options });

test('any arguments come back unchanged, nested binary included', async (t) => {
  const server = await fixture(t);
  const socket = await server.connect('/proto');
  const rounds = [
    [],
    [null],
    [0, -1.5, 1e21, true, false, '', 'é😀"\\\n'],
    [[], {}, [[[]]], { a: { b: [{ c: null }] } }],
    [Buffer.from([1, 2, 3])],
    [{ deep: [{ er: Buffer.from('one') }, 'between', { twin: Buffer.from('two') }] }, 'after', Buffer.alloc(0)],
    [Buffer.alloc(70_000, 7), { again: Buffer.alloc(300, 8) }],
  ];
  for (const args of rounds) {
    socket.seen.length = 0;
    assert.deepEqual(await socket.call('message-with-ack', ...args), args, 'as an ack of several arguments');
    socket.emit('message', ...args);
    assert.deepEqual(await socket.next('message-back'), args, 'as an event');
  }
});

test('numbers and text pass through as the client wrote them', async (t) => {
  const server = await fixture(t);
  const raw = await server.raw({ namespace: '/proto' });
  raw.send('42/proto,7["message-with-ack",1.50,1e2,{"b":1,"a":2,"a":3},"\\u00e9"]');
  assert.equal(await raw.frame('43/proto,7'), '43/proto,7[1.50,1e2,{"b":1,"a":2,"a":3},"\\u00e9"]');
});

test('a call from the server is answered by the client, with several arguments and binary', async (t) => {
  const server = await fixture(t);
  const socket = await server.connect('/proto');
  socket.on('question', (what, answer) => answer('you asked', what, Buffer.from([9])));
  assert.deepEqual(await socket.call('ask', { what: 'why', timeout_ms: 5_000 }), ['you asked', 'why', Buffer.from([9])]);
});

test('a call from the server that the client never answers times out', async (t) => {
  const server = await fixture(t);
  const socket = await server.connect('/proto');
  const [answer] = await socket.call('ask', { what: 'nobody listens', timeout_ms: 100 });
  assert.equal(answer.ok, false);
  assert.equal(answer.error.code, 'timeout');
  assert.equal(answer.error.retryable, true);
});

test('two calls from the server are in flight at once and each gets its own answer', async (t) => {
  const server = await fixture(t);
  const [slow, quick] = await Promise.all([server.connect('/proto'), server.connect('/proto')]);
  const held = [];
  slow.on('question', (what, answer) => held.push(() => answer('slow', what)));
  quick.on('question', (what, answer) => answer('quick', what));
  const first = slow.call('ask', { what: 'a', timeout_ms: 5_000 });
  await slow.next('question');
  assert.deepEqual(await quick.call('ask', { what: 'b', timeout_ms: 5_000 }), ['quick', 'b']);
  held[0]();
  assert.deepEqual(await first, ['slow', 'a']);
});

test('a plugin refuses a connection with its own message, and admits the right one', async (t) => {
  const server = await fixture(t);
  const error = await refused(server.client('/second', { auth: { token: 'guessed' } }));
  assert.equal(error.message, 'the token is wrong');
  assert.equal((await refused(server.client('/second'))).message, 'the token is missing');
  const socket = await server.connect('/second', { auth: { token: 'right', more: [1] } });
  assert.deepEqual(await socket.next('auth'), [{ token: 'right', more: [1] }]);
});

test('two namespaces share one connection and keep their own state', async (t) => {
  const server = await fixture(t);
  const manager = new Manager(server.url, { reconnection: false });
  const proto = record(manager.socket('/proto'));
  const second = record(manager.socket('/second', { auth: { token: 'right' } }));
  server.closers.push(() => { proto.close(); second.close(); });
  await Promise.all([proto.opened(), second.opened()]);
  assert.equal(proto.io.engine.id, second.io.engine.id);

  assert.deepEqual(await proto.call('count'), [{ ok: true, data: { calls: 1 } }]);
  assert.deepEqual(await second.call('count'), [{ ok: true, data: { calls: 1 } }]);
  assert.deepEqual(await proto.call('count'), [{ ok: true, data: { calls: 2 } }]);

  // Leaving one namespace leaves the other one as it is.
  proto.disconnect();
  assert.deepEqual(await second.call('count'), [{ ok: true, data: { calls: 2 } }]);
  assert.equal(proto.all('auth').length, 0, 'nothing of one namespace reaches the other');
});

test('a plugin publishes into a namespace it does not own', async (t) => {
  const server = await fixture(t);
  const proto = await server.connect('/proto');
  const second = await server.connect('/second', { auth: { token: 'right' } });
  assert.equal((await second.call('tell', { text: 'over the wall' }))[0].ok, true);
  assert.deepEqual(await proto.next('told'), [{ text: 'over the wall' }]);
});

test('rooms: exactly the members that are not excepted, each once', async (t) => {
  const server = await fixture(t);
  const sockets = await Promise.all(Array.from({ length: 5 }, () => server.connect('/proto')));
  const rooms = [['red'], ['red', 'blue'], ['red', 'green'], ['blue'], []];
  for (const [at, names] of rooms.entries()) {
    for (const room of names) assert.equal((await sockets[at].call('join', { room }))[0].ok, true);
  }
  const shouts = [
    [{ text: 'everyone' }, [0, 1, 2, 3, 4]],
    [{ text: 'red', rooms: ['red'] }, [0, 1, 2]],
    [{ text: 'red or blue', rooms: ['red', 'blue'] }, [0, 1, 2, 3]],
    [{ text: 'red but not blue', rooms: ['red'], except: ['blue'] }, [0, 2]],
    [{ text: 'all but red', except: ['red'] }, [3, 4]],
    [{ text: 'nobody', rooms: ['empty'] }, []],
  ];
  const expected = sockets.map(() => []);
  for (const [shout, members] of shouts) {
    assert.equal((await sockets[4].call('shout', shout))[0].ok, true);
    for (const at of members) expected[at].push([{ text: shout.text }]);
  }
  assert.equal((await sockets[1].call('leave', { room: 'red' }))[0].ok, true);
  assert.equal((await sockets[4].call('shout', { text: 'after', rooms: ['red'] }))[0].ok, true);
  for (const at of [0, 2]) expected[at].push([{ text: 'after' }]);
  // The last word goes to everyone: what a client got before it is all it will ever get.
  assert.equal((await sockets[4].call('shout', { text: 'end' }))[0].ok, true);
  for (const [at, socket] of sockets.entries()) {
    await socket.next('shouted', { where: ({ text }) => text === 'end' });
    assert.deepEqual(socket.all('shouted'), [...expected[at], [{ text: 'end' }]], `client ${at}`);
  }
});

test('a client that left is in no room any more', async (t) => {
  const server = await fixture(t);
  const [gone, stays] = await Promise.all([server.connect('/proto'), server.connect('/proto')]);
  await gone.call('join', { room: 'red' });
  assert.deepEqual((await stays.call('members', { room: 'red' }))[0].data, { clients: 1 });
  gone.close();
  await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_connected_clients', { namespace: '/proto' }), 1));
  assert.deepEqual((await stays.call('members', { room: 'red' }))[0].data, { clients: 0 });
});

test('the catch-all takes every event that has no handler of its own', async (t) => {
  const server = await fixture(t);
  const socket = await server.connect('/proto');
  assert.deepEqual(await socket.call('never-declared', 1, { two: 2 }), [{ ok: true, data: { event: 'never-declared', arguments: 2 } }]);
  assert.deepEqual(await socket.call('number', { n: 1 }), [{ ok: true, data: { n: 1 } }], 'a declared event goes to its own handler');
});

test('state belongs to one client', async (t) => {
  const server = await fixture(t);
  const [one, two] = await Promise.all([server.connect('/proto'), server.connect('/proto')]);
  for (let n = 1; n <= 3; n += 1) assert.deepEqual(await one.call('count'), [{ ok: true, data: { calls: n } }]);
  assert.deepEqual(await two.call('count'), [{ ok: true, data: { calls: 1 } }]);
});

test('a payload of the wrong shape is answered with the JSON path of the mistake', async (t) => {
  const server = await fixture(t);
  const socket = await server.connect('/proto');
  const [answer] = await socket.call('move', { to: { x: 1, y: 'two' } });
  assert.equal(answer.ok, false);
  assert.equal(answer.error.code, 'bad_payload');
  assert.equal(answer.error.retryable, false);
  assert.match(answer.error.message, /to\.y/);
});

test('an error the plugin wrote reaches the client as written', async (t) => {
  const server = await fixture(t);
  const socket = await server.connect('/proto');
  for (const code of ['not_found', 'forbidden', 'too_large', 'rate_limited', 'overloaded', 'unavailable']) {
    const [answer] = await socket.call('fail', { code, message: `my own ${code}` });
    assert.equal(answer.ok, false);
    assert.equal(answer.error.code, code);
    assert.equal(answer.error.message, `my own ${code}`);
    assert.equal(typeof answer.error.retryable, 'boolean');
  }
});

test('every other error is answered with an id, and its cause stays in the log under the same id', async (t) => {
  const server = await fixture(t);
  const socket = await server.connect('/proto');
  const [answer] = await socket.call('parse', { text: 'not a number, secret-4711' });
  assert.equal(answer.ok, false);
  assert.equal(answer.error.code, 'internal');
  assert.ok(answer.error.id);
  assert.doesNotMatch(JSON.stringify(answer), /invalid digit|secret-4711/, 'the cause is not for the client');
  const [line] = await server.logged(new RegExp(`.*${answer.error.id}.*`));
  assert.match(line, /invalid digit/);
});

test('without an ack an error comes as the event "error"', async (t) => {
  const server = await fixture(t);
  const socket = await server.connect('/proto');
  socket.emit('fail', { code: 'not_found', message: 'no such thing' });
  const [error] = await socket.next('error');
  assert.equal(error.message, 'no such thing');
  assert.equal(error.code, 'not_found');
  assert.match(error.timestamp, /^\d{4}-.*Z$/);
});

test('a plugin ends a client: politely from one namespace, or with its connection', async (t) => {
  const server = await fixture(t);
  const polite = await server.connect('/proto');
  polite.emit('leave-me', { how: 'disconnect' });
  assert.equal((await disconnected(polite)).reason, 'io server disconnect');
  for (const transports of [['websocket'], ['polling']]) {
    const killed = await server.connect('/proto', { transports });
    killed.emit('leave-me', { how: 'close' });
    assert.match((await disconnected(killed)).reason, /transport (close|error)/);
  }
});

test('a query over HTTP reaches the plugin that declared it', async (t) => {
  const server = await fixture(t);
  const found = await server.fetch('/api/second/words/caf%C3%A9?loud=true');
  assert.equal(found.status, 200);
  assert.match(found.headers.get('content-type'), /^application\/json/);
  assert.deepEqual(await found.json(), { word: 'CAFÉ' });
  const missing = await server.fetch('/api/second/words/none');
  assert.equal(missing.status, 404);
});
