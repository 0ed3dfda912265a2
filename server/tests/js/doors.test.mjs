//! What stands before a session exists: how much one address may have, by which names the server may be called, and what a
//! handshake must look like.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { peerServes } from './lib/echo.mjs';
import { http, openPolling, talk } from './lib/raw.mjs';
import { start } from './lib/server.mjs';
import { until, within } from './lib/wait.mjs';
import { openPeer } from './lib/websocket.mjs';

const POLLING = '/socket.io/?EIO=4&transport=polling';
const KEY = 'AAAAAAAAAAAAAAAAAAAAAA==';

/** One request with a head of one's own, on a connection that the server is asked to close. */
async function ask(port, lines, { version = '1.1' } = {}) {
  const head = [`GET ${lines.path ?? POLLING} HTTP/${version}`, ...(lines.head ?? [`Host: 127.0.0.1:${port}`]), 'Connection: close', '', ''];
  return (await talk(port, head.join('\r\n'))).toString();
}

/** A client from another address of this machine is served. */
async function servesOthers(port) {
  const peer = await openPeer(port, { localAddress: '127.0.0.2' });
  await peerServes(peer);
  peer.destroy();
}

const status = (answer) => Number(/^HTTP\/1\.\d (\d+)/.exec(answer)?.[1]);

test('A4: handshakes pipelined from one address leave room for others', async (t) => {
  const server = await start(t, { env: { CARILLON_SERVER__MAX_CONNECTIONS: '200', CARILLON_SERVER__NEW_SESSIONS_PER_IP_PER_S: '1' } });
  const flood = `GET ${POLLING} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`.repeat(300);
  await Promise.all(Array.from({ length: 10 }, () => talk(server.port, flood)));
  const metrics = await server.metrics();
  assert.equal(metrics.sum('carillon_sessions_open'), 100, 'half of all there may be');
  assert.equal(metrics.sum('carillon_connections_refused_total', { reason: 'too_many_from_address' }), 10, 'one refusal ends a connection');
  const refused = await http(server.url, 'GET', POLLING);
  assert.deepEqual([refused.status, refused.headers['retry-after']], [429, '1']);
  await servesOthers(server.port);
  assert.equal(metrics.sum('carillon_connections_refused_total', { reason: 'too_many_sessions' }), 0);
});

test('A4: one address cannot hold all connections', async (t) => {
  const server = await start(t, { env: { CARILLON_SERVER__MAX_CONNECTIONS_PER_IP: '5' } });
  const held = await Promise.all(Array.from({ length: 5 }, () => openPeer(server.port)));
  const refusal = (await talk(server.port, '')).toString();
  assert.match(refusal, /^HTTP\/1\.1 429 .*\r\n/);
  assert.match(refusal, /retry-after: 1\r\n/);
  assert.equal(JSON.parse(refusal.split('\r\n\r\n')[1]).detail, 'Too many connections from this address');
  await servesOthers(server.port);
  held[0].destroy();
  await until(async () => !(await http(server.url, 'GET', '/livez')).reset, 'a place that was given back is there again');
});

test('behind a trusted proxy it is the client that counts', async (t) => {
  const config = '[server]\nmax_sessions_per_ip = 2\ntrusted_proxies = ["127.0.0.1"]\nmax_connections_per_ip = 1\n';
  const server = await start(t, { config });
  const open = (forwarded) => http(server.url, 'GET', POLLING, undefined, undefined, { 'x-forwarded-for': forwarded });
  assert.equal((await open('198.51.100.7')).status, 200);
  assert.equal((await open('203.0.113.9, 198.51.100.7')).status, 200);
  const refused = await open('198.51.100.7, 127.0.0.1');
  assert.equal(refused.status, 429);
  assert.equal(refused.headers['retry-after'], '1');
  assert.equal((await open('198.51.100.8')).status, 200);
  // What a client writes itself is its own word.
  const direct = await start(t, { config: '[server]\nmax_sessions_per_ip = 1\n' });
  const lie = (forwarded) => http(direct.url, 'GET', POLLING, undefined, undefined, { 'x-forwarded-for': forwarded });
  assert.equal((await lie('198.51.100.7')).status, 200);
  assert.equal((await lie('198.51.100.8')).status, 429);
});

