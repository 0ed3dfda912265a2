//! `make measure-web`: how soon the dashboard is there, how busy the pages keep a browser, and whether their memory grows. Not part
//! of `make test`, which asserts no speed. `CARILLON_MINUTES` says for how long the dashboard is watched: 5 by itself.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as pass } from 'node:timers/promises';
import { promisify } from 'node:util';
import { openBrowser, TestPage } from './lib/browser.mjs';
import { begins, dashboard, points, rows } from './lib/dashboard.mjs';
import { startRedis } from './lib/redis.mjs';
import { command } from './lib/resp.mjs';
import { start } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const MINUTES = Number(process.env.CARILLON_MINUTES ?? 5);
const NODES = 200;
const EVERY_MS = 15_000;
const QUIET = '[plugins.monitoring]\ncollect = "off"\n';

/** What the browser says of a tab. */
async function watch(tab) {
  const cdp = await tab.context().newCDPSession(tab);
  await cdp.send('Performance.enable');
  const read = async () => Object.fromEntries((await cdp.send('Performance.getMetrics')).metrics.map(({ name, value }) => [name, value]));
  return {
    /** What is still in use after everything else was let go of, in MB. */
    async heap() {
      await cdp.send('HeapProfiler.collectGarbage');
      return (await read()).JSHeapUsedSize / 1e6;
    },
    /** Resolves to the share of so many milliseconds for which the main thread was busy, in percent. */
    async busy(ms) {
      const before = await read();
      await pass(ms);
      const after = await read();
      return (100 * (after.TaskDuration - before.TaskDuration)) / (after.Timestamp - before.Timestamp);
    },
  };
}

/** Publishes a round of all nodes once a second, each other than the one before, until the test ends. */
function simulate(t, redis) {
  const socket = connect(redis.port, '127.0.0.1');
  socket.on('data', () => {});
  socket.write(command('SELECT', '2'));
  const percent = () => Math.round(Math.random() * 1000) / 10;
  const measured = () => ({
    cpu_usage: percent(), memory_usage: percent(), disk_usage: percent(), temperature: 30 + percent() / 2,
    memory_total: 8e9, memory_available: 4e9, disk_total: 64e9, disk_available: 32e9,
  });
  const round = () => {
    const nodes = Object.fromEntries(Array.from({ length: NODES }, (_, at) => [`node${at}.lan:9100`, measured()]));
    const timestamp = new Date().toISOString();
    const text = JSON.stringify({ timestamp, nodes, cluster_stats: { total_nodes: NODES, online_nodes: NODES, avg_cpu: percent(), avg_memory: percent(), avg_temperature: 50 } });
    for (const [name, one] of Object.entries(nodes)) socket.write(command('SET', `metrics:${name}`, JSON.stringify(one)));
    socket.write(command('SET', 'cluster:metrics', text) + command('PUBLISH', 'cluster:metrics', text));
    socket.write(command('PUBLISH', 'cluster:health', JSON.stringify({ timestamp, overall_status: 'healthy', nodes_online: NODES, nodes_total: NODES, issues: [] })));
  };
  round();
  const timer = setInterval(round, 1_000);
  t.after(() => {
    clearInterval(timer);
    socket.destroy();
  });
}

