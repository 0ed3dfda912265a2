//! Bad input, first part: what is no Engine.IO, no WebSocket, no HTTP, or too large.

import assert from 'node:assert/strict';
import { ENGINE } from './lib/engine-differences.mjs';
import { http, openPolling, talk } from './lib/raw.mjs';
import { left, row, statuses } from './lib/rows.mjs';

const LIMIT = 1_000_000;
const ENDPOINT = '/socket.io/?EIO=4';
const CLOSED = 'the connection is closed';
const BAD_PACKET = '`disconnections_total{reason="bad_packet"}`';
const TRANSPORT_ERROR = '`disconnections_total{reason="transport_error"}`';
const STATUS = (code) => `\`http_requests_total{code="${code}"}\``;

// ---- Engine.IO packets ----

const closing = {
  'an Engine.IO packet of no known type': '9x',
  'an empty frame': '',
  'a second Engine.IO open packet': '0{}',
  'an Engine.IO upgrade packet on a WebSocket': '5',
  'a frame that is no packet at all': 'GET / HTTP/1.1',
  'a packet that starts with a multibyte character': 'éé',
  'binary data that no packet announced': Buffer.from([1, 2, 3]),
};

for (const [what, frame] of Object.entries(closing)) {
  row(what, CLOSED, BAD_PACKET, async (server) => {
    const raw = await server.raw({ namespace: '/tiny' });
    raw.send(frame);
    await raw.ends();
    await left(server, 'bad_packet');
  });
}

row('malformed packets in a POST', '400, and the session is closed', BAD_PACKET, async (server) => {
  const bodies = ['9', 'hello', '42/tiny,["hello",{"name":"you"}]\x1e9', '\x1e\x1e', 'b!!!not-base64'];
  for (const body of bodies) {
    const session = await openPolling(server.url, '/tiny');
    assert.equal((await session.post(body)).status, 400, JSON.stringify(body));
    assert.equal((await session.get()).status, 400, 'the session is gone');
  }
  await left(server, 'bad_packet', bodies.length);
});

row('a POST that is not UTF-8', '400, and the session is closed', BAD_PACKET, async (server) => {
  const session = await openPolling(server.url, '/tiny');
  assert.equal((await session.post(Buffer.from([0x34, 0x32, 0xff]))).status, 400);
  await left(server, 'bad_packet');
});

row('two polls at once', '400, and the session is closed', '`disconnections_total{reason="double_poll"}`', async (server) => {
  const session = await openPolling(server.url, '/tiny');
  const polls = await Promise.all([session.get(), session.get()]);
  assert.ok(polls.some(({ status }) => status === 400), JSON.stringify(polls));
  await left(server, 'double_poll');
});

row('a client that answers no ping', CLOSED, '`disconnections_total{reason="ping_timeout"}`', async (server) => {
  // A WebSocket made by hand never answers.
  const raw = await server.raw({ namespace: '/tiny' });
  await raw.ends();
  await left(server, 'ping_timeout');
}, { env: { CARILLON_SERVER__PING_INTERVAL_MS: '200', CARILLON_SERVER__PING_TIMEOUT_MS: '1500' } });

// ---- HTTP and WebSocket ----

row('a handshake that is not Engine.IO 4', '400', STATUS(400), async (server) => {
  const queries = ['', '?EIO=4', '?EIO=3&transport=polling', '?EIO=5&transport=polling', '?EIO=x&transport=polling', '?EIO=4&transport=pigeon', '?transport=polling'];
  for (const query of queries) assert.equal((await http(server.url, 'GET', `/socket.io/${query}`)).status, 400, query);
  assert.equal((await http(server.url, 'POST', `${ENDPOINT}&transport=polling`, '40')).status, 400, 'POST opens no session');
  assert.equal((await http(server.url, 'DELETE', `${ENDPOINT}&transport=polling`)).status, 400);
  await statuses(server, 400, queries.length + 2);
});

row('an unknown session id', '400', STATUS(400), async (server) => {
  const ids = ['nope', 'AAAAAAAAAAAAAAAAAAAAAA', '\0', 'é'.repeat(100)];
  for (const id of ids) {
    const path = `${ENDPOINT}&transport=polling&sid=${encodeURIComponent(id)}`;
    assert.equal((await http(server.url, 'GET', path)).status, 400, id);
    assert.equal((await http(server.url, 'POST', path, '40')).status, 400, id);
  }
  await assert.rejects(server.raw({ query: '&sid=AAAAAAAAAAAAAAAA' }), /400/, 'no upgrade of a session that does not exist');
  await statuses(server, 400, ids.length * 2 + 1);
});

