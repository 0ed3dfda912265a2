//! TLS: stock clients over both transports, what is spoken and what is refused, certificates that change, slow clients.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { connect as tcpConnect } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import { refused, TRANSPORTS, upgraded } from './lib/client.mjs';
import { MESSAGES, readLate } from './lib/late.mjs';
import { python } from './lib/python.mjs';
import { http, openTrickle } from './lib/raw.mjs';
import { freePort } from './lib/redis.mjs';
import { runToEnd, start, tempFolder } from './lib/server.mjs';
import { Authority, openssl, replace, shake, shown, startSecure } from './lib/tls.mjs';
import { until, within } from './lib/wait.mjs';

const handshakes = (metrics, result) => metrics.sum('carillon_tls_handshakes_total', { result });

for (const engine of ['carillon', 'socketioxide']) {
  describe(`with the engine ${engine}`, () => {
    for (const [how, transport] of Object.entries(TRANSPORTS)) {
      test(`a stock client by ${how}`, async (t) => {
        const server = await startSecure(t, { env: { CARILLON_SERVER__ENGINE: engine } });
        const socket = await server.connect('/echo', transport);
        if (how === 'upgrade') await upgraded(socket);
        for (const text of ['x', 'long '.repeat(30_000)]) assert.deepEqual(await socket.call('say', { text }), [{ ok: true, data: { text } }]);
        socket.close();
        await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_sessions_open'), 0));
      });
    }

    for (const [how, transports, last] of [['by polling, then the upgrade', [], 'websocket'], ['by polling alone', ['polling'], 'polling']]) {
      test(`a client in Python ${how}`, async (t) => {
        const server = await startSecure(t, { env: { CARILLON_SERVER__ENGINE: engine } });
        process.env.SSL_CERT_FILE = server.authority.file;
        t.after(() => { delete process.env.SSL_CERT_FILE; });
        const steps = await python(t, 'client.py', 'three_namespaces', server.url.replace('127.0.0.1', 'localhost'), ...transports);
        assert.deepEqual(steps.trim().split('\n'), [`transport ${last}`, 'served', 'gone']);
      });
    }
  });
}

test('whoever does not trust the certificate does not connect', async (t) => {
  const server = await startSecure(t);
  const error = await refused(server.client('/echo', { transports: ['websocket'], ca: new Authority(t).ca }));
  assert.match(String(error.description?.message ?? error), /certificate|error/i);
  await server.metricsSettle((metrics) => assert.equal(handshakes(metrics, 'failed'), 1));
});

