//! The listener for operators: what is there is nowhere else, and it is the last to go.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseMetrics } from './lib/metrics.mjs';
import { http, released } from './lib/raw.mjs';
import { freePort } from './lib/redis.mjs';
import { runToEnd, start, tempFolder } from './lib/server.mjs';
import { until, within } from './lib/wait.mjs';

const OPERATORS = ['/metrics', '/livez', '/readyz', '/api/failures'];

/** A server with a listener for operators. */
const startApart = (t, options = {}) => start(t, { ...options, env: { CARILLON_ADMIN__LISTEN: '127.0.0.1:0', ...options.env } });

test('without it operators read where clients connect', async (t) => {
  const server = await start(t);
  for (const path of OPERATORS) assert.equal((await http(server.url, 'GET', path)).status, 200, path);
});

test('with it only there: clients get 404, and everything else stays where it was', async (t) => {
  const server = await startApart(t);
  for (const path of OPERATORS) {
    const { status, headers } = await http(server.operators, 'GET', path);
    assert.equal(status, 200, path);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal((await http(server.operators, 'POST', path, 'x')).status, 405, path);
    for (const method of ['GET', 'POST', 'HEAD']) assert.equal((await http(server.url, method, path)).status, 404, `${method} ${path}`);
  }
  const ready = JSON.parse((await http(server.operators, 'GET', '/readyz')).body);
  assert.equal(ready.components.bus.ready, true, JSON.stringify(ready));
  // The routes of plugins, the documents and the pages are for clients.
  for (const path of ['/api/health', '/types.d.ts', '/asyncapi.json', '/docs']) {
    assert.equal((await http(server.url, 'GET', path)).status, 200, path);
    assert.equal((await http(server.operators, 'GET', path)).status, 404, path);
  }
  assert.equal((await http(server.operators, 'GET', '/socket.io/?EIO=4&transport=polling')).status, 404);
  const { body } = await http(server.url, 'GET', '/docs');
  for (const path of OPERATORS) assert.ok(!body.includes(`href="${path}"`), `${path} is no link`);
  const socket = await server.connect('/echo');
  assert.deepEqual((await socket.call('say', { text: 'x' }))[0], { ok: true, data: { text: 'x' } });
});

test('names that point here from elsewhere are refused, pages of other origins read nothing', async (t) => {
  const server = await startApart(t);
  const { status } = await http(server.operators, 'GET', '/metrics', undefined, undefined, { host: 'evil.example' });
  assert.equal(status, 421);
  const answer = await http(server.operators, 'GET', '/metrics', undefined, undefined, { origin: 'http://evil.example' });
  assert.equal(answer.headers['access-control-allow-origin'], undefined);
  assert.equal((await http(server.operators, 'GET', '/api/failures', undefined, undefined, { origin: 'http://evil.example' })).status, 403);
});

test('no crowd of clients keeps operators out', async (t) => {
  const server = await startApart(t, { env: { CARILLON_SERVER__MAX_CONNECTIONS: '1', CARILLON_SERVER__MAX_CONNECTIONS_PER_IP: '9' } });
  const raw = await server.raw();
  assert.equal((await http(server.url, 'GET', '/docs')).status, 503);
  const { body } = await http(server.operators, 'GET', '/metrics');
  assert.equal(parseMetrics(body).sum('carillon_connections_refused_total', { reason: 'too_many_connections' }), 1);
  raw.terminate();
});

test('it stays until the end of a stop, when clients have long gone', async (t) => {
  const server = await startApart(t, { program: 'fixture', env: { CARILLON_DRAIN__DEADLINE_MS: '20000' } });
  const scrape = async () => parseMetrics((await http(server.operators, 'GET', '/metrics')).body);
  const socket = await server.connect('/rough');
  // Nobody waits for its answer, only the end of the stop does.
  socket.emit('slow', { ms: 3_000 });
  await until(async () => (await scrape()).sum('carillon_handlers_in_flight', { namespace: '/rough' }) === 1, 'it works');
  server.child.kill('SIGTERM');
  await released(server.port);
  assert.equal((await http(server.operators, 'GET', '/readyz')).status, 503);
  assert.equal((await http(server.operators, 'GET', '/livez')).status, 200);
  const metrics = await scrape();
  assert.equal(metrics.sum('carillon_sessions_open'), 0);
  assert.equal(metrics.sum('carillon_connected_clients'), 0);
  assert.equal(metrics.sum('carillon_handlers_in_flight', { namespace: '/rough' }), 1);
  assert.deepEqual(await within(server.exit, 'the server ends'), { code: 0, signal: null });
});

test('its settings are checked, and a port that is taken is told with its key', async (t) => {
  const port = await freePort();
  const check = (listen, more = {}) => runToEnd('carillon', ['check'], { env: { CARILLON_ADMIN__LISTEN: listen, ...more } });
  const same = await check(`127.0.0.1:${port}`, { CARILLON_SERVER__LISTEN: `127.0.0.1:${port}` });
  assert.equal(same.code, 78);
  assert.match(same.err, /admin\.listen: clients are served on \S+ \(server\.listen\): \S+ needs another port/);
  const bad = await check('nowhere');
  assert.equal(bad.code, 78);
  assert.match(bad.err, /^admin\.listen: a port is missing: .*"nowhere".*CARILLON_ADMIN__LISTEN/);
  const server = await start(t);
  const taken = await runToEnd('carillon', ['serve', '--listen', '127.0.0.1:0'], { env: { CARILLON_ADMIN__LISTEN: `127.0.0.1:${server.port}` } });
  assert.equal(taken.code, 1);
  assert.match(taken.err, /admin\.listen: cannot listen on \S+: the port is in use by another program; choose another with admin\.listen/);
});

test('a probe asks where operators read', async (t) => {
  const file = join(tempFolder(t), 'carillon.toml');
  const [clients, operators] = [await freePort(), await freePort()];
  writeFileSync(file, `[server]\nlisten = "127.0.0.1:${clients}"\n[admin]\nlisten = "127.0.0.1:${operators}"\n`);
  await start(t, { listen: null, args: ['--config', file] });
  for (const question of ['live', 'ready']) {
    const { code, out, err } = await runToEnd('carillon', ['probe', question, '--config', file]);
    assert.equal(code, 0, out + err);
  }
  const { code, err } = await runToEnd('carillon', ['probe', 'live', '--url', `http://127.0.0.1:${clients}`]);
  assert.equal(code, 1);
  assert.match(err, /404/);
});
