//! The test page and the client bundle, in a real browser.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { openBrowser, openTab, picture, TestPage } from './lib/browser.mjs';
import { http } from './lib/raw.mjs';
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
  assert.equal(await page.tab.title(), 'Test WebSocket - DispyCluster');
  assert.equal(await page.status('Déconnecté'), 'disconnected');
  assert.deepEqual(await page.buttons(), OFF);

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
    assert.deepEqual(data['WS /health -> health_update: '].issues, ['1 nœuds hors ligne']);
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
  assert.equal(await page.tab.title(), 'WebSocket test - DispyCluster');
  assert.equal(await page.tab.locator('h1').textContent(), 'WebSocket test - DispyCluster');
  const messages = ['n1: Température élevée (85.5°C)', 'CPU moyenne élevée: 91.0%', 'Mémoire moyenne élevée: 92.5%', 'disque plein'];
  const active_alerts = messages.map((message, at) => ({ id: `a${at}`, type: 'critical', message }));
  await redis.cli('publish', 'cluster:alerts', JSON.stringify({ timestamp: 't', active_alerts, alert_count: 4 }));
  await redis.cli('publish', 'cluster:health', JSON.stringify({ timestamp: 't', overall_status: 'warning', nodes_online: 7, nodes_total: 8, issues: ['1 nœuds hors ligne'] }));
  const alerts = (await page.line('Redis event (cluster:alerts): ')).data.active_alerts.map(({ message }) => message);
  // A sentence the page does not know is another program's own.
  assert.deepEqual(alerts, ['n1: High temperature (85.5°C)', 'High average CPU: 91.0%', 'High average memory: 92.5%', 'disque plein']);
  assert.deepEqual((await page.line('Redis event (cluster:health): ')).data.issues, ['1 nodes offline']);
  const texts = await page.tab.locator('body').innerText();
  for (const word of ['Connecté', 'Événement', 'Vider', 'Filtrer', 'Reprendre', 'Langue', 'Carillon']) assert.ok(!texts.includes(word), `${word} in ${texts}`);
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
    assert.equal(await tab.locator('html').getAttribute('lang'), locale.slice(0, 2));
    await tab.getByRole('link', { name: '/websocket-test' }).click();
    await tab.locator('#status').waitFor();
  }
});

test('the JavaScript of the original document runs unchanged in a browser', async (t) => {
  const server = await start(t, { env: FAST });
  // To this browser the server is at the address the document names, whatever its port.
  const browser = await openBrowser(t, [`--host-resolver-rules=MAP localhost:8085 127.0.0.1:${server.port}`]);
  const tab = await openTab(t, browser, 'http://localhost:8085');
  const printed = [];
  tab.on('console', (message) => printed.push(message));
  const frames = [];
  tab.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => frames.push(payload)));
  // What comes before the client has upgraded comes in the answers of its polls.
  tab.on('response', (response) => {
    if (response.url().includes('transport=polling')) response.text().then((text) => frames.push(...text.split('\x1e')), () => {});
  });
  // Any answer of the server is a place to put a page of its own origin.
  await tab.goto('http://localhost:8085/livez');
  const code = readFileSync(new URL('./seed-example.js', import.meta.url), 'utf8');
  await tab.setContent(`<!DOCTYPE html><script src="/socket.io/socket.io.js"></script><script>${code}</script>`);
  const message = await until(() => printed.find((one) => one.text().startsWith('Métriques du cluster:')), 'the document prints metrics');
  assert.equal((await message.args()[1].jsonValue()).cluster_stats.total_nodes, 1);
  await until(() => frames.some((frame) => frame.startsWith('42/monitoring,["nodes_status_response",')), 'the nodes come');
  await until(() => frames.some((frame) => frame.startsWith('42/health,["health_response",')), 'the health comes');
});

test('every build of the stock client is served, to the byte, and not twice', async (t) => {
  const server = await start(t);
  const installed = new URL('./node_modules/socket.io-client/dist/', import.meta.url);
  for (const name of ['socket.io.js', 'socket.io.min.js', 'socket.io.esm.min.js'].flatMap((name) => [name, `${name}.map`])) {
    const path = `/socket.io/${name}`;
    const expected = readFileSync(new URL(name, installed));
    const plain = await http(server.url, 'GET', path);
    assert.equal(plain.status, 200, `${path}: is the binary built after \`make web\`?`);
    assert.ok(expected.equals(Buffer.from(plain.body)), path);
    assert.match(plain.headers['content-type'], name.endsWith('.map') ? /^application\/json$/ : /^text\/javascript; charset=utf-8$/);

    const response = await server.fetch(path, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(response.headers.get('content-encoding'), 'gzip', path);
    assert.ok(Number(response.headers.get('content-length')) < expected.length / 2);
    assert.equal(await response.text(), expected.toString(), path);

    const tag = plain.headers.etag;
    assert.notEqual(response.headers.get('etag'), tag, 'another form, another tag');
    const again = await http(server.url, 'GET', path, undefined, undefined, { 'if-none-match': tag });
    assert.deepEqual([again.status, again.body], [304, '']);
    const head = await http(server.url, 'HEAD', path);
    assert.deepEqual([head.status, head.body, Number(head.headers['content-length'])], [200, '', expected.length]);
  }
  assert.equal((await http(server.url, 'GET', '/socket.io/socket.io.none.js')).status, 404);
});

test('pages of other hosts get the client only where they are allowed', async (t) => {
  const server = await start(t, { config: '[server]\norigins = ["https://app.example"]\n' });
  const allowed = async (origin) => {
    const { status, headers } = await http(server.url, 'GET', '/socket.io/socket.io.esm.min.js', undefined, undefined, { origin });
    return [status, headers['access-control-allow-origin']];
  };
  assert.deepEqual(await allowed('https://app.example'), [200, 'https://app.example']);
  assert.deepEqual(await allowed('https://other.example'), [200, undefined]);
});