test('plugins are told that it is secure, and the origin of the own pages has https', async (t) => {
  const server = await startSecure(t, { program: 'fixture', env: { CARILLON_PLUGINS__ROUGH__HANDSHAKES: 'true' } });
  const told = await http(server.url, 'GET', '/socket.io/?EIO=4&transport=polling&refuse=418', undefined, undefined, {}, server.trust);
  assert.match(told.body, /\(127\.0\.0\.1, true, /);
  const from = (origin) => server.connect('/', { transports: ['websocket'], extraHeaders: { origin } }).then(() => true, () => false);
  assert.equal(await from(server.url), true);
  assert.equal(await from(server.url.replace('https', 'http')), false);
});

test('plain HTTP is no TLS, and its port is told as https', async (t) => {
  const server = await startSecure(t);
  assert.match(server.url, /^https:/);
  const ended = await within(new Promise((done) => {
    const socket = tcpConnect(server.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'));
    let said = Buffer.alloc(0);
    socket.on('data', (chunk) => { said = Buffer.concat([said, chunk]); });
    socket.on('error', () => {});
    socket.on('close', () => done(said));
  }), 'it is closed');
  assert.ok(!ended.toString('latin1').includes('HTTP'), 'it is told nothing but an alert');
  await server.metricsSettle((metrics) => assert.equal(handshakes(metrics, 'failed'), 1));
});

test('what is spoken: TLS 1.2 and 1.3 with forward secrecy, HTTP/1.1, and no renegotiation', async (t) => {
  const server = await startSecure(t);
  const old = { minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' };
  const two = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' };
  for (const [what, options] of Object.entries({
    'TLS 1.0': { ...old, maxVersion: 'TLSv1' },
    'TLS 1.1': { ...old, maxVersion: 'TLSv1.1' },
    'AES without GCM': { ...two, ciphers: 'ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0' },
    'RSA key exchange': { ...two, ciphers: 'AES128-GCM-SHA256:AES128-SHA:@SECLEVEL=0' },
    'no authentication': { ...two, ciphers: 'aNULL:@SECLEVEL=0' },
    'h2 alone': { ALPNProtocols: ['h2'] },
  })) {
    const { error } = await shake(server, options);
    assert.match(String(error), /alert|protocol/i, what);
  }
  for (const [what, options, version, cipher] of [
    ['TLS 1.3', {}, 'TLSv1.3', /^TLS_AES|^TLS_CHACHA/],
    ['TLS 1.2', two, 'TLSv1.2', /^ECDHE-ECDSA-AES128-GCM/],
  ]) {
    const { socket, error } = await shake(server, { ...options, ALPNProtocols: ['h2', 'http/1.1'] });
    assert.ok(socket, `${what}: ${error}`);
    assert.equal(socket.getProtocol(), version);
    assert.match(socket.getCipher().name, cipher);
    assert.equal(socket.alpnProtocol, 'http/1.1');
  }
  const { socket } = await shake(server, two);
  const again = await within(new Promise((done) => {
    socket.on('error', done);
    if (!socket.renegotiate({}, (error) => done(error ?? 'renegotiated'))) done('not even asked');
  }), 'a renegotiation ends');
  assert.match(String(again), /renegotiation/i);
  assert.notEqual(again, 'renegotiated');
});

test('with client_ca only clients with a certificate of its get past the handshake', async (t) => {
  const clients = new Authority(t);
  const server = await startSecure(t, { env: { CARILLON_SERVER__TLS__CLIENT_CA: clients.file } });
  const shows = ({ certificate, secret }) => ({ cert: certificate, key: secret });
  for (const transports of [['websocket'], ['polling']]) {
    const socket = await server.connect('/echo', { transports, ...shows(clients.issue()) });
    assert.deepEqual(await socket.call('say', { text: 'x' }), [{ ok: true, data: { text: 'x' } }]);
    await refused(server.client('/echo', { transports }));
    await refused(server.client('/echo', { transports, ...shows(server.authority.issue()) }));
  }
  assert.equal(handshakes(await server.metrics(), 'failed'), 4);
});

test('a handshake that never ends is closed in its time', async (t) => {
  const server = await startSecure(t, { env: { CARILLON_SERVER__HEADER_TIMEOUT_MS: '700' } });
  const closed = (first) => within(new Promise((done) => {
    const begun = performance.now();
    const socket = tcpConnect(server.port, '127.0.0.1', () => socket.write(first));
    socket.on('error', () => {});
    socket.on('close', () => done(performance.now() - begun));
  }), 'it is closed');
  // Nothing, and the first bytes of a ClientHello.
  const times = await Promise.all([closed(''), closed(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]))]);
  for (const time of times) assert.ok(time >= 650, `${time} ms`);
  await server.metricsSettle((metrics) => {
    assert.equal(handshakes(metrics, 'timeout'), 2);
    // The one that asks.
    assert.equal(metrics.sum('carillon_connections_open'), 1);
  });
});

/** Calls over each of these sockets until `stop` is called, which resolves to how many calls were answered. */
function busy(sockets) {
  let going = true;
  const all = sockets.map(async (socket) => {
    let calls = 0;
    for (; going; calls += 1) assert.equal((await socket.call('say', { text: `${calls}` }))[0].ok, true);
    return calls;
  });
  return async () => {
    going = false;
    return (await Promise.all(all)).reduce((sum, calls) => sum + calls, 0);
  };
}

test('a certificate is replaced under load, by its files and by SIGHUP, and nobody is disconnected', async (t) => {
  const server = await startSecure(t);
  const sockets = await Promise.all(Array.from({ length: 24 }, (_, n) => server.connect('/echo', n % 3 === 0 ? TRANSPORTS.polling : TRANSPORTS.websocket)));
  const stop = busy(sockets);
  const first = await shown(server);
  const put = ({ certificate, secret }) => {
    replace(server.pair.cert, certificate);
    replace(server.pair.key, secret);
  };
  put(server.authority.issue(['rsa:2048']));
  await server.logged(/server\.tls: a file has changed: the certificate was read again/);
  const second = await shown(server);
  assert.notEqual(second, first);
  put(server.authority.issue());
  server.child.kill('SIGHUP');
  await server.logged(/SIGHUP: the certificate was read again/);
  const third = await shown(server);
  assert.notEqual(third, second);
  // New ones come as well.
  await (await server.connect('/echo', TRANSPORTS.websocket)).call('say', { text: 'x' });
  const calls = await stop();
  t.diagnostic(`${calls} calls were answered meanwhile`);
  assert.deepEqual(sockets.map((socket) => socket.ended), sockets.map(() => null));
  assert.equal((await server.metrics()).sum('carillon_tls_reloads_total', { result: 'failed' }), 0);
});

test('a pair that cannot be used changes nothing, is told and counted, and the next good one is taken', async (t) => {
  const server = await startSecure(t);
  const first = await shown(server);
  const other = server.authority.issue();
  replace(server.pair.key, 'nothing');
  server.child.kill('SIGHUP');
  const [line] = await server.logged(/ERROR SIGHUP: the certificate stays as it was: server\.tls\.key: \S+ holds no private key in PEM/);
  assert.ok(line.includes(server.pair.key), line);
  assert.equal(await shown(server), first);
  // Half of a pair.
  replace(server.pair.key, other.secret);
  await server.logged(/ERROR server\.tls: a file has changed: the certificate stays as it was: server\.tls\.key: \S+ is not the key of the first certificate in \S+/);
  assert.equal(await shown(server), first);
  assert.ok((await server.metrics()).sum('carillon_tls_reloads_total', { result: 'failed' }) >= 2);
  replace(server.pair.cert, other.certificate);
  await server.logged(/INFO server\.tls: a file has changed: the certificate was read again/);
  assert.notEqual(await shown(server), first);
});

test('a pair that cannot be used at the start is a mistake of the configuration: the setting, the file and the fix', async (t) => {
  const authority = new Authority(t);
  const [pair, other] = [authority.issue(), authority.issue()];
  const file = (name, text) => {
    const path = join(authority.folder, name);
    writeFileSync(path, text);
    return path;
  };
  const encrypted = join(authority.folder, 'encrypted.key');
  openssl('pkey', '-in', pair.key, '-aes128', '-passout', 'pass:x', '-out', encrypted);
  const nothing = file('nothing', 'nothing\n');
  const broken = file('broken.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
  for (const [settings, told] of [
    [{ cert: pair.cert }, /^server\.tls\.key: is missing/],
    [{ key: pair.key }, /^server\.tls\.cert: is missing/],
    [{ cert: '/absent.pem', key: pair.key }, /^server\.tls\.cert: cannot read \/absent\.pem: .*the user who runs the server/],
    [{ cert: nothing, key: pair.key }, /^server\.tls\.cert: \S*nothing holds no certificate in PEM/],
    [{ cert: broken, key: pair.key }, /^server\.tls\.cert: \S*broken\.pem holds no usable certificate/],
    [{ cert: pair.cert, key: nothing }, /^server\.tls\.key: \S*nothing holds no private key/],
    [{ cert: pair.cert, key: encrypted }, /^server\.tls\.key: \S*encrypted\.key holds an encrypted key: decrypt it/],
    [{ cert: pair.cert, key: other.key }, /^server\.tls\.key: \S+ is not the key of the first certificate in \S+ \(server\.tls\.cert\)/],
    [{ cert: pair.cert, key: pair.key, client_ca: nothing }, /^server\.tls\.client_ca: \S*nothing holds no certificate/],
    [{ client_ca: authority.file }, /^server\.tls\.client_ca: has no effect without TLS/],
  ]) {
    const env = Object.fromEntries(Object.entries(settings).map(([key, value]) => [`CARILLON_SERVER__TLS__${key.toUpperCase()}`, value]));
    for (const command of [['check'], ['serve', '--listen', '127.0.0.1:0']]) {
      const { code, err } = await runToEnd('carillon', command, { env });
      assert.equal(code, 78, `${JSON.stringify(settings)}: ${err}`);
      assert.match(err.trimEnd().split('\n').at(-1).replace('carillon: ', ''), told);
    }
  }
});

test('a probe asks over TLS where there is no port for operators', async (t) => {
  const pair = new Authority(t).issue();
  const port = await freePort();
  const file = join(tempFolder(t), 'carillon.toml');
  writeFileSync(file, `[server]\nlisten = "127.0.0.1:${port}"\n[server.tls]\ncert = "${pair.cert}"\nkey = "${pair.key}"\n`);
  await start(t, { listen: null, args: ['--config', file] });
  for (const where of [['--config', file], ['--url', `https://127.0.0.1:${port}`]]) {
    const { code, out, err } = await runToEnd('carillon', ['probe', 'ready', ...where]);
    assert.equal(code, 0, out + err);
    assert.match(out, /^ready/);
  }
  assert.equal((await runToEnd('carillon', ['probe', 'live', '--url', `http://127.0.0.1:${port}`])).code, 1);
});

test('who reads too slowly over TLS is closed as slow, and others notice nothing', async (t) => {
  const flood = { CARILLON_PLUGINS__ORDER__FLOOD_EVERY_MS: '4', CARILLON_PLUGINS__ORDER__FLOOD_BYTES: '16000', CARILLON_WIRE__MAX_QUEUED_BYTES: String(2 ** 30) };
  const [stalls, dribbles] = await Promise.all([
    startSecure(t, { program: 'fixture', env: { ...flood, CARILLON_WIRE__WRITE_STALL_MS: '1500', CARILLON_WIRE__MIN_DRAIN_BYTES_PER_S: '0' } }),
    startSecure(t, { program: 'fixture', env: { ...flood, CARILLON_WIRE__WRITE_STALL_MS: '600000', CARILLON_WIRE__MIN_DRAIN_BYTES_PER_S: '1048576', CARILLON_WIRE__MIN_DRAIN_WINDOW_MS: '3000' } }),
  ]);
  const quick = await Promise.all([stalls, dribbles].map((server) => server.connect('/order', { transports: ['websocket'] })));
  const open = (server) => () => tlsConnect({ host: '127.0.0.1', port: server.port, servername: 'localhost', ...server.trust });
  const [, trickle, borne] = await Promise.all([
    openTrickle(t, stalls.port, '/order', 0, open(stalls)),
    openTrickle(t, dribbles.port, '/order', 200_000, open(dribbles)),
    // Slow, and never silent: where only a stall counts it stays.
    openTrickle(t, stalls.port, '/order', 200_000, open(stalls)),
  ]);
  await until(() => trickle.closed, 'the one that dribbles is closed', 20_000);
  for (const server of [stalls, dribbles]) {
    await server.metricsSettle((metrics) => {
      assert.equal(metrics.sum('carillon_disconnections_total', { namespace: '/order', reason: 'slow' }), 1);
      assert.equal(metrics.sum('carillon_disconnections_total'), 1);
      assert.ok(metrics.sum('carillon_deliveries_total', { outcome: 'slow' }) > 0, 'what waited is counted');
    });
  }
  assert.equal(borne.closed, false);
  for (const socket of quick) {
    const { length } = socket.all('drop');
    await until(() => socket.all('drop').length > length + 100, 'the quick one is sent more');
    assert.equal(socket.ended, null);
  }
});

test('what waits for a client over TLS is counted, and one that lets too much pile up is closed', async (t) => {
  const env = { CARILLON_PLUGINS__ORDER__FLOOD_EVERY_MS: '4', CARILLON_PLUGINS__ORDER__FLOOD_BYTES: '16000', CARILLON_WIRE__MAX_QUEUED_BYTES: '500000' };
  const server = await startSecure(t, { program: 'fixture', env });
  const raw = await server.raw({ namespace: '/order' });
  raw.pause();
  await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_disconnections_total', { namespace: '/order', reason: 'slow' }), 1));
  raw.terminate();
});

for (const mode of ['all', 'latest', 'volatile']) {
  test(`who reads late over TLS, in mode "${mode}"`, async (t) => {
    const { numbers, replaced, volatile, delivered } = await readLate(t, `mode = "${mode}"`, startSecure);
    assert.equal(delivered + replaced + volatile, MESSAGES);
    if (mode === 'all') assert.deepEqual(numbers, Array.from({ length: MESSAGES }, (_, n) => n));
    if (mode === 'latest') assert.ok(numbers.at(-1) === MESSAGES - 1 && replaced > MESSAGES / 2, `${replaced} were replaced`);
    if (mode === 'volatile') assert.ok(numbers[0] === 0 && volatile > MESSAGES / 2, `${volatile} were dropped`);
  });
}

test('a stop answers what was asked over TLS, and ends every connection with a word', async (t) => {
  const server = await startSecure(t, { program: 'fixture' });
  const socket = await server.connect('/rough', { transports: ['websocket'] });
  const raw = await server.raw({ namespace: '/rough' });
  const slow = socket.call('slow', { ms: 700 });
  await server.metricsSettle((metrics) => assert.equal(metrics.sum('carillon_handlers_in_flight', { namespace: '/rough' }), 1));
  server.child.kill('SIGTERM');
  assert.equal((await slow)[0].ok, true);
  assert.equal((await raw.ends()).code, 1001);
  assert.deepEqual(await within(server.exit, 'the server ends'), { code: 0, signal: null });
});
