//! The test page, in a real browser: what it connects to, what it says, and what it does when a server goes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openBrowser, openTab, picture, TestPage } from './lib/browser.mjs';
import { python } from './lib/python.mjs';
import { startRedis } from './lib/redis.mjs';
import { start } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const OFF = ['Se connecter', 'Pause', 'Copier', 'Vider'];
const ON = ['Se déconnecter', 'Demander Health', 'Demander Nodes', 'Demander Cluster', 'Pause', 'Copier', 'Vider'];
/** What live monitoring says by itself, as the page always showed it; alerts look like errors where there are any. */
const LIVE = [
  ['Événement Redis (cluster:metrics): ', 'success', 'nodes'],
  ['Événement Redis (cluster:health): ', 'success', 'overall_status'],
  ['Événement Redis (cluster:alerts): ', 'success', 'alert_count'],
  ['WS /monitoring -> cluster_metrics: ', 'success', 'nodes'],
  ['WS /monitoring -> alerts_update: ', 'success', 'alert_count'],
  ['WS /health -> health_update: ', 'success', 'overall_status'],
];
const FAST = { CARILLON_PLUGINS__MONITORING__INTERVAL_MS: '1000' };

test('the page connects, shows every event as a line, and lets go again', async (t) => {
  const server = await start(t, { env: FAST });
  const page = await TestPage.open(t, await openBrowser(t), server);
  assert.equal(await page.tab.title(), 'Test WebSocket - Carillon');
  assert.equal(await page.status('Déconnecté'), 'disconnected');
  assert.deepEqual(await page.buttons(), OFF);
  const tops = await page.tab.locator('.buttons button').evaluateAll((buttons) => buttons.map((button) => button.offsetTop));
  assert.equal(new Set(tops).size, 1, 'the buttons stand in one row');

  await page.click('Se connecter');
  assert.equal(await page.status(/^Connecté - Socket ID: /), 'connected');
  assert.deepEqual(await page.buttons(), ON);
  // Lines are drawn a moment after the status.
  await page.line('Connexion établie !');
  assert.deepEqual((await page.lines()).slice(0, 2).map(({ text, kind }) => [text, kind]), [
    [`Tentative de connexion à ${server.url}`, 'info'],
    ['Connexion établie !', 'success'],
  ]);
  const confirmed = await page.line('Confirmation: ');
  assert.equal(await page.tab.locator('#status').textContent(), `Connecté - Socket ID: ${confirmed.data.sid}`);
  for (const namespace of ['/health', '/monitoring']) {
    assert.equal((await page.line(`Connecté au namespace ${namespace}`)).kind, 'success');
  }
  for (const [start, kind, field] of LIVE) {
    const line = await page.line(start);
    // The machine that runs the tests may be busy enough for an alert.
    assert.equal(line.kind, line.data.alert_count > 0 ? 'error' : kind, start);
    assert.ok(field in line.data, start);
    assert.match(line.time, /^\d\d:\d\d:\d\d$/);
  }
  for (const [button, asking, answer] of [
    ['Demander Health', 'health', 'Health'],
    ['Demander Nodes', 'nodes status', 'Nodes Status'],
    ['Demander Cluster', 'cluster status', 'Cluster Status'],
  ]) {
    await page.click(button);
    await page.line(`Envoi de la demande de ${asking}...`);
    assert.ok((await page.line(`Réponse ${answer} reçue: `)).data.timestamp);
  }
  const atTheEnd = () => page.tab.locator('#output').evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight < 2);
  await until(atTheEnd, 'the newest line is in view');
  await picture(page.tab, 'page-fr');

  await page.click('Se déconnecter');
  assert.equal(await page.status('Déconnecté'), 'disconnected');
  assert.deepEqual(await page.buttons(), OFF);
  await page.line('Déconnecté: io client disconnect');
  assert.deepEqual((await page.lines()).at(-1).text, 'Déconnexion manuelle');
  await page.click('Vider');
  assert.deepEqual(await page.lines(), []);

  // A second round begins where the first did.
  await page.click('Se connecter');
  await page.line('Connecté au namespace /monitoring');
  await page.line('Connecté au namespace /health');
  assert.equal((await page.having('Connexion établie !')).length, 1);
  assert.equal((await page.having('Connecté au namespace')).length, 2);
});

