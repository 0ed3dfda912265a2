//! Starting, telling how it is, refusing what it must, and stopping.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { disconnected, refused } from './lib/client.mjs';
import { http } from './lib/raw.mjs';
import { runToEnd, start, tempFolder } from './lib/server.mjs';
import { until, within } from './lib/wait.mjs';

const POLLING = '/socket.io/?EIO=4&transport=polling';

// ---- how it is ----

test('/livez and /readyz tell how it is', async (t) => {
  const server = await start(t);
  const live = await server.fetch('/livez');
  assert.equal(live.status, 200);
  const ready = await server.fetch('/readyz');
  assert.equal(ready.status, 200);
  assert.match(ready.headers.get('content-type'), /^application\/json/);
  const text = JSON.stringify(await ready.json());
  for (const component of ['bus', 'monitoring', 'health', 'relay']) assert.ok(text.includes(component), `${component} is missing in ${text}`);
});

test('unknown paths and methods are answered with JSON', async (t) => {
  const server = await start(t);
  for (const path of ['/api/none', '/', '/socket.io.js', '/socket.io-admin/?EIO=4&transport=polling']) {
    const { status, headers, body } = await http(server.url, 'GET', path);
    assert.equal(status, 404, path);
    assert.match(headers['content-type'], /^application\/json/);
    assert.doesNotThrow(() => JSON.parse(body));
  }
  for (const path of ['/metrics', '/livez', '/readyz']) {
    const { status, headers, body } = await http(server.url, 'POST', path, 'x');
    assert.equal(status, 405, path);
    assert.match(headers.allow, /GET/);
    assert.match(headers['content-type'], /^application\/json/);
    assert.doesNotThrow(() => JSON.parse(body));
  }
  for (const path of ['/metrics', '/livez', '/readyz']) assert.equal((await http(server.url, 'HEAD', path)).status, 200, `HEAD ${path}`);
});

// ---- who may connect ----

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
  assert.ok(preflight.status === 200 || preflight.status === 204);
  assert.equal(preflight.headers['access-control-allow-origin'], 'https://ok.example');
  assert.match(preflight.headers['access-control-allow-methods'], /POST/);
});

test('origins = ["*"] lets every page in', async (t) => {
  const server = await start(t, { config: '[server]\norigins = ["*"]\n' });
  const any = await tryAs(server, 'https://elsewhere.example');
  assert.equal(any.polling, 200);
  assert.equal(any.websocket, 'open');
  assert.ok(['*', 'https://elsewhere.example'].includes(any.allowed));
});

test('transports = ["websocket"] refuses polling', async (t) => {
  const server = await start(t, { config: '[server]\ntransports = ["websocket"]\n' });
  await server.connect('/', { transports: ['websocket'] });
  await refused(server.client('/', { transports: ['polling'] }));
});

// ---- stopping ----

test('SIGTERM: running calls are answered, clients see a transport close, the exit code is 0', async (t) => {
  const server = await start(t, { program: 'fixture' });
  const sockets = await Promise.all([['websocket'], ['polling']].map((transports) => server.connect('/rough', { transports })));
  const calls = sockets.map((socket) => socket.call('slow', { ms: 500 }));
  await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_handlers_in_flight', { namespace: '/rough' }), 2));
  server.child.kill('SIGTERM');
  for (const call of calls) assert.equal((await call)[0].ok, true);
  // A stock client reconnects by itself after a transport close, and would not after a DISCONNECT packet.
  for (const socket of sockets) assert.match((await disconnected(socket)).reason, /^transport (close|error)$/);
  assert.deepEqual(await within(server.exit, 'the server ends'), { code: 0, signal: null });
});

test('SIGINT stops it as well', async (t) => {
  const server = await start(t);
  await server.connect('/');
  assert.deepEqual(await server.stop('SIGINT'), { code: 0, signal: null });
});

test('while it drains it is alive and not ready; a second signal ends it now', async (t) => {
  const server = await start(t, { env: { CARILLON_DRAIN__PRE_DELAY_MS: '60000', CARILLON_DRAIN__DEADLINE_MS: '120000' } });
  await server.connect('/');
  server.child.kill('SIGTERM');
  await until(async () => (await server.fetch('/readyz')).status === 503, '/readyz says 503');
  assert.equal((await server.fetch('/livez')).status, 200);
  server.child.kill('SIGTERM');
  const end = await within(server.exit, 'the server ends at the second signal', 2_000);
  assert.equal(end.signal, null, 'it ends by itself');
});

test('a client that never reads does not keep the server from stopping', async (t) => {
  const server = await start(t, { program: 'fixture', env: { CARILLON_DRAIN__DEADLINE_MS: '2000' } });
  const raw = await server.raw({ namespace: '/proto' });
  raw.pause();
  for (let n = 0; n < 200; n += 1) raw.send(`42/proto,["message","${'x'.repeat(50_000)}"]`);
  assert.equal((await server.stop()).code, 0);
});