test('sessions are opened no faster than the settings say, and earned back', async (t) => {
  const config = '[server]\nmax_sessions_per_ip = 3\nnew_sessions_per_ip_per_s = 20\n';
  const server = await start(t, { config });
  const open = () => http(server.url, 'GET', POLLING);
  for (let n = 0; n < 3; n += 1) {
    const session = await openPolling(server.url);
    assert.equal((await session.post('1')).status, 200);
  }
  await until(async () => (await open()).status === 200, 'a session is earned back');
});

test('A6: bodies that never end are held up to the budget, and given back', async (t) => {
  const config = '[server]\nmemory_budget_bytes = 2097152\nmax_message_bytes = 1000000\n';
  const server = await start(t, { config });
  const post = async (bytes) => {
    const { sid } = await openPolling(server.url);
    const socket = connect(server.port, '127.0.0.1');
    t.after(() => socket.destroy());
    const closed = new Promise((done) => socket.on('close', done));
    let said = '';
    socket.on('data', (chunk) => { said += chunk; });
    socket.on('error', () => {});
    socket.write(`POST ${POLLING}&sid=${sid} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n`);
    socket.write('4'.repeat(bytes));
    return { socket, closed, said: () => said };
  };
  const held = async () => (await server.metrics()).sum('carillon_memory_budget_held_bytes');
  const first = await post(900_000);
  await until(async () => await held() >= 900_000, 'the first body is held');
  const second = await post(900_000);
  await until(() => second.said().includes('503 '), () => `the second body is refused; ${second.said()}`);
  assert.match(second.said(), /retry-after: 1\r\n/);
  assert.equal((await server.metrics()).sum('carillon_connections_refused_total', { reason: 'memory' }), 1);
  first.socket.destroy();
  await until(async () => await held() < 100_000, 'what was held is given back');
});

test('A8: on loopback only local names are ours, unless listed', async (t) => {
  const server = await start(t);
  const called = (host, path) => ask(server.port, { path, head: [`Host: ${host}`] });
  for (const path of [POLLING, '/metrics', '/api/health', '/websocket-test']) {
    const answer = await called(`evil.example:${server.port}`, path);
    assert.equal(status(answer), 421, path);
    assert.match(answer, /hosts = \[\\"evil\.example\\"\]/);
  }
  for (const host of ['localhost', `127.0.0.1:${server.port}`, '[::1]', 'app.localhost:1']) assert.equal(status(await called(host)), 200, host);
  assert.equal((await server.metrics()).sum('carillon_connections_refused_total', { reason: 'host' }), 4);
  const listed = await start(t, { config: '[server]\nhosts = ["board.example"]\n' });
  assert.equal(status(await ask(listed.port, { head: ['Host: board.example'] })), 200);
});

test('there is exactly one Host', async (t) => {
  const server = await start(t);
  for (const head of [[], ['Host:'], ['Host: localhost', 'Host: localhost'], ['Host: local host']]) {
    assert.equal(status(await ask(server.port, { head })), 400, JSON.stringify(head));
  }
  // As probes of older load balancers do.
  assert.equal(status(await ask(server.port, { path: '/livez', head: [] }, { version: '1.0' })), 200);
});

test('a WebSocket handshake is whole, or told what it lacks', async (t) => {
  const server = await start(t);
  const shake = async ({ version = '13', key = KEY, http: spoken = '1.1' }) => {
    const head = [`Host: 127.0.0.1:${server.port}`, 'Connection: Upgrade', 'Upgrade: websocket', `Sec-WebSocket-Version: ${version}`, `Sec-WebSocket-Key: ${key}`];
    const socket = connect(server.port, '127.0.0.1');
    let said = '';
    socket.on('data', (chunk) => { said += chunk; });
    const answered = new Promise((done) => { socket.on('data', () => { if (said.includes('\r\n\r\n')) done(); }); socket.on('close', done); });
    socket.write([`GET /socket.io/?EIO=4&transport=websocket HTTP/${spoken}`, ...head, '', ''].join('\r\n'));
    await within(answered, 'the handshake is answered');
    socket.destroy();
    return said;
  };
  assert.equal(status(await shake({})), 101);
  const other = await shake({ version: '8' });
  assert.equal(status(other), 426);
  assert.match(other, /sec-websocket-version: 13\r\n/);
  for (const key of ['', 'AAAA', `${KEY}x`, 'A'.repeat(24)]) assert.equal(status(await shake({ key })), 400, key);
  assert.equal(status(await shake({ http: '1.0' })), 400);
  await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_sessions_open'), 0, 'a refusal leaves no session'));
});

