//! Every page, in both themes, on a desk and on a phone: nothing breaks a rule of accessibility, nothing stands over the edge.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { openBrowser, openTab } from './lib/browser.mjs';
import { reads, rows } from './lib/dashboard.mjs';
import { start } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const FAST = { CARILLON_PLUGINS__MONITORING__INTERVAL_MS: '1000' };
/** Where the header of every page leads. */
const LINKS = ['/', '/plugins', '/websocket-test', '/docs'];
const axe = readFileSync(new URL('./node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

test('no page breaks a rule of accessibility, in either theme, on a desk and on a phone', async (t) => {
  const server = await start(t, { env: FAST });
  const browser = await openBrowser(t);
  for (const path of LINKS) {
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
