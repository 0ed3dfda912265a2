//! Bad input, second part: Socket.IO packets that are malformed, and events nobody can answer as they are.

import assert from 'node:assert/strict';
import { ENGINE } from './lib/engine-differences.mjs';
import { left, outcome, row } from './lib/rows.mjs';
import { openPolling } from './lib/raw.mjs';

const CLOSED = 'the connection is closed';
const BAD_PACKET = '`disconnections_total{reason="bad_packet"}`';
const OUTCOME = (name) => `\`handler_outcomes_total{outcome="${name}"}\``;
const BAD_PAYLOAD = '`bad_payload`';

// ---- packets ----

const closing = {
  'an empty Socket.IO packet': '4',
  'a Socket.IO packet of no known type': '49',
  'an event that is not JSON': '42/tiny,1["hello",nonsense]',
  'an event that is cut short': '42/tiny,1["hello",{"name":"you"',
  'an event that is not an array': '42/tiny,{"hello":1}',
  'an event without a name': '42/tiny,[]',
  'an event whose name is a number': '42/tiny,[1,2]',
  'an ack without an id': '43/tiny,["x"]',
  'a binary event without a number of attachments': '45/tiny,["hello"]',
  'a binary event with more attachments than allowed': '4511-/tiny,["hello"]',
  'a binary event with an impossible number of attachments': '4599999999999999999999-/tiny,["hello"]',
};

for (const [what, packet] of Object.entries(closing)) {
  row(what, CLOSED, BAD_PACKET, async (server) => {
    const raw = await server.raw({ namespace: '/tiny' });
    raw.send(packet);
    await raw.ends();
    await left(server, 'bad_packet');
  });
}

row('a malformed Socket.IO packet in a POST', 'the session is closed', BAD_PACKET, async (server) => {
  const session = await openPolling(server.url, '/tiny');
  await session.post('42/tiny,{}');
  await left(server, 'bad_packet');
  assert.equal((await session.get()).status, 400, 'the session is gone');
});

row('text where an announced attachment must come', CLOSED, BAD_PACKET, async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('451-/tiny,["hello",{"_placeholder":true,"num":0}]');
  raw.send('42/tiny,["hello",{"name":"you"}]');
  await raw.ends();
  await left(server, 'bad_packet');
});

row('an event to a namespace the client did not join', CLOSED, '`disconnections_total{reason="transport_close"}`', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('42/second,1["count"]');
  await raw.ends();
  await left(server, 'transport_close');
});

row('an event to an unknown namespace', 'ignored', '—', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('42/nope,1["hello"]');
  raw.send('42/tiny,2["hello",{"name":"you"}]');
  await raw.frame('43/tiny,2[{"ok":true');
  assert.deepEqual(raw.frames.filter((frame) => frame.includes('/nope')), []);
});

row('an ack to nobody', 'ignored', '—', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('43/tiny,999["who asked?"]');
  raw.send('43/tiny,9223372036854775807[]');
  raw.send('42/tiny,1["hello",{"name":"you"}]');
  assert.equal(await raw.frame('43/tiny,1'), '43/tiny,1[{"ok":true,"data":"hello, you"}]');
});

row('the largest ack id, 9223372036854775807', 'answered under that id', OUTCOME('ok'), async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('42/tiny,9223372036854775807["hello",{"name":"you"}]');
  await raw.frame('43/tiny,9223372036854775807[{"ok":true');
  await outcome(server, 'hello', 'ok');
});

// ---- events ----

row('an event name with a JSON escape', 'the name it stands for', OUTCOME('ok'), async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('42/tiny,1["h\\u0065llo",{"name":"you"}]');
  if (ENGINE === 'socketioxide') {
    await raw.ends();
    return left(server, 'bad_packet');
  }
  await raw.frame('43/tiny,1[{"ok":true');
  return outcome(server, 'hello', 'ok');
});

row('an unknown event that asks for an ack', '`unknown_event`', '`handler_outcomes_total{event="_other", outcome="unknown_event"}`', async (server) => {
  const socket = await server.connect('/tiny');
  const [answer] = await socket.call('no-such-event', 1);
  assert.equal(answer.ok, false);
  assert.equal(answer.error.code, 'unknown_event');
  assert.equal(answer.error.retryable, false);
  assert.equal(answer.error.message, 'this namespace has no such event');
  await outcome(server, '_other', 'unknown_event');
  assert.equal((await socket.call('helo', 1))[0].error.message, 'this namespace has no such event: did you mean "hello"?');
  assert.equal((await socket.call(`hello${'o'.repeat(100_000)}`, 1))[0].error.message, 'this namespace has no such event');
});