test(`${NODES} nodes with an update a second on the dashboard, for ${MINUTES} minutes`, async (t) => {
  const redis = await startRedis(t);
  const server = await start(t, { args: ['--bus', redis.url], config: QUIET });
  await redis.subscribers(1);
  simulate(t, redis);
  const tab = await dashboard(t, await openBrowser(t), server);
  await until(async () => (await rows(tab)).length === NODES, 'all nodes are shown');
  await tab.locator('#nodes tbody button').first().click();
  const browser = await watch(tab);
  await pass(10_000);
  const heaps = [await browser.heap()];
  const busy = [];
  for (let at = 0; at < (MINUTES * 60_000) / EVERY_MS; at += 1) {
    busy.push(await browser.busy(EVERY_MS));
    heaps.push(await browser.heap());
  }
  const mean = busy.reduce((sum, one) => sum + one, 0) / busy.length;
  t.diagnostic(`main thread busy: mean ${mean.toFixed(1)} %, at most ${Math.max(...busy).toFixed(1)} % of ${EVERY_MS / 1000} s`);
  t.diagnostic(`JavaScript heap in MB, every ${EVERY_MS / 1000} s: ${heaps.map((one) => one.toFixed(1)).join(' ')}`);
  // A page that is opened now shows all of it at once.
  const late = await dashboard(t, tab.context().browser(), server);
  let first;
  await until(async () => (first = await begins(late)).every((time) => time > 0), () => `every chart has begun: ${first}`);
  const shown = await late.evaluate(() => performance.now());
  const ago = (Date.now() - Math.max(...first)) / 60_000;
  t.diagnostic(`a page opened now shows the last ${ago.toFixed(1)} minutes, ${(await points(late)).join(', ')} points, after ${shown.toFixed(0)} ms`);
  assert.ok(ago > MINUTES, `only ${ago} minutes`);
  assert.ok(mean < 30, `busy for ${mean} %`);
  assert.ok(Math.max(...heaps) - heaps[0] < 10, `the heap grew: ${heaps}`);
});

test('the first paint of the dashboard, in a browser that was never there', async (t) => {
  const server = await start(t);
  const paints = [];
  for (let at = 0; at < 5; at += 1) {
    const tab = await dashboard(t, await openBrowser(t), server);
    await until(async () => (await rows(tab)).length === 1, 'this host is shown');
    paints.push(await tab.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
    await tab.context().browser().close();
  }
  t.diagnostic(`first paint after ${paints.map((one) => one.toFixed(0)).join(', ')} ms`);
  assert.ok(Math.max(...paints) < 1_000, `first paint after ${paints} ms`);
});

test('2,000 events a second on the test page, for a minute', async (t) => {
  const redis = await startRedis(t);
  const server = await start(t, { args: ['--bus', redis.url], config: QUIET });
  const page = await TestPage.open(t, await openBrowser(t), server);
  await page.click('Se connecter');
  await page.line('Connecté au namespace /monitoring');
  await redis.subscribers(1);
  const browser = await watch(page.tab);
  const before = await browser.heap();
  const program = new URL('./lib/flood.mjs', import.meta.url).pathname;
  const flood = promisify(execFile)(process.execPath, [program, String(redis.port), 'celery:metrics', '120000', '2000']);
  await page.tab.evaluate(() => {
    window.gaps = [];
    let last = performance.now();
    const frame = (now) => {
      window.gaps.push(now - last);
      last = now;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  const busy = await browser.busy(45_000);
  const gaps = (await page.tab.evaluate(() => window.gaps)).sort((one, other) => one - other);
  const clicked = performance.now();
  await page.click('Pause');
  const answered = performance.now() - clicked;
  await page.tab.getByRole('button', { name: /^Reprendre/ }).click();
  await flood;
  const number = page.tab.locator('#counts li', { hasText: 'celery:metrics' }).locator('.number');
  await until(async () => Number((await number.textContent()).replace(/\D/g, '')) === 120_000, 'all are counted');
  const after = await browser.heap();
  t.diagnostic(`main thread busy ${busy.toFixed(1)} %; frames: median ${gaps[gaps.length >> 1].toFixed(0)} ms, 99 % within ${gaps[Math.floor(gaps.length * 0.99)].toFixed(0)} ms, longest ${gaps.at(-1).toFixed(0)} ms`);
  t.diagnostic(`a click was answered in ${answered.toFixed(0)} ms; heap ${before.toFixed(1)} MB before, ${after.toFixed(1)} MB after`);
  assert.ok(after - before < 10, `the heap grew from ${before} to ${after} MB`);
});
