//! The lines of the test page: how many are kept, which are one, and what they look like.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBrowser, picture, TestPage } from './lib/browser.mjs';
import { startRedis } from './lib/redis.mjs';
import { start } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

test('the console keeps the last 500 lines and says how many went', async (t) => {
  const server = await start(t, { env: { CARILLON_PLUGINS__MONITORING__INTERVAL_MS: '60000' } });
  // What is answered changes with the first measurement, and not again for a minute.
  await until(async () => (await (await server.fetch('/api/cluster/overview')).json()).cluster_stats.ready_nodes > 0, 'this host is measured');
  const page = await TestPage.open(t, await openBrowser(t), server);
  await page.click('Se connecter');
  await page.line('Connecté au namespace /health');
  await page.tab.evaluate(() => { for (let i = 0; i < 850; i += 1) document.getElementById('healthBtn').click(); });
  const note = page.tab.locator('#removed');
  await until(async () => /Les 500 dernières lignes sont gardées ; 3\d\d plus anciennes/.test(await note.textContent()), 'older lines are removed');
  assert.equal((await page.lines()).length, 500);
  // Who reads further up is left there.
  const box = page.tab.locator('#output');
  await box.evaluate((element) => { element.scrollTop = 0; });
  await page.tab.evaluate(() => document.getElementById('clusterBtn').click());
  let answers;
  await until(async () => {
    answers = await page.having('Réponse Health reçue: ');
    return answers.length === 1 && answers[0].times === 850;
  }, () => `answers that differ in nothing but their time are one line: ${JSON.stringify(answers)}`);
  await page.line('Réponse Cluster Status reçue: ');
  assert.ok(await box.evaluate((element) => element.scrollTop < element.scrollHeight / 2));
  await page.click('Vider');
  assert.equal(await note.isVisible(), false);
});

/** A page beside a Redis of its own, connected, with nothing on it but what the test publishes. */
async function quietPage(t, options) {
  const redis = await startRedis(t);
  const server = await start(t, { args: ['--bus', redis.url], config: '[plugins.monitoring]\ncollect = "off"\n' });
  const page = await TestPage.open(t, await openBrowser(t), server, options);
  await page.tab.locator('#connectBtn').click();
  await page.line(options?.locale === 'en-US' ? 'Connected to namespace /health' : 'Connecté au namespace /health');
  await page.line(options?.locale === 'en-US' ? 'Connected to namespace /monitoring' : 'Connecté au namespace /monitoring');
  await until(async () => (await (await server.fetch('/readyz')).json()).status === 'ready', 'the server listens to Redis');
  await page.tab.locator('#clearBtn').click();
  return { redis, page };
}

test('what arrives under two names is one line, and what repeats itself is counted', async (t) => {
  const { redis, page } = await quietPage(t);
  const health = (timestamp, online) => JSON.stringify({ timestamp, overall_status: 'warning', nodes_online: online, nodes_total: 8, issues: ['1 nœuds hors ligne'] });
  for (const message of [health('t1', 7), health('t2', 7), health('t3', 7)]) await redis.cli('publish', 'cluster:health', message);
  await redis.cli('publish', 'celery:metrics', '{"workers":1}');
  await page.line('Événement Redis (celery:metrics): ');
  let line;
  await until(async () => {
    line = (await page.lines())[0];
    return line.texts.length === 2 && line.times === 3;
  }, () => `it came three times, under two names: ${JSON.stringify(line)}`);
  const all = await page.lines();
  assert.equal(all.length, 2);
  const celery = all[1];
  assert.deepEqual(line.texts.map((text) => text.split(': ')[0]).sort(), ['WS /health -> health_update', 'Événement Redis (cluster:health)']);
  assert.ok(line.text.includes('"t3"'), 'it shows the newest of them');
  assert.equal(celery.times, 1);
  await redis.cli('publish', 'cluster:health', health('t4', 6));
  await until(async () => (await page.lines()).length === 3, 'another state is another line');
});

test('alerts are red only when there are any', async (t) => {
  const { redis, page } = await quietPage(t);
  const hot = { id: 'high_temp_n1', type: 'critical', message: 'n1: Température élevée (85.5°C)' };
  await redis.cli('publish', 'cluster:alerts', JSON.stringify({ timestamp: 't1', active_alerts: [], alert_count: 0 }));
  assert.equal((await page.line('WS /monitoring -> alerts_update: ')).kind, 'success');
  await redis.cli('publish', 'cluster:alerts', JSON.stringify({ timestamp: 't2', active_alerts: [hot], alert_count: 1 }));
  // Each comes under two names, which make one line.
  let kinds;
  await until(async () => {
    kinds = (await page.lines()).map(({ kind, texts }) => [kind, texts.length]);
    return kinds.length === 2 && kinds.every(([, names]) => names === 2);
  }, () => `both lines are there under both names: ${JSON.stringify(kinds)}`);
  assert.deepEqual(kinds.map(([kind]) => kind), ['success', 'error']);
});

