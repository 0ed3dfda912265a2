//! The dashboard in a browser, and what it shows.

import assert from 'node:assert/strict';
import { openTab } from './browser.mjs';
import { until } from './wait.mjs';

/** The dashboard of a server, opened; the tab fails the test on any error, violation of the policy included. */
export async function dashboard(t, browser, server, options) {
  const tab = await openTab(t, browser, server.url, options);
  const response = await tab.goto(`${server.url}/`);
  assert.equal(response.status(), 200);
  const policy = response.headers()['content-security-policy'];
  assert.ok(policy?.startsWith("default-src 'none'") && !policy.includes('unsafe'), `the binary holds the dashboard: ${policy}`);
  return tab;
}

/** Resolves once an element reads like this; before it is there it reads like nothing. */
export function reads(tab, selector, pattern, ms) {
  let text;
  return until(async () => pattern.test(text = (await tab.locator(selector).allInnerTexts()).join('')), () => `${selector} reads ${pattern}; it reads ${text}`, ms);
}

/** The cells of the nodes shown, row by row. */
export function rows(tab) {
  return tab.locator('#nodes tbody tr:visible').evaluateAll((lines) => lines.map((line) => [...line.cells].map((cell) => cell.textContent)));
}

/** How many points each chart has. */
export function points(tab) {
  return tab.locator('#charts figure').evaluateAll((charts) => charts.map(({ dataset }) => Number(dataset.points)));
}

/** When the first point of each chart was, in milliseconds. */
export function begins(tab) {
  return tab.locator('#charts figure').evaluateAll((charts) => charts.map(({ dataset }) => Date.parse(dataset.since)));
}

/** A figure of the router's panel. */
export function figure(tab, name) {
  return tab.locator('#figures div', { has: tab.getByText(name, { exact: true }) }).locator('dd').innerText();
}