test('A8: a page of another site that sends no Origin is refused too', async (t) => {
  const server = await start(t);
  const from = (path, site) => http(server.url, 'GET', path, undefined, undefined, { 'sec-fetch-site': site });
  for (const path of [POLLING, '/api/health', '/api/cluster/nodes']) {
    assert.equal((await from(path, 'cross-site')).status, 403, path);
    assert.equal((await from(path, 'same-origin')).status, 200, path);
    assert.equal((await from(path, 'none')).status, 200, path);
  }
});

test('A8: behind a trusted proxy an origin is compared with its scheme', async (t) => {
  const server = await start(t, { config: '[server]\ntrusted_proxies = ["127.0.0.1"]\nhosts = ["board.example"]\n' });
  const from = (origin, proto) => http(server.url, 'GET', POLLING, undefined, undefined, { origin, host: 'board.example', 'x-forwarded-proto': proto });
  assert.equal((await from('https://board.example', 'https')).status, 200);
  assert.equal((await from('http://board.example', 'https')).status, 403);
  assert.equal((await from('http://board.example', 'http')).status, 200);
});

test('no answer leaves it to the browser what it is', async (t) => {
  const server = await start(t);
  for (const path of ['/livez', '/readyz', '/metrics', '/api/health', '/nope', '/websocket-test', POLLING, '/socket.io/?EIO=4&transport=none', '/socket.io/socket.io.js']) {
    const { headers } = await http(server.url, 'GET', path);
    assert.equal(headers['x-content-type-options'], 'nosniff', path);
  }
  const refused = await http(server.url, 'GET', '/livez', undefined, undefined, { host: 'evil.example' });
  assert.equal(refused.headers['x-content-type-options'], 'nosniff');
});

test('a refused page and its operator are told the line that lets it in', async (t) => {
  const server = await start(t, { config: '[server]\norigins = ["https://ok.example"]\n' });
  const origin = 'http://localhost:3000';
  const refused = await http(server.url, 'GET', POLLING, undefined, undefined, { origin });
  assert.equal(refused.status, 403);
  const line = 'origins = ["https://ok.example", "http://localhost:3000"]';
  assert.ok(JSON.parse(refused.body).message.includes(line), refused.body);
  await server.logged(/refused.*origins = \["https:\/\/ok\.example", "http:\/\/localhost:3000"\]/);
});

test('cookies go along for listed origins only', async (t) => {
  const header = 'access-control-allow-credentials';
  const listed = await start(t, { config: '[server]\norigins = ["https://ok.example"]\n' });
  const ok = await http(listed.url, 'GET', POLLING, undefined, undefined, { origin: 'https://ok.example' });
  assert.equal(ok.headers[header], 'true');
  assert.equal(ok.headers['access-control-allow-origin'], 'https://ok.example');
  const every = await start(t, { config: '[server]\norigins = ["*"]\n' });
  const any = await http(every.url, 'GET', POLLING, undefined, undefined, { origin: 'https://ok.example' });
  assert.equal(any.status, 200);
  assert.equal(any.headers[header], undefined);
});

test('A12: connections leave open files for the rest', async (t) => {
  const server = await start(t, { openFiles: 256 });
  await server.logged(/the system allows 256 open files: 192 connections at once instead of server\.max_connections = 50000/);
  // One address has half of them.
  const held = await Promise.all(Array.from({ length: 96 }, () => openPeer(server.port)));
  assert.match((await talk(server.port, '')).toString(), /^HTTP\/1\.1 429 /);
  for (const peer of held) peer.destroy();
});
