//! The dashboard at `/`, in a real browser.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { openBrowser, openTab, picture } from './lib/browser.mjs';
import { begins, dashboard, figure, points, reads, rows } from './lib/dashboard.mjs';
import { startExporter } from './lib/exporter.mjs';
import { startRedis } from './lib/redis.mjs';
import { start } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const FAST = { CARILLON_PLUGINS__MONITORING__INTERVAL_MS: '1000' };
/** Where the header of every page leads. */
const LINKS = ['/', '/plugins', '/websocket-test', '/docs', '/metrics', '/api/failures'];
const axe = readFileSync(new URL('./node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

test('the dashboard shows the host, the cluster and the router, live, in the language of the browser', async (t) => {
  const server = await start(t, { env: FAST });
  const browser = await openBrowser(t);
  for (const [locale, connected, health, word] of [
    ['fr-FR', /^Connecté$/, /bonne.*1 nœuds sur 1 répondent/s, 'répond'],
    ['en-US', /^Connected$/, /healthy.*1 of 1 nodes answer/s, 'answers'],
  ]) {
    const tab = await dashboard(t, browser, server, { locale });
    await reads(tab, '#status', connected);
    assert.equal(await tab.locator('html').getAttribute('lang'), locale.slice(0, 2));
    await reads(tab, 'section:has(#health)', health);
    await until(async () => (await rows(tab)).length === 1, 'this host is there');
    await until(async () => (await rows(tab))[0][1] === word, 'it answers');
    const [, , cpu, memory] = (await rows(tab))[0];
    for (const value of [cpu, memory]) assert.match(value, /^\d+([.,]\d)? %$/);
    const first = await points(tab);
    await until(async () => (await points(tab)).every((count, at) => count > first[at]), 'every chart moves');
    assert.equal(await figure(tab, locale === 'fr-FR' ? 'Connexions' : 'Connections'), '1');
    const clients = await tab.locator('#clients').innerText();
    assert.match(clients, /\/router\s+1\s+0/);
    assert.match(await tab.locator('#plugins').innerText(), /monitoring\s+\S/);
    await tab.context().close();
  }
});

test('a page opened late sees what happened before', async (t) => {
  const server = await start(t, { env: FAST });
  const probe = await server.connect('/router');
  const known = async () => (await probe.call('request_history', {}))[0].data;
  await until(async () => (await known()).router.time.length >= 5 && (await known()).cluster.time.length >= 3, 'something has happened');
  const { router, cluster } = await known();
  const tab = await dashboard(t, await openBrowser(t), server);
  await reads(tab, '#status', /^Connecté$/);
  // Seconds of the router and rounds of the cluster, all from before the page was opened.
  const opened = await tab.evaluate(() => performance.timeOrigin);
  let first;
  await until(async () => {
    first = await begins(tab);
    return first.length === 5 && first.every((time) => time > 0);
  }, () => `every chart has begun: ${first}`);
  const told = [cluster, cluster, router, router, router].map(({ time }) => time[0]);
  assert.deepEqual(first, told);
  assert.ok(told.every((time) => time < opened - 1_000), `${told} are before ${opened}`);
});

test('a server that is killed greys the values, and its return is found without a reload', async (t) => {
  const redis = await startRedis(t);
  const args = ['--bus', redis.url];
  const config = '[plugins.monitoring]\ncollect = "off"\n';
  const first = await start(t, { args, config });
  const tab = await dashboard(t, await openBrowser(t), first);
  await reads(tab, '#status', /^Connecté$/);
  await tab.evaluate(() => { window.sameDocument = true; });
  const grey = () => tab.locator('#figures dd').first().evaluate((value) => getComputedStyle(value).color);
  await until(async () => (await tab.locator('#figures dd').count()) > 0, 'the router tells');
  const before = await grey();
  const started = await figure(tab, 'Démarré');
  await first.stop('SIGKILL');
  await reads(tab, '#status', /^Connexion perdue à \d\d:\d\d:\d\d/);
  assert.notEqual(await grey(), before, 'values are grey');
  assert.equal(await figure(tab, 'Démarré'), started, 'and still there');
  await picture(tab, 'dashboard-lost');
  const [, , old] = await points(tab);
  const [, , began] = await begins(tab);

  const second = await start(t, { args, config, listen: `127.0.0.1:${first.port}` });
  await reads(tab, '#status', /^Connecté$/);
  assert.equal(await grey(), before);
  let there;
  await until(async () => (there = (await points(tab))[2]) > old + 1, () => `more than ${old} points; there are ${there}`);
  assert.equal((await begins(tab))[2], began, 'what was there before stays');
  assert.equal(await tab.evaluate(() => window.sameDocument), true, 'the page was not loaded again');
  // Each listener is there once: one client, one question, and one point of the chart for one round.
  const metrics = await second.metrics();
  assert.equal(metrics.sum('carillon_messages_received_total', { namespace: '/router', event: 'request_history' }), 1);
  assert.equal(metrics.sum('carillon_connected_clients', { namespace: '/router' }), 1);
  await until(async () => (await (await second.fetch('/readyz')).json()).status === 'ready', 'the server listens to Redis');
  const stats = { total_nodes: 1, online_nodes: 1, avg_cpu: 10, avg_memory: 20, avg_temperature: null };
  const round = async (cpu_usage) => {
    await redis.cli('publish', 'cluster:metrics', JSON.stringify({ timestamp: String(cpu_usage), nodes: { n1: { cpu_usage } }, cluster_stats: stats }));
    await until(async () => (await rows(tab))[0]?.[2] === `${cpu_usage} %`, `the round ${cpu_usage} is shown`);
    return (await points(tab))[0];
  };
  const [one, two, three] = [await round(1), await round(2), await round(3)];
  assert.deepEqual([two, three], [one + 1, one + 2]);
});

test('nodes that no longer answer are marked and told, and those that are hot; the table is sorted and filtered', async (t) => {
  const redis = await startRedis(t);
  const server = await start(t, { args: ['--bus', redis.url], config: '[plugins.monitoring]\ncollect = "off"\n' });
  const tab = await dashboard(t, await openBrowser(t), server, { locale: 'en-US' });
  await reads(tab, '#status', /^Connected$/);
  await until(async () => (await (await server.fetch('/readyz')).json()).status === 'ready', 'the server listens to Redis');
  const node = (cpu_usage, temperature) => ({ cpu_usage, memory_usage: 50, disk_usage: 60, temperature });
  const publish = (timestamp, nodes) => redis.cli('publish', 'cluster:metrics', JSON.stringify({ timestamp, nodes, cluster_stats: { total_nodes: 3, online_nodes: Object.keys(nodes).length, avg_cpu: 1, avg_memory: 2, avg_temperature: null } }));
  const round = { n1: node(95, 50), n2: node(5, null), n10: node(20, 85.5) };
  // Written as well, so that the server knows these nodes when it is asked.
  await redis.cli('set', 'cluster:metrics', JSON.stringify({ timestamp: 'a', nodes: round, cluster_stats: { total_nodes: 3, online_nodes: 3 } }));
  for (const [name, measured] of Object.entries(round)) await redis.cli('set', `metrics:${name}`, JSON.stringify(measured));
  await publish('a', round);
  await until(async () => (await rows(tab)).length === 3, 'three nodes');
  const names = async () => (await rows(tab)).map(([name]) => name);
  assert.deepEqual(await names(), ['n1', 'n2', 'n10']);
  assert.equal(await tab.locator('#nodes td.high').count(), 2, 'a CPU and a temperature');
  const head = (name) => tab.locator('#nodes th', { has: tab.getByRole('button', { name }) });
  await tab.getByRole('button', { name: 'CPU' }).focus();
  await tab.keyboard.press('Enter');
  assert.deepEqual(await names(), ['n2', 'n10', 'n1']);
  await tab.keyboard.press('Enter');
  assert.deepEqual(await names(), ['n1', 'n10', 'n2']);
  assert.equal(await head('CPU').getAttribute('aria-sort'), 'descending');
  await tab.getByRole('button', { name: 'Temperature' }).click();
  assert.deepEqual(await names(), ['n1', 'n10', 'n2'], 'what is not known stands last');

  const alert = { id: 'high_temp_n10', type: 'critical', message: 'n10: Température élevée (85.5°C)' };
  await redis.cli('publish', 'cluster:alerts', JSON.stringify({ timestamp: 'a', active_alerts: [alert], alert_count: 1 }));
  await reads(tab, '#alerts', /^critical n10: High temperature \(85\.5°C\) since \d+:\d\d:\d\d [AP]M$/);
  await redis.cli('publish', 'cluster:health', JSON.stringify({ timestamp: 'a', overall_status: 'warning', nodes_online: 2, nodes_total: 3, issues: ['1 nœuds hors ligne'] }));
  await reads(tab, 'section:has(#health)', /warning 2 of 3 nodes answer\s+1 nodes offline/);

  await publish('b', { n1: round.n1, n10: round.n10 });
  await reads(tab, '#alerts', /critical n2 does not answer since/);
  assert.equal(await tab.locator('#nodes tr.stale').innerText().then((text) => text.split(/\s/)[0]), 'n2');
  await tab.getByRole('searchbox').fill('does not');
  assert.deepEqual(await names(), ['n2']);
  await tab.getByRole('searchbox').fill('N1');
  assert.deepEqual(await names(), ['n1', 'n10']);
  await tab.getByRole('searchbox').fill('');
  await picture(tab, 'dashboard-trouble');
  await publish('c', round);
  await until(async () => (await tab.locator('#nodes tr.stale').count()) === 0, 'n2 answers again');
  // As whoever asks over HTTP makes the server publish them: a list, in which a node that is away stands as well.
  const listed = Object.entries(round).map(([name, measured]) => ({ node: name, status: name === 'n1' ? 'unknown' : 'ready', ...measured }));
  await publish('d', listed);
  await until(async () => (await tab.locator('#nodes tr.stale').allInnerTexts()).map((text) => text.split(/\s/)[0]).join() === 'n1', 'n1 is away');
  await publish('e', round);
  await until(async () => (await tab.locator('#nodes tr.stale').count()) === 0, 'n1 answers again');
  await redis.cli('publish', 'cluster:alerts', JSON.stringify({ timestamp: 'c', active_alerts: [], alert_count: 0 }));
  await tab.locator('#noAlerts').waitFor();

  // The bus goes and comes back; the page goes on all the while.
  await redis.kill();
  await reads(tab, '#router', /^degraded$/);
  assert.match(await figure(tab, 'Bus'), /^redis : down/);
  const [, , away] = await points(tab);
  await until(async () => (await points(tab))[2] > away + 1, 'the charts of the router go on');
  await redis.start();
  await reads(tab, '#router', /^ready$/);
  assert.match(await figure(tab, 'Bus'), /^redis : up/);
});

test('a node_exporter that stops is stale, and answers again when it is back', async (t) => {
  const exporter = await startExporter(t);
  const server = await start(t, { env: FAST, config: `[plugins.monitoring]\nnodes = ["${exporter.node}"]\n` });
  const tab = await dashboard(t, await openBrowser(t), server);
  const state = async () => (await rows(tab))[0]?.[1];
  await until(async () => await state() === 'répond', 'it answers');
  await exporter.stop();
  await until(async () => await state() === 'ne répond pas', 'it does not answer');
  await reads(tab, '#health', /^critique$/);
  await reads(tab, '#alerts', new RegExp(`${exporter.node} ne répond pas`));
  await exporter.start();
  await until(async () => await state() === 'répond', 'it answers again');
  await reads(tab, '#health', /^bonne$/);
});

test('no page breaks a rule of accessibility, in either theme, on a desk and on a phone', async (t) => {
  const server = await start(t, { env: FAST });
  const browser = await openBrowser(t);
  for (const path of ['/', '/plugins', '/websocket-test', '/docs']) {
    for (const colorScheme of ['light', 'dark']) {
      for (const [device, viewport] of [['desk', { width: 1280, height: 800 }], ['phone', { width: 360, height: 740 }]]) {
        const tab = await openTab(t, browser, server.url, { colorScheme, viewport, locale: 'en-US' });
        await tab.goto(server.url + path);
        if (path === '/') {
          await reads(tab, '#router', /^ready$/);
          await until(async () => (await rows(tab)).length === 1, 'this host is there');
          await tab.locator('#nodes tbody button').click();
          await tab.locator('#servers tbody tr').waitFor();
        }
        if (path === '/websocket-test') await tab.getByText('Send any event').click();
        if (path === '/plugins') {
          await tab.locator('details[data-name="/echo say"] summary').click();
          await tab.getByRole('button').click();
          await reads(tab, 'pre', /"ok": true/);
        }
        const where = `${path} ${colorScheme} ${device}`;
        assert.deepEqual(await tab.locator('#pages a').evaluateAll((links) => links.map((link) => link.getAttribute('href'))), LINKS, where);
        assert.equal(await tab.locator('#pages a[aria-current=page]').getAttribute('href'), path, where);
        await reads(tab, '#status', path === '/websocket-test' ? /^Disconnected$/ : /^Connected$/);
        const wide = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.equal(wide, 0, `${where}: nothing stands over the edge`);
        await tab.evaluate(axe);
        const check = () => tab.evaluate(async () => (await window.axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`));
        assert.deepEqual(await check(), [], where);
        const name = path === '/' ? 'dashboard' : path.slice(1);
        await tab.screenshot({ path: new URL(`../../../target/screenshots/${name}-${colorScheme}-${device}.png`, import.meta.url).pathname, fullPage: true });
        if (path === '/') {
          await tab.evaluate(() => { document.body.dataset.connection = 'lost'; });
          assert.deepEqual(await check(), [], `${where}, greyed`);
        }
        await tab.context().close();
      }
    }
  }
});
