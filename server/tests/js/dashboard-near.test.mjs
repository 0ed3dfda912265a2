//! What the dashboard shows from near: one node, the Carillons on the bus, and whether clients are being lost.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBrowser, picture } from './lib/browser.mjs';
import { dashboard, reads, rows } from './lib/dashboard.mjs';
import { openDeaf } from './lib/pour.mjs';
import { startRedis } from './lib/redis.mjs';
import { start } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const QUIET = '[plugins.monitoring]\ncollect = "off"\n';

/** Puts a round of measurements where whoever collects leaves it, and tells it. */
async function round(redis, timestamp, nodes) {
  const online = Object.keys(nodes).length;
  const text = JSON.stringify({ timestamp, nodes, cluster_stats: { total_nodes: online, online_nodes: online, avg_cpu: 1, avg_memory: 2, avg_temperature: null } });
  for (const [name, measured] of Object.entries(nodes)) await redis.cli('set', `metrics:${name}`, JSON.stringify(measured));
  await redis.cli('set', 'cluster:metrics', text);
  await redis.cli('publish', 'cluster:metrics', text);
}

const node = (cpu_usage) => ({ cpu_usage, memory_usage: 50, disk_usage: 60, temperature: 40 });

test('a node that is picked has charts of its own, from before the page was opened and on', async (t) => {
  const redis = await startRedis(t);
  const server = await start(t, { args: ['--bus', redis.url], config: QUIET });
  const probe = await server.connect('/router');
  await redis.subscribers(1);
  const known = async () => (await probe.call('request_node_history', { name: 'n1' }))[0].data?.cpu ?? [];
  for (const [at, cpu] of [[1, 11], [2, 12]]) {
    await round(redis, `before ${at}`, { n1: node(cpu), n2: node(99) });
    await until(async () => (await known()).length === at, 'the round is remembered');
  }
  const tab = await dashboard(t, await openBrowser(t), server, { locale: 'en-US' });
  await until(async () => (await rows(tab)).length === 2, 'two nodes');
  const charts = tab.locator('#nodeCharts figure');
  const points = () => charts.evaluateAll((all) => all.map(({ dataset }) => Number(dataset.points)));
  const values = async () => (await charts.first().locator('li').allInnerTexts()).map((text) => text.trim());
  assert.equal(await tab.locator('#node').isVisible(), false);
  await tab.getByRole('button', { name: 'n1' }).focus();
  await tab.keyboard.press('Enter');
  await reads(tab, '#nodeTitle', /^n1$/);
  await until(async () => (await points()).join() === '2,2', 'what happened before is there');
  assert.deepEqual(await values(), ['CPU 12', 'Memory 50', 'Disk 60']);
  assert.equal(await tab.getByRole('button', { name: 'n1' }).getAttribute('aria-pressed'), 'true');
  await round(redis, 'live', { n1: node(13), n2: node(98) });
  await until(async () => (await points()).join() === '3,3', 'and what happens goes on');
  assert.deepEqual(await values(), ['CPU 13', 'Memory 50', 'Disk 60']);
  await tab.getByRole('button', { name: 'n2' }).click();
  await until(async () => (await values())[0] === 'CPU 98', 'another node instead');
  assert.equal(await tab.locator('#nodes button[aria-pressed=true]').innerText(), 'n2');
  await tab.getByRole('button', { name: 'n2' }).click();
  assert.equal(await tab.locator('#node').isVisible(), false, 'the same again closes it');
  // Behind all clicks: a picture of the whole page moves what is on it.
  await tab.getByRole('button', { name: 'n1' }).press('Enter');
  await reads(tab, '#nodeTitle', /^n1$/);
  await picture(tab, 'dashboard-node');
});

