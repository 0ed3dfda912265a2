//! Engine.IO protocol 4, the handshake: what opens a session, what the open packet says, and how everything else is refused.

import assert from 'node:assert/strict';
import { ask } from './lib/polling.mjs';
import { sharedServer, table } from './lib/table.mjs';
import { text, upgradeRequest } from './lib/websocket.mjs';
import { LINES, join } from './lib/line.mjs';

const SETTINGS = { CARILLON_SERVER__PING_INTERVAL_MS: '21000', CARILLON_SERVER__PING_TIMEOUT_MS: '9000', CARILLON_SERVER__MAX_MESSAGE_BYTES: '123456' };
const server = sharedServer({ env: SETTINGS });
const POLLING = { EIO: 4, transport: 'polling' };

/** A request is refused with this HTTP status and this code of Engine.IO. */
async function refused(one, code, options, status = 400) {
  const answer = await ask(one.port, options);
  assert.equal(answer.status, status, answer.body);
  const { code: told, message } = JSON.parse(answer.body);
  assert.equal(told, code, answer.body);
  assert.ok(message.length > 0 && message.length <= 200, answer.body);
}

/** The same refusal, of a request that asks for a WebSocket. */
const UPGRADE = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'AAAAAAAAAAAAAAAAAAAAAA==' };

// ---- the open packet ----

const OPEN = 'Handshake: the server sends an open packet with sid, upgrades, pingInterval, pingTimeout and maxPayload';
const opened = (transport, upgrades) => async (one) => {
  const { open } = await LINES[transport](one);
  const { sid, ...others } = open;
  assert.deepEqual(others, { upgrades, pingInterval: 21_000, pingTimeout: 9_000, maxPayload: 123_456 });
  assert.match(sid, /^[\w-]{16,64}$/);
};
table('engineio open', server, [
  ['the open packet of a polling session', OPEN, opened('polling', ['websocket'])],
  ['the open packet of a WebSocket', OPEN, opened('websocket', [])],
  ['it is the first packet of the answer, and text', OPEN, async (one) => {
    const { status, headers, body } = await ask(one.port, { query: POLLING });
    assert.equal(status, 200);
    assert.match(headers['content-type'], /^text\/plain; ?charset=utf-8$/i);
    assert.equal(body[0], '0');
  }],
  ['it is alone on the wire: no ping before one pingInterval', 'Heartbeat: at a given interval (pingInterval) the server sends a ping', async (one) => {
    const peer = one.peer();
    peer.write(upgradeRequest(one.port));
    await peer.until(() => peer.frames.length > 0, 'the open packet');
    peer.write(text('40/proto,'));
    await peer.until(() => peer.texts().length > 1, 'the CONNECT reply');
    assert.deepEqual(peer.frames.map(({ data }) => data.toString().slice(0, 1)), ['0', '4']);
  }],
  ['every session has an id of its own', OPEN, async (one) => {
    const all = await Promise.all(Array.from({ length: 20 }, () => LINES.polling(one)));
    assert.equal(new Set(all.map(({ open }) => open.sid)).size, 20);
  }],
  ['the id of the session is not the id of the client', 'Socket.IO, CONNECT: the sid of the reply is the socket\'s own', async (one) => {
    const line = await LINES.websocket(one);
    assert.notEqual((await join(line)).sid, line.open.sid);
  }],
  ['further parameters of the query do not matter', 'Handshake: EIO and transport are mandatory, sid comes after', async (one) => {
    assert.equal((await ask(one.port, { query: 't=abc.0&EIO=4&x=%00&transport=polling&b64=1' })).status, 200);
  }],
  ['a header of any size a browser may send', 'Handshake', async (one) => {
    assert.equal((await ask(one.port, { query: POLLING, headers: { cookie: 'a='.padEnd(8_000, 'x') } })).status, 200);
  }],
]);

// ---- refusals ----

