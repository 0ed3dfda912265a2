//! The table "Bad input" of docs/protocol.md, one test a row: what comes in, what the sender gets, what /metrics counts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused } from './lib/client.mjs';
import { http, openPolling, talk, textFrame } from './lib/raw.mjs';
import { start } from './lib/server.mjs';

const LIMIT = 1_000_000;
const ENDPOINT = '/socket.io/?EIO=4';

/** One row: starts a server, runs the row, and proves that a fresh client is still served. */
function row(name, run) {
  test(name, async (t) => {
    const server = await start(t, { program: 'fixture' });
    await run(server, t);
    await answers(server);
  });
}

/** A client of any transport connects and gets its answer. */
async function answers(server) {
  for (const transports of [['websocket'], ['polling']]) {
    const socket = await server.connect('/tiny', { transports });
    assert.deepEqual(await socket.call('hello', { name: 'you' }), [{ ok: true, data: 'hello, you' }]);
    socket.close();
  }
}

/** /metrics comes to count one more departure from /tiny, for this reason. */
function left(server, reason, times = 1) {
  return server.metricsSettle((metrics) => {
    const reasons = metrics.match('carillon_disconnections_total', { namespace: '/tiny' }).filter(({ value }) => value > 0);
    assert.deepEqual(Object.fromEntries(reasons.map(({ labels, value }) => [labels.reason, value])), { [reason]: times });
  });
}

/** /metrics comes to count this outcome of calls in /tiny. */
function outcome(server, event, name, times = 1) {
  return server.metricsSettle((metrics) => assert.equal(
    metrics.sum('carillon_handler_outcomes_total', { namespace: '/tiny', event, outcome: name }), times));
}

// ---- Engine.IO ----

const CLOSING_FRAMES = {
  'an Engine.IO packet of no known type': '9x',
  'an empty frame': '',
  'a second Engine.IO open packet': '0{}',
  'an Engine.IO upgrade on a WebSocket': '5',
  'a frame that is no packet at all': 'GET / HTTP/1.1',
  'an Engine.IO packet that starts with a multibyte character': 'éé',
  'binary data that no packet announced': Buffer.from([1, 2, 3]),
  // ---- Socket.IO, inside an Engine.IO message ----
  'an empty Socket.IO packet': '4',
  'a Socket.IO packet of no known type': '49',
  'an event that is not JSON': '42/tiny,["hello"',
  'an event that is an object': '42/tiny,{"hello":1}',
  'an event without a name': '42/tiny,[]',
  'an event whose name is a number': '42/tiny,[1,2]',
  'an event name with a JSON escape': '42/tiny,["h\\u0065llo",{"name":"you"}]',
  'an ack without an id': '43/tiny,["x"]',
  'a binary event without a number of attachments': '45/tiny,["hello"]',
  'a binary event with more attachments than allowed': `4510000-/tiny,["hello"]`,
  'a binary event with an impossible number of attachments': '4599999999999999999999-/tiny,["hello"]',
};

for (const [name, frame] of Object.entries(CLOSING_FRAMES)) {
  row(`${name}: the connection is closed`, async (server) => {
    const raw = await server.raw({ namespace: '/tiny' });
    raw.send(frame);
    await raw.ends();
    await left(server, 'bad_packet');
  });
}

row('text that is not UTF-8 on a WebSocket: the connection is closed', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send(Buffer.from([0x34, 0x32, 0xff, 0xfe]), { binary: false });
  await raw.ends();
  await left(server, 'bad_packet');
});

row('a WebSocket frame that breaks RFC 6455: the connection is closed', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw._socket.write(Buffer.from([0xf7, 0x80, 0, 0, 0, 0]));
  await raw.ends();
  await left(server, 'transport_error');
});

row('text where an announced attachment must come: the connection is closed', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('451-/tiny,["hello",{"_placeholder":true,"num":0}]');
  raw.send('42/tiny,["hello",{"name":"you"}]');
  await raw.ends();
  await left(server, 'bad_packet');
});

row('malformed packets in a POST: 400, and the session is closed', async (server) => {
  for (const body of ['9', 'hello', '42/tiny,["hello"\x1e9', '\x1e\x1e', 'b!!!not-base64']) {
    const session = await openPolling(server.url, '/tiny');
    assert.equal((await session.post(body)).status, 400, JSON.stringify(body));
    assert.equal((await session.get()).status, 400, 'the session is gone');
  }
  await left(server, 'bad_packet', 5);
});

row('a POST that is not UTF-8: 400, and the session is closed', async (server) => {
  const session = await openPolling(server.url, '/tiny');
  assert.equal((await session.post(Buffer.from([0x34, 0x32, 0xff]))).status, 400);
  await left(server, 'bad_packet');
});