test('the page speaks the language of the browser, or the one that is asked for', async (t) => {
  const server = await start(t);
  const browser = await openBrowser(t);
  for (const [locale, query, language] of [
    ['fr-CA', '', 'fr'], ['fr', '', 'fr'], ['en-US', '', 'en'], ['de-DE', '', 'en'], ['fy-NL', '', 'en'],
    ['en-GB', '?lang=fr', 'fr'], ['fr-FR', '?lang=en', 'en'], ['fr-FR', '?lang=xx', 'fr'],
  ]) {
    const page = await TestPage.open(t, browser, server, { locale, query });
    await page.status(language === 'fr' ? 'Déconnecté' : 'Disconnected');
    assert.equal(await page.tab.locator('html').getAttribute('lang'), language, `${locale} ${query}`);
    assert.equal(await page.tab.getByRole('button').first().textContent(), language === 'fr' ? 'Se connecter' : 'Connect');
    await page.tab.context().close();
  }
  const page = await TestPage.open(t, browser, server, { locale: 'en-US', colorScheme: 'dark' });
  await page.click('Connect');
  await page.status(/^Connected - Socket ID: /);
  await page.line('Connected to namespace /health');
  await page.click('Request health');
  await page.line('Health response received: ');
  await picture(page.tab, 'page-en');
});

test('after three restarts of the server one event gives one line', async (t) => {
  let server = await start(t, { env: FAST });
  const page = await TestPage.open(t, await openBrowser(t), server);
  await page.click('Se connecter');
  for (let restart = 1; restart <= 3; restart += 1) {
    await page.status(/^Connecté - Socket ID: /);
    await page.line('Connecté au namespace /monitoring');
    await page.line('Connecté au namespace /health');
    await page.click('Vider');
    await server.stop();
    await page.line('Déconnecté: transport close');
    assert.equal((await page.having('Déconnecté')).length, 1);
    assert.deepEqual(await page.buttons(), OFF);
    server = await start(t, { env: FAST, listen: `127.0.0.1:${server.port}` });
  }
  await page.status(/^Connecté - Socket ID: /);
  const greetings = ['Connexion établie !', 'Confirmation: ', 'Connecté au namespace /health', 'Connecté au namespace /monitoring'];
  for (const once of greetings) await page.line(once);
  for (const once of greetings) assert.equal((await page.having(once)).length, 1, once);

  await page.click('Demander Health');
  await page.click('Demander Nodes');
  await page.line('Réponse Health reçue: ');
  await page.line('Réponse Nodes Status reçue: ');
  // Three collections later no answer can still be on its way.
  const collected = 'Événement Redis (cluster:metrics): ';
  const times = (lines) => lines.reduce((sum, line) => sum + line.times, 0);
  await until(async () => times(await page.having(collected)) > 3, 'the collector goes on');
  for (const start of ['Réponse Health reçue: ', 'Réponse Nodes Status reçue: ']) {
    assert.equal((await page.having(start)).length, 1, start);
  }
  for (const [start] of LIVE) {
    const stamps = (await page.having(start)).map(({ text }) => JSON.parse(text.slice(start.length)).timestamp);
    assert.deepEqual(stamps, [...new Set(stamps)], `${start}: each of them once`);
  }
});

