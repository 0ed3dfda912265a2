//! Telling how it is, and stopping.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { disconnected, TRANSPORTS, upgraded } from './lib/client.mjs';
import { lastLedger } from './lib/metrics.mjs';
import { http, released } from './lib/raw.mjs';
import { start, tempFolder } from './lib/server.mjs';
import { until, within } from './lib/wait.mjs';

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
  for (const path of ['/api/none', '/none', '/socket.io.js', '/socket.io-admin/?EIO=4&transport=polling']) {
    const { status, headers, body } = await http(server.url, 'GET', path);
    assert.equal(status, 404, path);
    assert.match(headers['content-type'], /^application\/json/);
    assert.doesNotThrow(() => JSON.parse(body));
  }
  for (const path of ['/metrics', '/livez', '/readyz', '/api/failures']) {
    const { status, headers, body } = await http(server.url, 'POST', path, 'x');
    assert.equal(status, 405, path);
    assert.match(headers.allow, /GET/);
    assert.match(headers['content-type'], /^application\/json/);
    assert.doesNotThrow(() => JSON.parse(body));
  }
  for (const path of ['/metrics', '/livez', '/readyz']) assert.equal((await http(server.url, 'HEAD', path)).status, 200, `HEAD ${path}`);
});

test('SIGTERM: running calls are answered, clients see a transport close, the exit code is 0', async (t) => {
  const server = await start(t, { program: 'fixture' });
  const sockets = await Promise.all([['websocket'], ['polling']].map((transports) => server.connect('/rough', { transports })));
  const calls = sockets.map((socket) => socket.call('slow', { ms: 1_500 }));
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
  const end = await within(server.exit, 'the server ends at the second signal');
  assert.equal(end.signal, null, 'it ends by itself');
});

test('a client that never reads does not keep the server from stopping', async (t) => {
  const server = await start(t, { program: 'fixture', env: { CARILLON_DRAIN__DEADLINE_MS: '2000' } });
  const raw = await server.raw({ namespace: '/proto' });
  raw.pause();
  for (let n = 0; n < 200; n += 1) raw.send(`42/proto,["message","${'x'.repeat(50_000)}"]`);
  assert.equal((await server.stop()).code, 0);
});

test('the deadline of a stop has the pre-delay in it', async (t) => {
  const server = await start(t, {
    program: 'fixture',
    env: { CARILLON_DRAIN__PRE_DELAY_MS: '4000', CARILLON_DRAIN__WINDOW_MS: '500', CARILLON_DRAIN__DEADLINE_MS: '5000' },
  });
  const socket = await server.connect('/rough');
  socket.emit('hang', () => {});
  await until(async () => (await server.metrics()).sum('carillon_handlers_in_flight', { namespace: '/rough' }) === 1, 'it hangs');
  const from = performance.now();
  assert.equal((await server.stop()).code, 0);
  const took = performance.now() - from;
  assert.ok(took > 4_000 && took < 8_000, `${took} ms`);
});

test('clients reconnect to a server that was restarted on the same port', async (t) => {
  const first = await start(t);
  const socket = first.client('/health', { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 });
  t.after(() => socket.close());
  await socket.opened();
  await upgraded(socket);
  // The first server's helper would close this client before it stops the server.
  first.closers.length = 0;
  assert.equal((await first.stop()).code, 0);
  await disconnected(socket);
  socket.seen.length = 0;
  await start(t, { listen: `127.0.0.1:${first.port}` });
  await socket.next('health_connected');
  assert.equal((await socket.call('request_health'))[0].ok, true);
});

test('SIGTERM under a flood: every copy is accounted for, who does not read delays nothing, clients go on at the next instance', async (t) => {
  // 4 MB a second to each, and no limit but the stop's own for the one who does not read.
  const env = {
    CARILLON_PLUGINS__ORDER__FLOOD_EVERY_MS: '4', CARILLON_PLUGINS__ORDER__FLOOD_BYTES: '16000',
    CARILLON_WIRE__MAX_QUEUED_BYTES: String(2 ** 30), CARILLON_WIRE__WRITE_STALL_MS: '600000', CARILLON_DRAIN__DEADLINE_MS: '25000',
  };
  const first = await start(t, { program: 'fixture', env });
  const sockets = Object.values(TRANSPORTS).flatMap((transport) => [transport, transport]).map((transport) => {
    const socket = first.client('/order', { ...transport, reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 });
    socket.offAny();
    // What came over each of its connections.
    socket.lives = [];
    socket.on('connect', () => socket.lives.push([]));
    socket.on('drop', ({ n }) => socket.lives.at(-1).push(n));
    return socket;
  });
  // They go on when the first server has ended.
  t.after(() => first.closeClients());
  const flooded = (life) => until(() => sockets.every(({ lives }) => lives.length === life && lives.at(-1).length >= 100), `the flood of instance ${life} comes`);
  const raw = await first.raw({ namespace: '/order' });
  raw.pause();
  await flooded(1);
  // More piles up for the one who does not read than two kernels keep.
  const bucket = (metrics, le) => metrics.sum('carillon_wire_queued_bytes_bucket', { le });
  await first.metricsSettle((metrics) => assert.ok(bucket(metrics, '+Inf') > bucket(metrics, '1048576')), 20_000);

  first.child.kill('SIGTERM');
  const from = performance.now();
  await released(first.port);
  const second = await start(t, { program: 'fixture', env, listen: `127.0.0.1:${first.port}` });
  assert.deepEqual(await within(first.exit, 'the first one ends'), { code: 0, signal: null });
  t.diagnostic(`the next instance listened, and the first one had ended, ${Math.round(performance.now() - from)} ms after SIGTERM`);
  const { expected, ...outcomes } = lastLedger(first);
  t.diagnostic(`${expected} copies: ${JSON.stringify(outcomes)}`);
  assert.equal(Object.values(outcomes).reduce((sum, count) => sum + count, 0), expected);
  assert.ok(outcomes.closed > 0, 'what nobody read is counted as lost');
  await flooded(2);
  for (const { lives } of sockets) {
    for (const drops of lives) assert.deepEqual(drops, drops.map((_, at) => drops[0] + at), 'in order, none missing');
  }
  assert.equal((await second.metrics()).sum('carillon_disconnections_total'), 0);
});

