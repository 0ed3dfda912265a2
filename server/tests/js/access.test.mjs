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