row('bytes that are not HTTP', '400, and the connection is closed', '—', async (server) => {
  // The beginning of a TLS handshake.
  const hello = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 13, 10, 13, 10]);
  assert.match((await talk(server.port, hello)).toString(), /^HTTP\/1.1 400 /);
});

row('a request head over the limit', '431, and the connection is closed', '—', async (server) => {
  const said = await talk(server.port, `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(200_000)}\r\n\r\n`);
  assert.match(said.toString(), /^HTTP\/1.1 431 /);
});

row('a request head that never ends', 'the connection is closed after `server.header_timeout_ms`', '—', async (server) => {
  const said = await talk(server.port, 'GET / HTTP/1.1\r\nHost: x\r\n');
  assert.doesNotMatch(said.toString(), /200 OK/);
}, { env: { CARILLON_SERVER__HEADER_TIMEOUT_MS: '300' } });

row('text that is not UTF-8 on a WebSocket', CLOSED, TRANSPORT_ERROR, async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send(Buffer.from([0x34, 0x32, 0xff, 0xfe]), { binary: false });
  await raw.ends();
  await left(server, 'transport_error');
});

row('a WebSocket frame that breaks RFC 6455', CLOSED, TRANSPORT_ERROR, async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw._socket.write(Buffer.from([0xf7, 0x80, 0, 0, 0, 0]));
  await raw.ends();
  await left(server, 'transport_error');
});

// ---- size ----

const TOO_LARGE = '`disconnections_total{reason="too_large"}`';
/** As what the engine under test counts it: the second one has no word for it. */
const tooLarge = (otherwise) => (ENGINE === 'carillon' ? 'too_large' : otherwise);
/** What the operator is told, with the namespace where there is one. */
const TOLD = new RegExp(`WARN.*a client sent a message over server\\.max_message_bytes = ${LIMIT} and was closed.*client="?127\\.0\\.0\\.1.*namespaces="/tiny"`);

/** An event of exactly `size` bytes. */
function event(size) {
  const [head, tail] = ['42/tiny,1["hello",{"name":"', '"}]'];
  return head + 'x'.repeat(size - head.length - tail.length) + tail;
}

row('a message of exactly the limit', 'taken, on each transport', '`messages_received_total`', async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send(event(LIMIT));
  assert.match(await raw.frame('43/tiny,1'), /"ok":true/);
  const session = await openPolling(server.url, '/tiny');
  assert.equal((await session.post(event(LIMIT))).status, 200);
  assert.match((await session.get()).body, /43\/tiny,1\[{"ok":true/);
  assert.equal((await server.metrics()).sum('carillon_messages_received_total', { namespace: '/tiny' }), 2);
});

row('a message over the limit on a WebSocket', 'the connection is closed, with 1009 and the setting', TOO_LARGE, async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  const why = new Promise((done) => raw.on('close', (code, reason) => done([code, String(reason)])));
  raw.send(event(LIMIT + 1));
  await raw.ends();
  await left(server, tooLarge('transport_error'));
  if (ENGINE !== 'carillon') return;
  assert.deepEqual(await why, [1009, `a message over server.max_message_bytes = ${LIMIT}`]);
  await server.logged(TOLD);
});

row('a message over the limit in many WebSocket fragments', CLOSED, TOO_LARGE, async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('42/tiny,["hello",{"name":"', { fin: false });
  for (let n = 0; n < 11 && raw.closed === null; n += 1) raw.send('x'.repeat(100_000), { fin: false });
  await raw.ends();
  await left(server, tooLarge('transport_error'));
});

row('a message over the limit in a POST', '413, and the session is closed', TOO_LARGE, async (server) => {
  const session = await openPolling(server.url, '/tiny');
  assert.equal((await session.post(event(LIMIT + 1))).status, 413);
  await left(server, tooLarge('bad_packet'));
  if (ENGINE === 'carillon') await server.logged(TOLD);
  assert.equal((await session.get()).status, 400, 'the session is gone');
});

row('attachments that add up to more than the limit', CLOSED, TOO_LARGE, async (server) => {
  const raw = await server.raw({ namespace: '/tiny' });
  raw.send('454-/tiny,["hello",{"_placeholder":true,"num":0}]');
  for (let n = 0; n < 4 && raw.closed === null; n += 1) raw.send(Buffer.alloc(400_000));
  await raw.ends();
  await left(server, tooLarge('bad_packet'));
});