// Clients that are published to, and that call, while the configuration is read again; a third of them over each transport.
const CROWD = 90;

test('SIGHUP under load: nothing is lost, nobody is disconnected, and the log says what was read again', async (t) => {
  const file = join(tempFolder(t), 'carillon.toml');
  writeFileSync(file, '[log]\nlevel = "info"\n');
  const env = { CARILLON_PLUGINS__ORDER__FLOOD_EVERY_MS: '50', CARILLON_PLUGINS__ORDER__FLOOD_BYTES: '1000' };
  const server = await start(t, { program: 'fixture', env, args: ['--config', file] });
  const transports = Object.values(TRANSPORTS);
  const sockets = await Promise.all(Array.from({ length: CROWD }, async (_, number) => {
    const socket = server.client('/order', transports[number % transports.length]);
    socket.offAny();
    Object.assign(socket, { drops: [], numbers: [], turns: 0 });
    socket.on('drop', ({ n }) => socket.drops.push(n));
    socket.on('step', (n) => socket.numbers.push(n));
    socket.on('cast', (n, from) => from === number && socket.numbers.push(n));
    socket.on('ask', (n, answer) => {
      socket.numbers.push(n);
      answer(n);
    });
    await socket.opened();
    return socket;
  }));
  // Each client asks again half a second after its answer; what it is sent is numbered, the ack included.
  let asking = true;
  const calls = Promise.all(sockets.map(async (socket, from) => {
    for (; asking; socket.turns++) {
      const n = await new Promise((answered, failed) => {
        socket.timeout(20_000).emit('turn', { from, turn: socket.turns }, (error, last) => (error ? failed(error) : answered(last)));
      });
      socket.numbers.push(n);
      assert.equal(socket.numbers.length, n + 1, `client ${from} has all that was sent before its ack`);
      await setTimeout(500);
    }
  }));
  // Looked at when all is over: whatever fails before then is the failure to tell.
  calls.catch(() => {});
  const more = (count) => until(() => sockets.every(({ drops }) => drops.length >= count), `${count} drops come to everybody`);
  await more(20);
  for (const [text, said] of [
    ['[log]\nlevel = "info"\n', /SIGHUP: .*log\.level is "info", as it was/],
    // Said although such a line is not to be said from then on.
    ['[log]\nlevel = "error"\n', /SIGHUP: .*log\.level is "error" now, it was "info"/],
    ['[log]\nlevel = "debug"\n[server]\nworkers = 7\n', /SIGHUP: .*log\.level is "debug" now, it was "error"; these take a restart: server\.workers/],
    ['[log]\nlevel = "loud"\n', /SIGHUP: log\.level: `loud` is not a log level/],
    ['[log]\nlevel = "warn"\n', /SIGHUP: the configuration has mistakes, everything stays as it was/],
  ]) {
    if (!/warn/.test(text)) writeFileSync(file, text);
    server.child.kill('SIGHUP');
    server.child.kill('SIGPIPE');
    await server.logged(said);
    const turns = sockets.map((socket) => socket.turns);
    await more(sockets[0].drops.length + 20);
    await until(() => sockets.every((socket, at) => socket.turns > turns[at]), 'everybody is answered after the signal');
  }
  asking = false;
  await calls;
  for (const { drops, numbers, connected } of sockets) {
    assert.ok(connected);
    assert.deepEqual(numbers, numbers.map((_, at) => at), 'every step, question and ack, in order');
    assert.deepEqual(drops, drops.map((_, at) => drops[0] + at), 'in order, none missing');
  }
  const metrics = await server.metrics();
  assert.equal(metrics.sum('carillon_disconnections_total'), 0);
  assert.ok(metrics.sum('carillon_log_lines_total', { level: 'error' }) >= 2, 'the mistakes are counted');
  assert.match(metrics.match('carillon_build_info')[0].labels.revision, /^[0-9a-f]{12}$/);
  assert.equal((await server.stop()).code, 0);
  assert.ok(server.log.some((line) => /DEBUG .*stopped/.test(line)), 'the new level is in force to the end');
});

test('SIGQUIT stops it as SIGTERM does, and a hang-up meanwhile is no second signal', async (t) => {
  const server = await start(t, { env: { CARILLON_DRAIN__PRE_DELAY_MS: '1500' } });
  await server.connect('/');
  server.child.kill('SIGQUIT');
  await server.logged(/SIGQUIT: stopping/);
  server.child.kill('SIGHUP');
  await server.logged(/SIGHUP: the server is stopping, nothing is read again/);
  assert.deepEqual(await within(server.exit, 'the server ends'), { code: 0, signal: null });
});
