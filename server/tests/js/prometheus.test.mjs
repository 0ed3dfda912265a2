//! What comes along for operators: the alerts and the dashboard, against a real Prometheus that scrapes a living Carillon.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { freePort, startRedis } from './lib/redis.mjs';
import { start, tempFolder } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const config = resolve(import.meta.dirname, '../../../config');
const inPrometheus = (...path) => join(config, 'prometheus', ...path);

const dashboard = JSON.parse(readFileSync(join(config, 'grafana', 'carillon.json'), 'utf8'));
const queries = dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));

function promtool(...args) {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, { cwd: inPrometheus(), encoding: 'utf8' });
  assert.equal(error, undefined);
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

/** Every name of a series of ours in a text. */
const names = (text) => [...new Set(text.match(/\b(?:carillon|process)_[a-z_]+/g))];

test('the example of a scrape job and the alerts are what Prometheus understands', () => {
  promtool('check', 'config', 'scrape.yml');
  promtool('check', 'rules', 'alerts.yml');
});

test('every alert fires in its unit test, and none when all is well', () => {
  promtool('test', 'rules', 'alerts_test.yml');
  const alerts = [...readFileSync(inPrometheus('alerts.yml'), 'utf8').matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  const tested = [...readFileSync(inPrometheus('alerts_test.yml'), 'utf8').matchAll(/alertname: (\w+)/g)].map(([, name]) => name);
  assert.ok(alerts.length > 0);
  assert.deepEqual(alerts.filter((name) => !tested.includes(name)), [], 'alerts without a test');
});

test('alerts and dashboard name no series that Carillon does not have', () => {
  const reference = readFileSync(resolve(config, '../docs/reference/metrics.md'), 'utf8');
  const known = names(reference).flatMap((name) => [name, `${name}_bucket`]);
  const used = names(readFileSync(inPrometheus('alerts.yml'), 'utf8').replace(/#.*/g, '') + queries.map(({ expr }) => expr).join());
  assert.deepEqual(used.filter((name) => !known.includes(name)), []);
});

/** A Prometheus that scrapes one server every second; resolves to a function that asks it. */
async function startPrometheus(t, target) {
  const [folder, port] = [tempFolder(t), await freePort()];
  const file = join(folder, 'prometheus.yml');
  writeFileSync(file, `global: { scrape_interval: 1s }
rule_files: [${JSON.stringify(inPrometheus('alerts.yml'))}]
scrape_configs: [{ job_name: carillon, static_configs: [{ targets: ['127.0.0.1:${target}'] }] }]
`);
  const child = spawn('prometheus', [
    `--config.file=${file}`, `--storage.tsdb.path=${join(folder, 'data')}`, `--web.listen-address=127.0.0.1:${port}`,
  ], { stdio: 'ignore' });
  const gone = new Promise((done) => child.once('exit', done));
  t.after(() => { child.kill('SIGKILL'); return gone; });
  return async (query) => {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(query)}`);
      return (await response.json()).data?.result ?? [];
    } catch {
      // It is starting.
      return [];
    }
  };
}

test('every query of the dashboard finds data in a Prometheus that scrapes a Carillon at work', async (t) => {
  const redis = await startRedis(t);
  const server = await start(t, { program: 'fixture', env: { CARILLON_BUS__URL: redis.url } });
  const ask = await startPrometheus(t, server.port);
  const socket = await server.connect('/proto', { transports: ['websocket'] });
  const gone = await server.connect('/', { transports: ['websocket'] });
  gone.close();
  await redis.subscribers(1);
  // Work of every kind goes on until Prometheus has seen it twice.
  const working = setInterval(() => {
    socket.call('number', { n: 1 }).catch(() => {});
    socket.call('fail', { code: 'not_found', message: 'no' }).catch(() => {});
    redis.cli('PUBLISH', 'cluster:alerts', '{"active_alerts":[]}').catch(() => {});
    server.fetch('/socket.io/?EIO=4&transport=polling', { headers: { origin: 'http://elsewhere.example' } }).catch(() => {});
  }, 200);
  const filled = (expr) => expr
    .replaceAll('$job', 'carillon').replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m');
  let missing = queries;
  const found = until(async () => {
    const answers = await Promise.all(missing.map(({ expr }) => ask(filled(expr))));
    missing = missing.filter((_, at) => answers[at].length === 0);
    return missing.length === 0;
  }, () => `every query finds something; these do not: ${JSON.stringify(missing, null, 1)}`, 40_000);
  await found.finally(() => clearInterval(working));
  assert.equal((await ask('ALERTS{alertname="CarillonDown"}')).length, 0);
});
