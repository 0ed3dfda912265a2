//! Two Carillons on one Redis behind the proxies that most installations have, with the settings that come along.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { openClient, record, TRANSPORTS, upgraded } from './lib/client.mjs';
import { freePort, startRedis } from './lib/redis.mjs';
import { start, tempFolder } from './lib/server.mjs';
import { until, within } from './lib/wait.mjs';

const example = (name) => readFileSync(resolve(import.meta.dirname, '../../../config/proxy', name), 'utf8');

/** The text with the ports of this test; each must be there. */
function filled(text, places) {
  for (const [from, to] of places) {
    assert.ok(text.includes(from), `the example says ${from}`);
    text = text.replace(from, to);
  }
  return text;
}

const PROXIES = {
  nginx: (folder, port, [one, two]) => {
    const site = filled(example('nginx.conf'), [['listen 80;', `listen 127.0.0.1:${port};`], ['127.0.0.1:8085', `127.0.0.1:${one}`], ['127.0.0.1:8086', `127.0.0.1:${two}`]]);
    const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${join(folder, name)};`).join(' ');
    writeFileSync(join(folder, 'site.conf'), site);
    writeFileSync(join(folder, 'nginx.conf'), `daemon off; master_process off; pid ${join(folder, 'pid')}; error_log stderr;
events { worker_connections 1024; }
http { access_log off; ${paths} include ${join(folder, 'site.conf')}; }`);
    return ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')];
  },
  haproxy: (folder, port, [one, two]) => {
    const file = join(folder, 'haproxy.cfg');
    writeFileSync(file, filled(example('haproxy.cfg'), [['bind :80', `bind 127.0.0.1:${port}`], ['127.0.0.1:8085', `127.0.0.1:${one}`], ['127.0.0.1:8086', `127.0.0.1:${two}`]]));
    return ['-db', '-f', file];
  },
};

/** The name that clients use, and what each Carillon has to be told of it and of the proxy. */
const NAME = 'live.example.org';
const BEHIND = { CARILLON_SERVER__HOSTS: JSON.stringify([NAME]), CARILLON_SERVER__TRUSTED_PROXIES: '["127.0.0.1"]' };

/** The status of a handshake that asks for the server by this name. */
const handshake = (url, host) => within(new Promise((done, fail) => {
  get(`${url}/socket.io/?EIO=4&transport=polling`, { headers: { host, connection: 'close' } }, (response) => {
    response.resume();
    done(response.statusCode);
  }).on('error', fail);
}), `a handshake with ${host} is answered`);

/** Starts one of them, and resolves to its URL once a Carillon answers through it. */
async function startProxy(t, name, servers) {
  const [folder, port] = [tempFolder(t), await freePort()];
  mkdirSync(join(folder, 'logs'));
  const child = spawn(name, PROXIES[name](folder, port, servers.map((server) => server.port)), { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk) => { log += chunk; });
  const gone = new Promise((done) => { child.once('exit', done); child.once('error', done); });
  t.after(() => { child.kill('SIGKILL'); return gone; });
  const url = `http://127.0.0.1:${port}`;
  await until(async () => (await fetch(`${url}/livez`).catch(() => null))?.ok, () => `${name} serves; it says:\n${log}`);
  return url;
}

for (const name of Object.keys(PROXIES)) {
  test(`behind ${name}: clients of every transport, on both Carillons, are answered and hear what either is told; when one stops they go to the other`, async (t) => {
    const redis = await startRedis(t);
    const servers = await Promise.all([1, 2].map(() => start(t, { env: { CARILLON_BUS__URL: redis.url, ...BEHIND } })));
    await redis.subscribers(2);
    const url = await startProxy(t, name, servers);
    // Clients of many addresses, as far as one machine has them: 127.0.0.2, 127.0.0.3, ..
    const clients = Array.from({ length: 24 }, (_, at) => {
      const transport = Object.keys(TRANSPORTS)[at % 3];
      const agent = new Agent({ keepAlive: true, localAddress: `127.0.0.${2 + at}` });
      const socket = openClient(`${url}/`, { ...TRANSPORTS[transport], agent, reconnection: true, reconnectionDelay: 100, reconnectionDelayMax: 500 });
      t.after(() => { socket.close(); agent.destroy(); });
      return { socket, transport };
    });
    await Promise.all(clients.map(({ socket }) => socket.opened()));
    await Promise.all(clients.filter(({ transport }) => transport === 'upgrade').map(({ socket }) => upgraded(socket)));
    const connected = await Promise.all(servers.map(async (server) => (await server.metrics()).sum('carillon_connected_clients', { namespace: '/' })));
    assert.equal(connected[0] + connected[1], clients.length);
    assert.ok(connected.every((count) => count > 0), `both have clients: ${connected}`);

    for (let n = 0; n < 20; n += 1) await redis.cli('PUBLISH', 'celery:metrics', `{"n":${n}}`);
    await Promise.all(clients.map(({ socket }) => socket.next('redis_celery_metrics', { where: ({ n }) => n === 19 })));
    for (const { socket, transport } of clients) {
      assert.deepEqual(socket.all('redis_celery_metrics').map(([{ n }]) => n), Array.from({ length: 20 }, (_, n) => n), transport);
    }
    for (const { socket, transport } of clients) {
      const echo = record(socket.io.socket('/echo'));
      assert.deepEqual(await echo.call('say', { text: transport }), [{ ok: true, data: { text: transport } }]);
      echo.close();
      assert.equal(socket.io.engine.transport.name, transport === 'polling' ? 'polling' : 'websocket');
      assert.equal(socket.ended, null, `a ${transport} client stays where it is`);
    }
    assert.deepEqual([await handshake(url, NAME), await handshake(url, 'elsewhere.example')], [200, 421]);
    for (const path of ['/metrics', '/api/failures']) {
      const hidden = await within(fetch(url + path), `${path} answers`);
      assert.equal(hidden.status, 404, `strangers do not see ${path}`);
    }

    const moved = clients.filter(({ socket }) => !socket.ended).length - connected[1];
    assert.deepEqual(await servers[0].stop(), { code: 0, signal: null });
    await servers[1].metricsSettle((metrics) => assert.equal(metrics.sum('carillon_connected_clients', { namespace: '/' }), clients.length), 30_000);
    assert.equal(clients.filter(({ socket }) => socket.ended).length, moved, 'the clients of the other notice nothing');
    await redis.cli('PUBLISH', 'celery:metrics', '{"n":20}');
    await Promise.all(clients.map(({ socket }) => socket.next('redis_celery_metrics', { where: ({ n }) => n === 20 })));
  });
}
