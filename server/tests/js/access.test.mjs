//! Who may connect: the origins of web pages, and the transports.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refused } from './lib/client.mjs';
import { http } from './lib/raw.mjs';
import { start } from './lib/server.mjs';

const POLLING = '/socket.io/?EIO=4&transport=polling';

/** Tries both transports as a page of `origin` would; resolves to what each answered. */
async function tryAs(server, origin) {
  const polling = await http(server.url, 'GET', POLLING, undefined, undefined, { origin });
  const websocket = await server.raw({ headers: { origin } }).then(() => 'open', (error) => error.message);
  return { polling: polling.status, allowed: polling.headers['access-control-allow-origin'], websocket };
}

test('by default only pages of the same host may connect', async (t) => {
  const server = await start(t);
  const own = await tryAs(server, server.url);
  assert.equal(own.polling, 200);
  assert.equal(own.websocket, 'open');
  for (const origin of ['https://elsewhere.example', `${server.url}.elsewhere.example`, `http://127.0.0.1:${server.port + 1}`, 'null']) {
    const foreign = await tryAs(server, origin);
    assert.equal(foreign.polling, 403, origin);
    assert.match(foreign.websocket, /403/, origin);
    assert.equal(foreign.allowed, undefined, origin);
  }
  // Programs send no Origin.
  assert.equal((await http(server.url, 'GET', POLLING)).status, 200);
});

test('pages of the listed origins may connect, and no others', async (t) => {
  const server = await start(t, { config: '[server]\norigins = ["https://ok.example"]\n' });
  const listed = await tryAs(server, 'https://ok.example');
  assert.deepEqual(listed, { polling: 200, allowed: 'https://ok.example', websocket: 'open' });
  const other = await tryAs(server, 'https://elsewhere.example');
  assert.equal(other.polling, 403);
  assert.match(other.websocket, /403/);
  const preflight = await http(server.url, 'OPTIONS', POLLING, undefined, undefined, {
    origin: 'https://ok.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type',
  });
  assert.equal(preflight.status, 200);
  assert.equal(preflight.headers['access-control-allow-origin'], 'https://ok.example');
  assert.match(preflight.headers['access-control-allow-methods'], /POST/);
});

test('origins = ["*"] lets every page in', async (t) => {
  const server = await start(t, { config: '[server]\norigins = ["*"]\n' });
  const any = await tryAs(server, 'https://elsewhere.example');
  assert.equal(any.polling, 200);
  assert.equal(any.websocket, 'open');
  assert.equal(any.allowed, 'https://elsewhere.example');
});

test('no page of another origin reads what failed, not even where every page may connect', async (t) => {
  const server = await start(t, { config: '[server]\norigins = ["*"]\n' });
  const ask = (headers) => http(server.url, 'GET', '/api/failures', undefined, undefined, headers);
  assert.equal((await ask({})).status, 200);
  assert.equal((await ask({ origin: server.url })).status, 200);
  for (const headers of [
    { origin: 'https://elsewhere.example' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' },
  ]) {
    const refused = await ask(headers);
    assert.equal(refused.status, 403, JSON.stringify(headers));
  }
  // A page that gave its own name this server's address: to its browser it is the same origin.
  assert.equal((await ask({ host: 'elsewhere.example', 'sec-fetch-site': 'same-origin' })).status, 421);
});

test('transports = ["websocket"] refuses polling', async (t) => {
  const server = await start(t, { config: '[server]\ntransports = ["websocket"]\n' });
  await server.connect('/', { transports: ['websocket'] });
  await refused(server.client('/', { transports: ['polling'] }));
});

test('clients find the server at server.path, over both transports, and nowhere else', async (t) => {
  const server = await start(t, { config: '[server]\npath = "/app/io"\n' });
  for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
    const socket = await server.connect('/echo', { path: '/app/io/', transports });
    assert.deepEqual(await socket.call('say', { text: 'dong' }), [{ ok: true, data: { text: 'dong' } }]);
  }
  assert.equal((await http(server.url, 'GET', POLLING)).status, 404);
  assert.equal((await http(server.url, 'GET', '/app/io?EIO=4&transport=polling')).status, 200);
});

test('a plugin decides about handshakes before there is a session', async (t) => {
  const deciding = { CARILLON_PLUGINS__ROUGH__HANDSHAKES: 'true' };
  const server = await start(t, { program: 'fixture', env: { ...deciding, CARILLON_ROUTER__HANDLER_TIMEOUT_MS: '30000' } });
  const impatient = await start(t, { program: 'fixture', env: { ...deciding, CARILLON_ROUTER__HANDLER_TIMEOUT_MS: '500' } });
  const upgrade = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' };
  const transports = { polling: {}, websocket: upgrade };
  const ask = (transport, query, { url } = server) => http(url, 'GET', `/socket.io/?EIO=4&transport=${transport}&${query}`, undefined, undefined,
    { cookie: 'id=7', accept: '*/*', ...transports[transport] });
  for (const transport of Object.keys(transports)) {
    const refused = await ask(transport, 'refuse=402');
    assert.equal(refused.status, 402, transport);
    const known = `(127.0.0.1, false, "${transport}") (Some("id=7"), None, "/socket.io/") None`;
    assert.deepEqual(JSON.parse(refused.body), { code: 4, message: known });
    const panicked = await ask(transport, 'manner=panic');
    assert.deepEqual([panicked.status, JSON.parse(panicked.body).message], [500, 'internal error'], transport);
    const late = await ask(transport, 'manner=hang', impatient);
    assert.deepEqual([late.status, late.headers['retry-after']], [503, '1'], transport);
    const busy = await ask(transport, 'manner=error');
    assert.deepEqual([busy.status, JSON.parse(busy.body).message], [503, 'no luck today'], transport);
  }
  assert.deepEqual((await (await server.fetch('/api/failures')).json()).map(({ plugin, event }) => `${plugin} ${event}`), ['rough handshake', 'rough handshake']);
  await server.metricsSettle((metrics) => {
    assert.equal(metrics.sum('carillon_connections_refused_total', { reason: 'plugin' }), 6);
    assert.equal(metrics.sum('carillon_sessions_open'), 0);
  });
  for (const transport of Object.keys(transports)) {
    const socket = await server.connect('/tiny', { transports: [transport] });
    assert.deepEqual(await socket.call('hello', { name: 'you' }), [{ ok: true, data: 'hello, you' }]);
    // Whatever namespace it wants: it never gets as far as to say so.
    await refused(server.client('/tiny', { transports: [transport], query: { refuse: '403' } }));
  }
});