const MANDATORY = 'Handshake: if a mandatory query parameter is missing, the server MUST answer 400';
const queries = [
  ['no query', MANDATORY, 0, ''],
  ['no transport', MANDATORY, 0, 'EIO=4'],
  ['an empty transport', MANDATORY, 0, 'EIO=4&transport='],
  ['an unknown transport', MANDATORY, 0, 'EIO=4&transport=abc'],
  ['a transport of another case', MANDATORY, 0, 'EIO=4&transport=Polling'],
  ['a transport that is a property of every object', MANDATORY, 0, 'EIO=4&transport=constructor'],
  ['no EIO', MANDATORY, 5, 'transport=polling'],
  ['an empty EIO', MANDATORY, 5, 'EIO=&transport=polling'],
  ['EIO 3', 'Handshake: the version is 4', 5, 'EIO=3&transport=polling'],
  ['EIO 5', 'Handshake: the version is 4', 5, 'EIO=5&transport=polling'],
  ['EIO abc', 'Handshake: the version is 4', 5, 'EIO=abc&transport=polling'],
  ['EIO 44', 'Handshake: the version is 4', 5, 'EIO=44&transport=polling'],
  ['an unknown sid', 'Handshake: an unknown sid is answered 400', 1, 'EIO=4&transport=polling&sid=abc'],
  ['an empty sid', 'Handshake: an unknown sid is answered 400', 1, 'EIO=4&transport=polling&sid='],
  ['a sid of strange characters', 'Handshake: an unknown sid is answered 400', 1, 'EIO=4&transport=polling&sid=%00%ff%F0%9F%98%80'],
  ['a sid of 5,000 characters', 'Handshake: an unknown sid is answered 400', 1, `EIO=4&transport=polling&sid=${'a'.repeat(5_000)}`],
];
table('engineio refused', server, [
  ...queries.map(([what, section, code, query]) => [`polling with ${what}: code ${code}`, section, (one) => refused(one, code, { query })]),
  ...queries.filter(([, , , query]) => query.includes('transport=polling')).map(([what, section, code, query]) => [
    `a WebSocket with ${what}: code ${code}`, section, (one) => refused(one, code, { query: query.replace('polling', 'websocket'), headers: UPGRADE })]),
  ...['POST', 'PUT', 'DELETE', 'PATCH'].map((method) => [
    `a handshake with ${method}: code 2`, 'Handshake: the client MUST send a GET', (one) => refused(one, 2, { method, query: POLLING, body: method === 'POST' ? '40' : undefined })]),
  ['an unknown sid in a POST: code 1', 'Handshake: an unknown sid is answered 400', (one) => refused(one, 1, { method: 'POST', query: { ...POLLING, sid: 'abc' }, body: '40' })],
  ['a WebSocket transport without an upgrade: code 3', 'Handshake: 101 Switching Protocols', (one) => refused(one, 3, { query: { EIO: 4, transport: 'websocket' } })],
  ['a POST for the WebSocket transport: code 2', 'Handshake: the client MUST send a GET', (one) => refused(one, 2, { method: 'POST', query: { EIO: 4, transport: 'websocket' }, body: '' })],
  ['PUT in a session: code 3', 'HTTP long-polling: GET and POST', async (one) => {
    const session = await one.polling();
    const { status, body } = await session.request({ method: 'PUT', body: '4' });
    assert.equal(status, 400);
    assert.equal(JSON.parse(body).code, 3);
    await session.send('42/proto,1["message-with-ack"]');
    await session.packet('43/proto,1[]');
  }],
  ['polling for a session that is a WebSocket: code 3, or 1', 'Upgrade: one transport at a time', async (one) => {
    const { open, peer } = await LINES.websocket(one);
    for (const options of [{}, { method: 'POST', body: '40/proto,' }]) {
      const { status, body } = await ask(one.port, { query: { ...POLLING, sid: open.sid }, ...options });
      assert.equal(status, 400);
      assert.ok([1, 3].includes(JSON.parse(body).code), body);
    }
    peer.write(text('40/proto,'));
    await peer.text('40/proto,{');
  }],
]);