test('the Carillons on a bus are all shown, and one that is gone is marked', async (t) => {
  const redis = await startRedis(t);
  const args = ['--bus', redis.url];
  const [first, second] = await Promise.all([start(t, { args, config: QUIET }), start(t, { args, config: QUIET })]);
  await redis.subscribers(2);
  const tab = await dashboard(t, await openBrowser(t), first, { locale: 'en-US' });
  const servers = () => tab.locator('#servers tbody tr').evaluateAll((lines) => lines.map((line) => [...line.cells].map((cell) => cell.textContent)));
  let shown;
  await until(async () => (shown = await servers()).length === 2, () => `both tell of themselves: ${JSON.stringify(shown)}`);
  const of = async (server) => (await servers()).find(([name]) => name.endsWith(`(${server.child.pid})`));
  assert.deepEqual([(await of(first))[1], (await of(second))[1]], ['ready', 'ready']);
  assert.deepEqual([(await of(first))[2], (await of(second))[2]], ['1', '0'], 'this page is the only client');
  await second.stop('SIGKILL');
  await until(async () => (await of(second))[1] === 'no longer heard', 'the one that is gone is marked', 20_000);
  assert.equal((await of(first))[1], 'ready');
});

test('that clients are being lost is seen at a glance, also by who comes later', async (t) => {
  const redis = await startRedis(t);
  const env = { CARILLON_WIRE__MAX_QUEUED_BYTES: '65536' };
  const server = await start(t, { args: ['--bus', redis.url], config: QUIET, env });
  const browser = await openBrowser(t);
  const tab = await dashboard(t, browser, server, { locale: 'en-US' });
  await redis.subscribers(1);
  await reads(tab, '#losing', /^none$/);
  await reads(tab, '#losses', /^messages lost in 15 minutes: 0; slow clients closed since the start: 0$/);
  await openDeaf(t, server.port, { namespace: '/' });
  const script = "local big = string.rep('x', 30000) for n = 1, 100 do redis.call('publish', 'celery:metrics', '\"' .. big .. n .. '\"') end";
  await until(async () => {
    await redis.cli('eval', script, 0);
    return (await server.metrics()).sum('carillon_deliveries_total', { outcome: 'slow' }) > 0;
  }, 'a client that does not read is lost');
  await reads(tab, '#losing', /^right now$/);
  await reads(tab, '#losses', /^messages lost in 15 minutes: [\d,]*[1-9][\d,]*; slow clients closed since the start: 1$/);
  await reads(tab, '#alerts', /^critical clients are losing messages/);
  await picture(tab, 'dashboard-losing');
  const later = await dashboard(t, browser, server, { locale: 'fr-FR' });
  await reads(later, '#losing', /^en ce moment$/);
  assert.match(await later.locator('#losing').getAttribute('class'), /critical/);
});

test('the first load of the dashboard takes less than 150 KB', async (t) => {
  const server = await start(t);
  const browser = await openBrowser(t);
  const tab = await browser.newPage();
  const parts = [];
  tab.on('response', (response) => {
    if (!response.url().includes('transport=')) parts.push(response.request().sizes().then(({ responseBodySize: size }) => ({ path: new URL(response.url()).pathname, size, encoding: response.headers()['content-encoding'] })));
  });
  await tab.goto(`${server.url}/`);
  await reads(tab, '#router', /\S/);
  await until(async () => (await tab.locator('#figures dd').count()) > 0, 'the router tells');
  const all = await Promise.all(parts);
  const sum = all.reduce((bytes, { size }) => bytes + size, 0);
  const paint = await tab.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime);
  t.diagnostic(`${sum} bytes in ${all.length} parts, first paint after ${Math.round(paint)} ms`);
  assert.ok(all.some(({ path }) => path.endsWith('.js')) && all.some(({ path }) => path.endsWith('.css')), JSON.stringify(all));
  assert.ok(all.filter(({ path }) => /\.(js|css)$|^\/$/.test(path)).every(({ encoding }) => encoding === 'gzip' || encoding === 'br'), JSON.stringify(all));
  assert.ok(sum > 10_000 && sum < 150_000, `${sum} bytes: ${JSON.stringify(all)}`);
});