test('a page has one name and one language, alerts included, whatever the language of the server', async (t) => {
  const { redis, page } = await quietPage(t, { locale: 'en-US' });
  assert.equal(await page.tab.title(), 'WebSocket test - Carillon');
  assert.equal(await page.tab.locator('h1').textContent(), 'WebSocket test - Carillon');
  const messages = ['n1: Température élevée (85.5°C)', 'CPU moyenne élevée: 91.0%', 'Mémoire moyenne élevée: 92.5%', 'disque plein'];
  const active_alerts = messages.map((message, at) => ({ id: `a${at}`, type: 'critical', message }));
  await redis.cli('publish', 'cluster:alerts', JSON.stringify({ timestamp: 't', active_alerts, alert_count: 4 }));
  await redis.cli('publish', 'cluster:health', JSON.stringify({ timestamp: 't', overall_status: 'warning', nodes_online: 7, nodes_total: 8, issues: ['1 nœuds hors ligne'] }));
  const alerts = (await page.line('Redis event (cluster:alerts): ')).data.active_alerts.map(({ message }) => message);
  // A sentence the page does not know is another program's own.
  assert.deepEqual(alerts, ['n1: High temperature (85.5°C)', 'High average CPU: 91.0%', 'High average memory: 92.5%', 'disque plein']);
  assert.deepEqual((await page.line('Redis event (cluster:health): ')).data.issues, ['1 node offline']);
  const texts = await page.tab.locator('body').innerText();
  for (const word of ['Connecté', 'Événement', 'Vider', 'Filtrer', 'Reprendre', 'Langue', 'DispyCluster']) assert.ok(!texts.includes(word), `${word} in ${texts}`);
  await page.click('Pause');
  await page.click('Resume');
});

test('200 messages a second are counted, filtered and paused', async (t) => {
  const { redis, page } = await quietPage(t);
  const counted = async (name) => {
    const row = page.tab.locator('#counts li', { hasText: name });
    return Number((await row.locator('.number').textContent()).replace(/\D/g, ''));
  };
  // As fast as Redis is told, which is more: Lua publishes 200 messages at a time, each other than the one before.
  let sent = 0;
  const burst = async (count = 200) => {
    const script = "for n = ARGV[1] + 1, ARGV[1] + ARGV[2] do redis.call('publish', 'cluster:metrics', '{\"n\":' .. n .. ',\"nodes\":{},\"cluster_stats\":{}}') redis.call('publish', 'celery:metrics', '{\"c\":' .. n .. '}') end";
    await redis.cli('eval', script, 0, sent, count);
    sent += count;
  };
  await burst();
  await burst();
  await until(async () => await counted('celery:metrics') === 400, 'every message is counted');
  assert.equal(await counted('cluster:metrics'), 400);
  assert.equal(await counted('/monitoring -> cluster_metrics'), 400);
  await until(async () => (await page.lines()).length === 500, 'only so many lines are kept');

  // Paused: it counts on, and shows what it showed.
  await page.click('Pause');
  const before = await page.lines();
  await burst();
  await until(async () => await counted('celery:metrics') === 600, 'it counts while it is paused');
  const resume = page.tab.getByRole('button', { name: /^Reprendre \(\d+ en attente\)$/ });
  await resume.waitFor();
  assert.deepEqual(await page.lines(), before);
  await resume.click();
  await until(async () => (await page.having('Événement Redis (celery:metrics): ')).some(({ text }) => JSON.parse(text.slice(text.indexOf('{'))).c === 600), 'what came meanwhile is shown');

  // By name, and by text.
  const visible = async () => (await page.lines()).filter(({ hidden }) => !hidden);
  await page.tab.getByRole('checkbox', { name: /celery:metrics/ }).uncheck();
  await burst(50);
  await until(async () => await counted('celery:metrics') === 650, 'what is hidden is counted');
  await until(async () => (await page.having('WS /monitoring -> cluster_metrics: ')).some(({ text }) => text.includes('"n": 650')), 'the others are shown');
  assert.ok((await visible()).every(({ text }) => !text.includes('celery')));
  await page.tab.getByRole('searchbox').fill('"n": 650');
  assert.deepEqual((await visible()).map(({ text }) => JSON.parse(text.slice(text.indexOf('{'))).n), [650]);
  await page.tab.getByRole('searchbox').fill('');
  await page.tab.getByRole('checkbox', { name: /celery:metrics/ }).check();
  assert.equal((await visible()).length, 500);
  await picture(page.tab, 'page-busy');
});
