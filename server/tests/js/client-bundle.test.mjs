//! The stock client that the server serves, to browsers and to whoever may have it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { openBrowser, openTab } from './lib/browser.mjs';
import { http } from './lib/raw.mjs';
import { start } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const FAST = { CARILLON_PLUGINS__MONITORING__INTERVAL_MS: '1000' };

test('the JavaScript of the original document runs unchanged in a browser', async (t) => {
  const server = await start(t, { env: FAST });
  // To this browser the server is at the address the document names, whatever its port.
  const browser = await openBrowser(t, [`--host-resolver-rules=MAP localhost:8085 127.0.0.1:${server.port}`]);
  const tab = await openTab(t, browser, 'http://localhost:8085');
  const printed = [];
  tab.on('console', (message) => printed.push(message));
  const frames = [];
  tab.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => frames.push(payload)));
  // What comes before the client has upgraded comes in the answers of its polls.
  tab.on('response', (response) => {
    if (response.url().includes('transport=polling')) response.text().then((text) => frames.push(...text.split('\x1e')), () => {});
  });
  // Any answer of the server is a place to put a page of its own origin.
  await tab.goto('http://localhost:8085/livez');
  const code = readFileSync(new URL('./seed-example.js', import.meta.url), 'utf8');
  await tab.setContent(`<!DOCTYPE html><script src="/socket.io/socket.io.js"></script><script>${code}</script>`);
  const message = await until(() => printed.find((one) => one.text().startsWith('Métriques du cluster:')), 'the document prints metrics');
  assert.equal((await message.args()[1].jsonValue()).cluster_stats.total_nodes, 1);
  await until(() => frames.some((frame) => frame.startsWith('42/monitoring,["nodes_status_response",')), 'the nodes come');
  await until(() => frames.some((frame) => frame.startsWith('42/health,["health_response",')), 'the health comes');
});

test('every build of the stock client is served, to the byte, and not twice', async (t) => {
  const server = await start(t);
  const installed = new URL('./node_modules/socket.io-client/dist/', import.meta.url);
  for (const name of ['socket.io.js', 'socket.io.min.js', 'socket.io.esm.min.js'].flatMap((name) => [name, `${name}.map`])) {
    const path = `/socket.io/${name}`;
    const expected = readFileSync(new URL(name, installed));
    const plain = await http(server.url, 'GET', path);
    assert.equal(plain.status, 200, `${path}: is the binary built after \`make web\`?`);
    assert.ok(expected.equals(Buffer.from(plain.body)), path);
    assert.match(plain.headers['content-type'], name.endsWith('.map') ? /^application\/json$/ : /^text\/javascript; charset=utf-8$/);

    const response = await server.fetch(path, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(response.headers.get('content-encoding'), 'gzip', path);
    assert.ok(Number(response.headers.get('content-length')) < expected.length / 2);
    assert.equal(await response.text(), expected.toString(), path);

    const tag = plain.headers.etag;
    assert.notEqual(response.headers.get('etag'), tag, 'another form, another tag');
    const again = await http(server.url, 'GET', path, undefined, undefined, { 'if-none-match': tag });
    assert.deepEqual([again.status, again.body], [304, '']);
    const head = await http(server.url, 'HEAD', path);
    assert.deepEqual([head.status, head.body, Number(head.headers['content-length'])], [200, '', expected.length]);
  }
  assert.equal((await http(server.url, 'GET', '/socket.io/socket.io.none.js')).status, 404);
});

test('pages of other hosts get the client only where they are allowed', async (t) => {
  const server = await start(t, { config: '[server]\norigins = ["https://app.example"]\n' });
  const allowed = async (origin) => {
    const { status, headers } = await http(server.url, 'GET', '/socket.io/socket.io.esm.min.js', undefined, undefined, { origin });
    return [status, headers['access-control-allow-origin']];
  };
  assert.deepEqual(await allowed('https://app.example'), [200, 'https://app.example']);
  assert.deepEqual(await allowed('https://other.example'), [200, undefined]);
});