row('an unknown event without an ack', 'the event `error`, code `unknown_event`', '`handler_outcomes_total{event="_other", outcome="unknown_event"}`', async (server) => {
  const socket = await server.connect('/tiny');
  socket.emit('no-such-event');
  const [error] = await socket.next('error');
  assert.equal(error.code, 'unknown_event');
  await outcome(server, '_other', 'unknown_event');
});

row('a payload of the wrong type', '`bad_payload` with the JSON path', OUTCOME('bad_payload'), async (server) => {
  const socket = await server.connect('/tiny');
  const wrong = [[{ name: 7 }, /name/], [{}, /name/], ['text', /./], [[], /./], [null, /./], [7, /./], [true, /./]];
  for (const [payload, message] of wrong) {
    const [answer] = await socket.call('hello', payload);
    assert.equal(answer.error?.code, 'bad_payload', JSON.stringify(payload));
    assert.match(answer.error.message, message);
  }
  socket.emit('hello', { name: 7 });
  assert.equal((await socket.next('error'))[0].code, 'bad_payload');
  await outcome(server, 'hello', 'bad_payload', wrong.length + 1);
});

row('no argument where one is needed', BAD_PAYLOAD, OUTCOME('bad_payload'), async (server) => {
  const socket = await server.connect('/tiny');
  assert.equal((await socket.call('hello'))[0].error.code, 'bad_payload');
  await outcome(server, 'hello', 'bad_payload');
});

row('more arguments than the event takes', 'the first one is taken', OUTCOME('ok'), async (server) => {
  const socket = await server.connect('/tiny');
  assert.deepEqual(await socket.call('hello', { name: 'you' }, 2, [3], { four: 4 }), [{ ok: true, data: 'hello, you' }]);
  await outcome(server, 'hello', 'ok');
});

row('binary where JSON is expected', BAD_PAYLOAD, OUTCOME('bad_payload'), async (server) => {
  const socket = await server.connect('/tiny');
  const calls = [[Buffer.from('you')], [{ name: Buffer.from('you') }], [{ name: 'you' }, Buffer.from('more')]];
  for (const args of calls) assert.equal((await socket.call('hello', ...args))[0].error?.code, 'bad_payload');
  await outcome(server, 'hello', 'bad_payload', calls.length);
});

row('JSON nested 100,000 levels deep', '`bad_payload`, or passed through untouched', OUTCOME('bad_payload'), async (server) => {
  const deep = '['.repeat(100_000) + ']'.repeat(100_000);
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send(`42/tiny,1["hello",${deep}]`);
  assert.match(await raw.frame('43/tiny,1'), /"code":"bad_payload"/);
  raw.send('42/tiny,2["hello",{"name":"you"}]');
  await raw.frame('43/tiny,2[{"ok":true');
  await outcome(server, 'hello', 'bad_payload');
  // An event that passes its arguments through does not care what they mean.
  const proto = await server.raw({ namespace: '/proto' });
  proto.send(`42/proto,1["message-with-ack",${deep}]`);
  assert.ok(await proto.frame('43/proto,1') === `43/proto,1[${deep}]`);
});

row('10,000 distinct event names', 'each is answered; the number of series stays the same', '`messages_received_total{event="_other"}`', async (server) => {
  const [tiny, proto] = await Promise.all(['/tiny', '/proto'].map((namespace) => server.connect(namespace, { transports: ['websocket'] })));
  await Promise.all([tiny.call('one-of-them'), proto.call('one-of-them')]);
  await server.metrics();
  const before = (await server.metrics()).keys();
  const calls = [];
  for (let n = 0; n < 10_000; n += 1) calls.push((n % 2 ? tiny : proto).call(`made-up-${n}`, n));
  const codes = new Set((await Promise.all(calls)).map(([answer]) => answer.error?.code ?? 'ok'));
  assert.deepEqual([...codes].sort(), ['ok', 'unknown_event']);
  const after = await server.metrics();
  assert.deepEqual(after.keys(), before);
  for (const namespace of ['/tiny', '/proto']) {
    assert.equal(after.sum('carillon_messages_received_total', { namespace, event: '_other' }), 5_001);
  }
});
