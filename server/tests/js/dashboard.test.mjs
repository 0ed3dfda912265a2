//! The dashboard at `/`, in a real browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBrowser, picture } from './lib/browser.mjs';
import { begins, dashboard, figure, points, reads, rows } from './lib/dashboard.mjs';
import { startExporter } from './lib/exporter.mjs';
import { startRedis } from './lib/redis.mjs';
import { start } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const FAST = { CARILLON_PLUGINS__MONITORING__INTERVAL_MS: '1000' };
/** How long a lost bus may go unnoticed. */
const BUS_LOST_MS = 15_000;

test('the dashboard shows the host, the cluster and the router, live, in the language of the browser', async (t) => {
  const server = await start(t, { env: FAST });
  const browser = await openBrowser(t);
  for (const [locale, connected, health, word] of [
    ['fr-FR', /^Connecté$/, /bonne.*nœuds qui répondent : 1 sur 1/s, 'répond'],
    ['en-US', /^Connected$/, /healthy.*nodes that answer: 1 of 1/s, 'answers'],
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
  // How long it was so before this page was there is not known.
  await reads(tab, '#alerts', /^critical n10: High temperature \(85\.5°C\) since \d+:\d\d:\d\d [AP]M or earlier$/);
  const warm = { id: 'high_cpu_avg', type: 'warning', message: 'CPU moyenne élevée: 91.0%' };
  await redis.cli('publish', 'cluster:alerts', JSON.stringify({ timestamp: 'a', active_alerts: [alert, warm], alert_count: 2 }));
  await reads(tab, '#alerts li:last-child', /^warning High average CPU: 91\.0% since \d+:\d\d:\d\d [AP]M$/);
  await redis.cli('publish', 'cluster:health', JSON.stringify({ timestamp: 'a', overall_status: 'warning', nodes_online: 2, nodes_total: 3, issues: ['1 nœuds hors ligne'] }));
  await reads(tab, 'section:has(#health)', /warning nodes that answer: 2 of 3\s+1 node offline/);

  await publish('b', { n1: round.n1, n10: round.n10 });
  await reads(tab, '#alerts', /^critical n2 does not answer since .*\ncritical n10.*\nwarning High/s);
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
  const bus = tab.locator('#figures dd', { hasText: /^redis, / });
  await redis.kill();
  await reads(tab, '#router', /^degraded$/, BUS_LOST_MS);
  await reads(tab, 'section:has(#busState)', /down\s+redis \(/);
  assert.match(await figure(tab, 'Bus'), /^redis, down/);
  assert.match(await bus.getAttribute('class'), /high/, 'the bus is red');
  const [, , away] = await points(tab);
  await until(async () => (await points(tab))[2] > away + 1, 'the charts of the router go on');
  await redis.start();
  await reads(tab, '#router', /^ready$/);
  await reads(tab, '#busState', /^up$/);
  assert.match(await figure(tab, 'Bus'), /^redis, up/);
  assert.doesNotMatch(await bus.getAttribute('class') ?? '', /high/);
  assert.match(await tab.locator('#router').getAttribute('class'), /healthy/);
});

test('a node_exporter that stops is stale, told and alerted, and is back when it is, each within two intervals', async (t) => {
  const INTERVAL_MS = 3_000;
  const exporter = await startExporter(t);
  const server = await start(t, { config: `[plugins.monitoring]\nnodes = ["${exporter.node}"]\ninterval_ms = ${INTERVAL_MS}\n` });
  const browser = await openBrowser(t);
  const tab = await dashboard(t, browser, server);
  const row = async (page = tab) => (await rows(page))[0] ?? [];
  await until(async () => (await row())[1] === 'répond', 'it answers');
  await until(async () => /^\d+ s$/.test((await row())[6]), 'it was seen in a round this page heard of');
  const within = (...checks) => Promise.all(checks.map(([selector, pattern]) => reads(tab, selector, pattern, 2 * INTERVAL_MS)));
  await exporter.stop();
  await within(['#nodes tbody tr.stale', /ne répond pas/], ['#health', /^critique$/], ['#alerts', new RegExp(`critique ${exporter.node} ne répond pas depuis \\d\\d:\\d\\d:\\d\\d`)]);
  // What it answered last is over, and when that was is told; to a page that is opened now as well.
  const age = async (page) => Number(/^(\d+) s$/.exec((await row(page))[6])?.[1]);
  await until(async () => (await age(tab)) > INTERVAL_MS / 1000, 'time passes since it was seen');
  assert.deepEqual((await row()).slice(1, 6), ['ne répond pas', '–', '–', '–', '–']);
  const late = await dashboard(t, browser, server);
  await until(async () => (await age(late)) > INTERVAL_MS / 1000, 'who comes later sees when it was seen');
  assert.ok(Math.abs((await age(late)) - (await age(tab))) <= 2, `${await row(late)}; ${await row()}`);
  assert.deepEqual((await row(late)).slice(1, 6), ['ne répond pas', '–', '–', '–', '–']);
  await picture(late, 'dashboard-stale');
  await exporter.start();
  await within(['#nodes tbody tr.answers', /répond/], ['#health', /^bonne$/], ['#alerts', /^(?!.*ne répond pas)/s]);
  assert.equal(await tab.locator('#nodes tr.stale').count(), 0);
});

test('on a Redis bus without nodes the page says why nothing is known; the bus is on the first screen', async (t) => {
  const redis = await startRedis(t);
  const server = await start(t, { args: ['--bus', redis.url] });
  const tab = await dashboard(t, await openBrowser(t), server, { locale: 'en-US', viewport: { width: 1280, height: 720 } });
  await reads(tab, '#noNodes', /^No node is known\. On a Redis bus .*plugins\.monitoring\.nodes .*\/docs$/);
  await reads(tab, '#busState', /^up$/);
  const { y, height } = await tab.locator('#busState').boundingBox();
  assert.ok(y + height < 720, `it stands at ${y}`);
});