test('clients reconnect to a server that was restarted on the same port', async (t) => {
  const first = await start(t);
  const socket = first.client('/health', { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 });
  t.after(() => socket.close());
  await socket.opened();
  // The first server's helper would close this client before it stops the server.
  first.closers.length = 0;
  assert.equal((await first.stop()).code, 0);
  await disconnected(socket);
  socket.seen.length = 0;
  await start(t, { listen: `127.0.0.1:${first.port}` });
  await socket.next('health_connected');
  assert.equal((await socket.call('request_health'))[0].ok, true);
});

// ---- what keeps it from starting ----

/** Asserts that a command ends with `code` and that what it says matches, without a panic or a backtrace. */
async function fails(args, code, pattern, options) {
  const { code: got, out, err } = await runToEnd('carillon', args, options);
  assert.equal(got, code, `carillon ${args.join(' ')} said: ${out}${err}`);
  assert.match(err, pattern);
  assert.doesNotMatch(err, /panicked|RUST_BACKTRACE/);
  return err.trimEnd().split('\n').filter((line) => line !== '');
}

test('port taken: one clear line, exit code 1', async (t) => {
  const holder = createServer();
  await new Promise((done) => holder.listen(0, '127.0.0.1', done));
  t.after(() => holder.close());
  const address = `127.0.0.1:${holder.address().port}`;
  const lines = await fails(['serve', '--listen', address], 1, new RegExp(address.replaceAll('.', '\\.')));
  assert.match(lines.at(-1), new RegExp(`${address.replaceAll('.', '\\.')}.*(in use|taken)`));
});

test('a configuration file that is missing, is a folder, or is not UTF-8: one clear line, exit code 78', async (t) => {
  const folder = tempFolder(t);
  const binary = join(folder, 'binary.toml');
  writeFileSync(binary, Buffer.from([0x5b, 0xff, 0xfe, 0x5d]));
  for (const file of [join(folder, 'absent.toml'), folder, binary]) {
    const lines = await fails(['serve', '--config', file], 78, new RegExp(file.replaceAll('.', '\\.')));
    assert.equal(lines.length, 1, lines.join('\n'));
  }
});

test('a configuration file that is not TOML: the place of the mistake, exit code 78', async (t) => {
  const file = join(tempFolder(t), 'carillon.toml');
  writeFileSync(file, '[server]\nlisten = \n');
  await fails(['serve', '--config', file], 78, /carillon\.toml.*2/s);
});

test('an unknown log format, flag or command: one clear line, exit code 2', async () => {
  await fails(['serve', '--log-format', 'xml'], 2, /xml.*json|json.*xml/s);
  await fails(['serve', '--lisen', '127.0.0.1:0'], 2, /--lisen/);
  await fails(['sereve'], 2, /sereve/);
  await fails(['serve', '--listen', 'nowhere'], 2, /nowhere/).catch(async () => fails(['serve', '--listen', 'nowhere'], 78, /nowhere/));
});

test('an unknown log format in the file or the environment: exit code 78', async () => {
  await fails(['check'], 78, /log\.format/, { env: { CARILLON_LOG__FORMAT: 'xml' } });
});

test('all mistakes of all sections are reported together', async (t) => {
  const file = join(tempFolder(t), 'carillon.toml');
  writeFileSync(file, [
    '[server]',
    'lisen = "127.0.0.1:1"', // unknown key
    'max_message_bytes = "much"', // wrong type
    'transports = []',
    '[plugins.monitering]', // unknown plugin
    'interval_ms = 1',
  ].join('\n'));
  const lines = await fails(['check', '--config', file], 78, /server\.lisen/, { env: { CARILLON_ROUTER__QUEUE_EVENTS: 'many' } });
  const text = lines.join('\n');
  for (const path of ['server.lisen', 'server.max_message_bytes', 'plugins.monitering', 'router.queue_events']) assert.ok(text.includes(path), `${path} is missing:\n${text}`);
  assert.match(text, /listen/, 'did you mean');
  assert.match(text, /monitoring/, 'did you mean');
  assert.match(text, /CARILLON_ROUTER__QUEUE_EVENTS/, 'the source is named');
});

test('logs are one JSON object a line where that is asked for', async (t) => {
  const server = await start(t, { args: ['--log-format', 'json'] });
  assert.ok(server.log.length > 0);
  for (const line of server.log) assert.doesNotThrow(() => JSON.parse(line), line);
});

test('--version and --help answer and exit 0', async () => {
  const version = await runToEnd('carillon', ['--version']);
  assert.equal(version.code, 0);
  assert.match(version.out, /^carillon \d+\.\d+\.\d+/);
  const help = await runToEnd('carillon', ['--help']);
  assert.equal(help.code, 0);
  for (const command of ['serve', 'check', 'plugins', 'config']) assert.match(help.out, new RegExp(`\\b${command}\\b`));
});