row('a malformed Socket.IO packet in a POST: the session is closed', async (server) => {
  const session = await openPolling(server.url, '/tiny');
  await session.post('42/tiny,["hello"');
  await left(server, 'bad_packet');
  assert.equal((await session.get()).status, 400, 'the session is gone');
});

row('two polls at once: 400, and the session is closed', async (server) => {
  const session = await openPolling(server.url, '/tiny');
  const polls = await Promise.all([session.get(), session.get()]);
  assert.ok(polls.some(({ status }) => status === 400), JSON.stringify(polls));
  await left(server, 'double_poll');
});

row('a handshake that is not Engine.IO 4: 400', async (server) => {
  for (const query of ['', '?EIO=4', '?EIO=3&transport=polling', '?EIO=5&transport=polling', '?EIO=x&transport=polling', '?EIO=4&transport=carrier-pigeon', '?transport=polling']) {
    assert.equal((await http(server.url, 'GET', `/socket.io/${query}`)).status, 400, query);
  }
  assert.equal((await http(server.url, 'POST', `${ENDPOINT}&transport=polling`, '40')).status, 400, 'POST opens no session');
  assert.equal((await http(server.url, 'DELETE', `${ENDPOINT}&transport=polling`)).status, 400);
});

row('an unknown session id: 400', async (server) => {
  for (const sid of ['nope', 'AAAAAAAAAAAAAAAAAAAAAA', '%00', 'é'.repeat(100)]) {
    const path = `${ENDPOINT}&transport=polling&sid=${encodeURIComponent(sid)}`;
    assert.equal((await http(server.url, 'GET', path)).status, 400, sid);
    assert.equal((await http(server.url, 'POST', path, '40')).status, 400, sid);
  }
  await assert.rejects(server.raw({ query: '&sid=AAAAAAAAAAAAAAAA' }), 'no upgrade of a session that does not exist');
});

row('bytes that are not HTTP: 400, and the connection is closed', async (server) => {
  assert.match((await talk(server.port, Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), '\r\n\r\n')).toString(), /^HTTP\/1.1 400 /);
});

row('a header over the limit: 431, and the connection is closed', async (server) => {
  const head = `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(200_000)}\r\n\r\n`;
  assert.match((await talk(server.port, head)).toString(), /^HTTP\/1.1 431 |^$/);
});

// ---- size limits ----

row('a message of exactly the limit is taken, on each transport', async (server) => {
  const frame = (size) => {
    const [head, tail] = ['42/tiny,1["hello",{"name":"', '"}]'];
    return head + 'x'.repeat(size - head.length - tail.length) + tail;
  };
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send(frame(LIMIT));
  assert.match(await raw.frame('43/tiny,1'), /"ok":true/);
  const session = await openPolling(server.url, '/tiny');
  assert.equal((await session.post(frame(LIMIT))).status, 200);
});

row('a message over the limit on a WebSocket: the connection is closed', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send(`42/tiny,["hello",{"name":"${'x'.repeat(LIMIT)}"}]`);
  await raw.ends();
  await left(server, 'transport_error');
});

row('a message over the limit in many WebSocket fragments: the connection is closed', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send(`42/tiny,["hello",{"name":"`, { fin: false });
  for (let n = 0; n < 11 && raw.closed === null; n += 1) raw.send('x'.repeat(100_000), { fin: false });
  await raw.ends();
  await left(server, 'transport_error');
});

row('a message over the limit in a POST: 413, and the session is closed', async (server) => {
  const session = await openPolling(server.url, '/tiny');
  const { status, reset } = await session.post(`42/tiny,["hello",{"name":"${'x'.repeat(LIMIT)}"}]`);
  assert.ok(status === 413 || reset, `status ${status}`);
  await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_connected_clients', { namespace: '/tiny' }), 0));
});

row('attachments that add up to more than the limit: the connection is closed', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('454-/tiny,["hello",{"_placeholder":true,"num":0}]');
  for (let n = 0; n < 4 && raw.closed === null; n += 1) raw.send(Buffer.alloc(400_000));
  await raw.ends();
  await left(server, 'bad_packet');
});

// ---- events ----

row('an unknown event that asks for an ack: unknown_event', async (server) => {
  const socket = await server.connect('/tiny');
  const [answer] = await socket.call('no-such-event', 1);
  assert.equal(answer.ok, false);
  assert.equal(answer.error.code, 'unknown_event');
  assert.equal(answer.error.retryable, false);
  await outcome(server, '_other', 'unknown_event');
});