test('an old publisher in Python drives the page through Redis, also after three restarts', async (t) => {
  const redis = await startRedis(t);
  const args = ['--bus', redis.url];
  let server = await start(t, { args });
  const page = await TestPage.open(t, await openBrowser(t), server);
  await page.click('Se connecter');
  await page.line('Connecté au namespace /monitoring');
  await page.line('Connecté au namespace /health');

  /** What the page shows of one round of the publisher, and that it shows it once. */
  const round = async (temperature) => {
    await page.line('Connecté au namespace /health');
    await until(async () => (await (await server.fetch('/readyz')).json()).status === 'ready', 'the server listens to Redis');
    await page.click('Vider');
    await python(t, 'old_publisher.py', redis.port, temperature);
    const data = {};
    for (const [start, kind] of [...LIVE, ['Événement Redis (celery:metrics): ', 'success']]) {
      const line = await page.line(start);
      assert.equal(line.kind, /alerts/.test(start) ? 'error' : kind, start);
      assert.equal((await page.having(start)).length, 1, start);
      data[start] = line.data;
    }
    const metrics = data['Événement Redis (cluster:metrics): '];
    assert.equal(metrics.nodes['node6.lan'].temperature, temperature);
    assert.deepEqual(data['WS /monitoring -> cluster_metrics: '], metrics);
    const alerts = data['Événement Redis (cluster:alerts): '];
    assert.equal(alerts.active_alerts[0].message, `node6.lan: Température élevée (${temperature.toFixed(1)}°C)`);
    assert.deepEqual(data['WS /monitoring -> alerts_update: '], alerts);
    assert.deepEqual(data['WS /health -> health_update: '].issues, ['1 nœud hors ligne']);
    assert.equal(data['Événement Redis (celery:metrics): '].workers, 1);
  };
  await round(85.5);
  for (let restart = 1; restart <= 3; restart += 1) {
    await page.click('Vider');
    await server.stop();
    await page.line('Déconnecté: transport close');
    server = await start(t, { args, listen: `127.0.0.1:${server.port}` });
    await page.line('Connecté au namespace /monitoring');
    await page.line('Connecté au namespace /health');
    // What the publisher left under its key is shown to whoever comes later.
    assert.equal((await page.line('WS /monitoring -> cluster_metrics: ')).data.nodes['node6.lan'].temperature, 85.5);
    assert.equal((await page.line('WS /health -> health_update: ')).data.nodes_online, 7);
  }
  await round(91.5);
  await picture(page.tab, 'page-redis');
  assert.equal((await page.lines()).length, 4, 'one line for each message, whatever the events that carry it, and nothing else');
});

test('a server that is away is told, retried five times, and found again by hand', async (t) => {
  const first = await start(t);
  // Time flies in this tab: five attempts take some 20 s.
  const page = await TestPage.open(t, await openBrowser(t), first, { clock: true });
  await first.stop();
  await page.click('Se connecter');
  await page.line('Erreur de connexion: ');
  const late = 'Reconnexion abandonnée après 5 tentatives';
  await until(async () => {
    await page.tab.clock.fastForward(8_000);
    return (await page.having(late)).length > 0;
  }, late);
  assert.equal(await page.status('Erreur de connexion'), 'disconnected');
  assert.equal((await page.having('Erreur de connexion: ')).length, 6, 'one line for each attempt');
  assert.deepEqual(await page.buttons(), OFF);

  await start(t, { listen: `127.0.0.1:${first.port}` });
  await page.click('Se connecter');
  await page.status(/^Connecté - Socket ID: /);
});

test('/websocket-test/ is the page as well, and /docs leads to it in the language of the browser', async (t) => {
  const server = await start(t);
  assert.equal((await server.fetch('/websocket-test/')).status, 200);
  const browser = await openBrowser(t);
  for (const [locale, word, other] of [['fr-FR', 'page de test', 'test page'], ['en-US', 'test page', 'page de test']]) {
    const tab = await openTab(t, browser, server.url, { locale });
    await tab.goto(`${server.url}/docs`);
    const text = await tab.locator('body').innerText();
    for (const part of ['/health', '/monitoring', '/metrics', word]) assert.ok(text.includes(part), `${part} in ${text}`);
    assert.ok(!text.includes(other));
    assert.match(text, /\/api\/\S+: \S.*\./, 'routes have their sentences');
    assert.equal(await tab.locator('html').getAttribute('lang'), locale.slice(0, 2));
    await tab.getByRole('link', { name: '/websocket-test' }).click();
    await tab.locator('#status').waitFor();
    // The server is stopped first: a page that is still loading then would be told nothing.
    await tab.waitForLoadState('load');
  }
});
