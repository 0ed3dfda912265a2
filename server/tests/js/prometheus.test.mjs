//! What comes along for operators: the alerts and the dashboard, against a real Prometheus that scrapes a living Carillon.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { freePort, startRedis } from './lib/redis.mjs';
import { openDeaf } from './lib/pour.mjs';
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
  const [rules, tests] = ['alerts.yml', 'alerts_test.yml'].map((name) => readFileSync(inPrometheus(name), 'utf8').replace(/#.*/g, ''));
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  const [, quiet, ...firing] = tests.split(/^ {2}- name: /m);
  // An alert whose list of expectations is empty is not shown firing.
  const fired = firing.flatMap((one) => one.split(/- alertname: /).slice(1)).filter((one) => one.includes('exp_labels')).map((one) => /^\w+/.exec(one)[0]);
  assert.ok(alerts.length > 0);
  assert.deepEqual([...new Set(fired)].sort(), [...alerts].sort(), 'the alerts, and those that are shown firing');
  assert.match(quiet, /^all is well\n[^]*expr: ALERTS\n[^]*exp_samples: \[\]/);
  const expressions = rules.split(/^ +- alert: /m).slice(1).map((alert) => /expr:([^]*?)\n {8}\w+:/.exec(alert)[1]);
  assert.equal(expressions.length, alerts.length);
  const unseen = expressions.flatMap((expr) => expr.match(/\b(?:up|carillon_\w+|process_\w+)\b(?=[{[ ])/g)).filter((name) => !quiet.includes(`'${name}{`));
  assert.deepEqual(unseen, [], 'series that alerts look at, and that nothing is well with');
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
  writeFileSync(file, `global: { scrape_interval: 1s, evaluation_interval: 1s }
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

/** A plugin whose background work panics again and again, and one that publishes 4 MB a second to each of its clients. */
const TROUBLE = {
  CARILLON_PLUGINS__ROUGH__RUN: 'panic',
  CARILLON_PLUGINS__ORDER__FLOOD_EVERY_MS: '4',
  CARILLON_PLUGINS__ORDER__FLOOD_BYTES: '16000',
  CARILLON_WIRE__MAX_QUEUED_BYTES: '262144',
};

/** Keeps a Carillon and its Redis at work of every kind until the server is stopped. */
async function keepAtWork(t, server, redis) {
  const socket = await server.connect('/proto', { transports: ['websocket'] });
  const gone = await server.connect('/', { transports: ['websocket'] });
  gone.close();
  await redis.subscribers(1);
  // Clients that never read: each is closed as slow before the next one comes, and cannot notice, as it does not read.
  let deaf;
  const another = async () => {
    deaf?.destroy();
    deaf = await openDeaf(t, server.port, { namespace: '/order' });
  };
  const work = () => Promise.allSettled([
    socket.call('number', { n: 1 }),
    socket.call('fail', { code: 'not_found', message: 'no' }),
    redis.cli('PUBLISH', 'cluster:alerts', '{"active_alerts":[]}'),
    server.fetch('/socket.io/?EIO=4&transport=polling', { headers: { origin: 'http://elsewhere.example' } }),
  ]);
  const timers = [setInterval(work, 200), setInterval(() => another().catch(() => {}), 1_000)];
  server.closers.push(() => {
    timers.forEach(clearInterval);
    deaf?.destroy();
  });
}

test('every query of the dashboard finds data in a Prometheus that scrapes a Carillon with Redis, slow clients and a failed plugin', async (t) => {
  const redis = await startRedis(t);
  const server = await start(t, { program: 'fixture', env: { CARILLON_BUS__URL: redis.url, ...TROUBLE } });
  const ask = await startPrometheus(t, server.port);
  await keepAtWork(t, server, redis);
  const filled = (expr) => expr
    .replaceAll('$job', 'carillon').replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m');
  // A quantile of nothing is a sample too: not a number.
  const numbers = async (expr) => (await ask(filled(expr))).map(({ value: [, value] }) => Number(value)).filter(Number.isFinite);
  let missing = queries;
  await until(async () => {
    const answers = await Promise.all(missing.map(({ expr }) => numbers(expr)));
    missing = missing.filter((_, at) => answers[at].length === 0);
    return missing.length === 0;
  }, () => `every query finds something; these do not: ${JSON.stringify(missing, null, 1)}`, 40_000);

  // What an operator has to see of the trouble, on the dashboard and as alerts.
  const shown = (title) => queries.find((query) => query.title === title).expr;
  await until(async () => (await numbers(shown('Slow clients closed in 5 min')))[0] > 0, 'slow clients are shown', 20_000);
  const down = (await ask(filled(shown('Plugins')))).filter(({ value: [, up] }) => up === '0').map(({ metric }) => metric.plugin);
  assert.deepEqual(down, ['rough']);
  const copies = await ask(filled(shown('What became of published copies')));
  assert.ok(copies.some(({ metric, value: [, rate] }) => metric.outcome === 'slow' && Number(rate) > 0), JSON.stringify(copies));
  let alerts;
  await until(async () => {
    alerts = (await ask('ALERTS')).map(({ metric }) => metric.alertname);
    return ['CarillonPanics', 'CarillonPluginDown'].every((name) => alerts.includes(name));
  }, () => `the failed plugin is told; alerts: ${alerts}`, 20_000);
  assert.deepEqual(alerts.filter((name) => ['CarillonDown', 'CarillonBusDown'].includes(name)), []);
  // What the dashboard's variables are filled from.
  assert.deepEqual((await ask('carillon_build_info{job="carillon"}')).map(({ metric }) => metric.instance), [`127.0.0.1:${server.port}`]);
});