row('an unknown event without an ack: the event "error"', async (server) => {
  const socket = await server.connect('/tiny');
  socket.emit('no-such-event');
  const [error] = await socket.next('error');
  assert.equal(error.code, 'unknown_event');
  await outcome(server, '_other', 'unknown_event');
});

row('a payload of the wrong type: bad_payload with the path', async (server) => {
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

row('no argument, and more arguments than the event takes', async (server) => {
  const socket = await server.connect('/tiny');
  assert.equal((await socket.call('hello'))[0].error.code, 'bad_payload');
  assert.deepEqual(await socket.call('hello', { name: 'you' }, 2, [3], { four: 4 }), [{ ok: true, data: 'hello, you' }]);
  await outcome(server, 'hello', 'ok');
});

row('binary where JSON is expected: bad_payload', async (server) => {
  const socket = await server.connect('/tiny');
  for (const args of [[Buffer.from('you')], [{ name: Buffer.from('you') }], [{ name: 'you' }, Buffer.from('more')]]) {
    assert.equal((await socket.call('hello', ...args))[0].error?.code, 'bad_payload');
  }
  await outcome(server, 'hello', 'bad_payload', 3);
});

row('JSON nested deeper than any program means it: bad_payload', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send(`42/tiny,1["hello",${'['.repeat(100_000)}${']'.repeat(100_000)}]`);
  assert.match(await raw.frame('43/tiny,1'), /"code":"bad_payload"/);
  const proto = await server.raw({ namespace: '/proto' });
  proto.send(`42/proto,1["message-with-ack",${'['.repeat(100_000)}${']'.repeat(100_000)}]`);
  assert.match(await proto.frame('43/proto,1'), /"code":"bad_payload"/);
});

row('an event whose arguments are not JSON: bad_payload', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('42/tiny,1["hello",nonsense]');
  assert.match(await raw.frame('43/tiny,1'), /"code":"bad_payload"/);
  await outcome(server, 'hello', 'bad_payload');
});

row('an ack to nobody is ignored', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('43/tiny,999["who asked?"]');
  raw.send('43/tiny,9223372036854775807[]');
  raw.send('42/tiny,1["hello",{"name":"you"}]');
  assert.equal(await raw.frame('43/tiny,1'), '43/tiny,1[{"ok":true,"data":"hello, you"}]');
});

row('the largest ack id is answered with itself', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('42/tiny,9223372036854775807["hello",{"name":"you"}]');
  await raw.frame('43/tiny,9223372036854775807[');
});

row('10,000 distinct event names do not grow /metrics', async (server) => {
  const [tiny, proto] = await Promise.all(['/tiny', '/proto'].map((ns) => server.connect(ns, { transports: ['websocket'] })));
  await tiny.call('one-of-them');
  await proto.call('one-of-them');
  await answers(server);
  const before = (await server.metrics()).keys();
  const calls = [];
  for (let n = 0; n < 10_000; n += 1) calls.push((n % 2 ? tiny : proto).call(`made-up-${n}`, n));
  const codes = new Set((await Promise.all(calls)).map(([answer]) => answer.error?.code ?? 'ok'));
  assert.deepEqual([...codes].sort(), ['ok', 'unknown_event']);
  const after = await server.metrics();
  assert.deepEqual(after.keys(), before);
  assert.equal(after.sum('carillon_messages_received_total', { namespace: '/tiny', event: '_other' }), 5_001);
  assert.equal(after.sum('carillon_messages_received_total', { namespace: '/proto', event: '_other' }), 5_001);
});

// ---- CONNECT and DISCONNECT ----

row('CONNECT to an unknown namespace: connect_error "Invalid namespace"', async (server) => {
  assert.equal((await refused(server.client('/nope'))).message, 'Invalid namespace');
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('40/nope,');
  assert.equal(await raw.frame('44/nope,'), '44/nope,{"message":"Invalid namespace"}');
  raw.send('42/tiny,1["hello",{"name":"you"}]');
  await raw.frame('43/tiny,1[{"ok":true');
});

row('an event to an unknown namespace is ignored', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('42/nope,1["hello"]');
  raw.send('42/tiny,2["hello",{"name":"you"}]');
  await raw.frame('43/tiny,2[{"ok":true');
  assert.deepEqual(raw.frames.filter((frame) => frame.includes('/nope')), []);
});

row('an event to a namespace the client did not join: the connection is closed', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('42/health,1["request_health"]');
  await raw.ends();
  await left(server, 'transport_close');
});

