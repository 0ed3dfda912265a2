//! A real browser, and the test page in it.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { DEADLINE_MS, until } from './wait.mjs';

// Without these Chromium looks for its makers' servers, which a machine without the internet refuses many times a second.
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];
const screenshots = fileURLToPath(new URL('../../../../target/screenshots', import.meta.url));

/** Starts Debian's Chromium; it ends with the test. */
export async function openBrowser(t, flags = []) {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: [...FLAGS, ...flags] });
  t.after(() => browser.close());
  return browser;
}

/** A tab of its own, which fails the test when the page misbehaves or asks anybody but `url` for anything. */
export async function openTab(t, browser, url, options = {}) {
  const context = await browser.newContext({ locale: 'fr-FR', viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  const trouble = [];
  page.on('pageerror', (error) => trouble.push(error.stack));
  // Among them what the Content-Security-Policy forbade.
  page.on('console', (message) => {
    if (message.type() === 'error' && !/ERR_CONNECTION|WebSocket connection/.test(message.text())) trouble.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(`${url}/`)) trouble.push(`asked for ${request.url()}`);
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(trouble, [], 'the page runs without errors and asks nobody else');
  });
  return page;
}

/** Keeps a picture of a tab under target/screenshots. */
export async function picture(page, name) {
  mkdirSync(screenshots, { recursive: true });
  await page.screenshot({ path: `${screenshots}/${name}.png` });
}

/** The test page of a server, opened. */
export class TestPage {
  constructor(tab) {
    this.tab = tab;
  }

  /** With `clock: true` the page's time only passes when the test says so (`page.tab.clock`). */
  static async open(t, browser, server, { query = '', clock = false, ...options } = {}) {
    const tab = await openTab(t, browser, server.url, options);
    if (clock) await tab.clock.install();
    const response = await tab.goto(`${server.url}/websocket-test${query}`);
    assert.equal(response.status(), 200, 'the binary holds the test page: run `make web`, then build it again');
    return new TestPage(tab);
  }

  /** Clicks the button with this text. */
  click(text) {
    return this.tab.getByRole('button', { name: text, exact: true }).click();
  }

  /** The texts of the buttons in the page's row of buttons that can be clicked. */
  buttons() {
    return this.tab.locator('.buttons button:enabled').allTextContents();
  }

  /** Resolves once the status reads like this, to its style. */
  async status(text) {
    let seen;
    await until(async () => {
      seen = await this.tab.locator('#status').textContent();
      return typeof text === 'string' ? seen === text : text.test(seen);
    }, () => `the status ${text}; it is ${seen}`);
    return (await this.tab.locator('#status').getAttribute('class')).replace('status ', '');
  }

  /**
   * All lines of the console, `{ time, text, kind, texts, times, hidden }`: `texts` has the line once for each name its
   * message came by, `times` is how often it came.
   */
  async lines() {
    const all = await this.tab.locator('#output > div').evaluateAll((lines) => lines.map((line) => ({
      time: line.firstChild.textContent, kind: line.className, hidden: line.hidden,
      names: [...line.querySelectorAll('.name')].map((name) => name.textContent),
      text: line.querySelector('.text').textContent, repeats: line.querySelector('.repeats')?.textContent,
    })));
    return all.map(({ time, kind, hidden, names, text, repeats }) => {
      assert.match(time, /^\[\d\d:\d\d:\d\d\] $/, 'a line with its time');
      const texts = names.length > 0 ? names.map((name) => `${name}: ${text}`) : [text];
      return { time: time.slice(1, 9), kind: kind.replace('message ', ''), hidden, text: texts[0], texts, times: Number(repeats?.slice(1) ?? 1) };
    });
  }

  /** The lines that begin with `start`, under whichever of their names. */
  async having(start) {
    return having(await this.lines(), start);
  }

  /** Resolves to the first line that begins with `start`; what follows is its `rest`, and if that is JSON, its `data`. */
  async line(start, ms) {
    let all;
    const found = await until(async () => {
      all = await this.lines();
      return having(all, start)[0];
    }, () => `a line ${start}…; there are:\n${all.map(({ text }) => text.slice(0, 80)).join('\n')}`, ms);
    const rest = found.text.slice(start.length);
    return { ...found, rest, data: /^[[{]/.test(rest) ? JSON.parse(rest) : undefined };
  }
}

function having(lines, start) {
  return lines.flatMap((line) => line.texts.filter((text) => text.startsWith(start)).map((text) => ({ ...line, text })));
}