row('CONNECT with auth of any shape is let in', async (server) => {
  for (const auth of ['{}', '{"token":"x","more":[{"a":null}]}', '[]', '[1,2]', '"text"', '7', 'null', 'true', '{"name":"é"}']) {
    const raw = await server.raw();
    raw.send(`40/tiny,${auth}`);
    await raw.frame('40/tiny,{"sid":');
    raw.send('42/tiny,1["hello",{"name":"you"}]');
    await raw.frame('43/tiny,1[{"ok":true');
    raw.terminate();
  }
});

row('no CONNECT in time: the connection is closed', async (_, t) => {
  const server = await start(t, { program: 'fixture', env: { CARILLON_SERVER__CONNECT_TIMEOUT_MS: '200' } });
  const raw = await server.raw();
  await raw.ends();
});

row('a client that answers no ping: the connection is closed', async (_, t) => {
  const server = await start(t, {
    program: 'fixture',
    env: { CARILLON_SERVER__PING_INTERVAL_MS: '200', CARILLON_SERVER__PING_TIMEOUT_MS: '200' },
  });
  const raw = await server.raw({ namespace: '/tiny' });
  await raw.ends();
  await left(server, 'ping_timeout');
});

row('an event in the same TCP segment as CONNECT: the connection is closed, and counted', async (server) => {
  const raw = await server.raw();
  raw._socket.write(Buffer.concat([textFrame('40/tiny,'), textFrame('42/tiny,1["hello",{"name":"you"}]')]));
  await raw.ends();
  assert.ok(!raw.frames.some((frame) => frame.startsWith('43')), 'it is not answered');
  await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_connects_abandoned_total', { namespace: '/tiny' }), 1));
});

row('an event right after the CONNECT reply is answered, on each transport', async (server) => {
  for (let n = 0; n < 50; n += 1) {
    const raw = await server.raw();
    raw.on('message', (data) => {
      if (data.toString().startsWith('40/tiny,{')) raw.send('42/tiny,1["hello",{"name":"you"}]');
    });
    raw.send('40/tiny,');
    assert.equal(await raw.frame('43/tiny,1'), '43/tiny,1[{"ok":true,"data":"hello, you"}]');
    raw.terminate();
  }
  const session = await openPolling(server.url, '/tiny');
  assert.equal((await session.post('42/tiny,1["hello",{"name":"you"}]')).status, 200);
  assert.match((await session.get()).body, /43\/tiny,1\[{"ok":true/);
});

row('a second CONNECT to the same namespace changes nothing', async (server) => {
  const raw = await server.raw({ namespace: '/proto' });
  raw.send('42/proto,1["count"]');
  await raw.frame('43/proto,1[{"ok":true,"data":{"calls":1}}]');
  raw.send('40/proto,');
  raw.send('42/proto,2["count"]');
  await raw.frame('43/proto,2[{"ok":true,"data":{"calls":2}}]');
  await server.metricsSettle((metrics) => {
    assert.equal(metrics.sum('carillon_connections_total', { namespace: '/proto' }), 1);
    assert.equal(metrics.sum('carillon_connected_clients', { namespace: '/proto' }), 1);
  });
});

row('DISCONNECT and CONNECT at once: a new client of the namespace', async (server) => {
  for (let n = 0; n < 20; n += 1) {
    const raw = await server.raw({ namespace: '/proto' });
    raw.send('42/proto,1["count"]');
    await raw.frame('43/proto,1[');
    raw.frames.length = 0;
    raw._socket.write(Buffer.concat([textFrame('41/proto,'), textFrame('40/proto,')]));
    await raw.frame('40/proto,{"sid":');
    raw.send('42/proto,2["count"]');
    assert.equal(await raw.frame('43/proto,2'), '43/proto,2[{"ok":true,"data":{"calls":1}}]', 'the state is new');
    raw.terminate();
  }
  await server.metricsSettle((metrics) => {
    assert.equal(metrics.sum('carillon_connections_total', { namespace: '/proto' }), 40);
    assert.equal(metrics.sum('carillon_connected_clients', { namespace: '/proto' }), 0);
  });
});

row('a stock client that disconnects and connects at once is served', async (server) => {
  const socket = await server.connect('/tiny', { transports: ['websocket'] });
  const other = socket.io.socket('/proto');
  await new Promise((done) => { other.on('connect', done); other.connect(); });
  for (let n = 0; n < 20; n += 1) {
    socket.disconnect().connect();
    assert.equal((await socket.call('hello', { name: 'you' }))[0].ok, true);
  }
  other.close();
});

row('DISCONNECT from a namespace the client is not in is ignored or closes, and nothing else', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('41/nope,');
  raw.send('42/tiny,1["hello",{"name":"you"}]');
  await raw.frame('43/tiny,1[{"ok":true');
});
