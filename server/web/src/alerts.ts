//! The alerts: what the server says is too high, and the nodes that do not answer, each with the time since when.

import type { Alert } from '../../../docs/reference/types';
import type { Texts } from './dashboard-texts';
import type { Language } from './header';
import { translate } from './phrases';

/** A node that does not answer, and when it did last, by this computer's clock. */
export interface Silent { name: string; seen: number | null }

/** The list. */
export class Alerts {
  #alerts: Alert[] = [];
  #silent: Silent[] = [];
  /** Since when each alert holds; of those that were there when the page was opened nobody knows. */
  #since = new Map<string, { time: number; before: boolean }>();
  #first = true;

  constructor(private readonly box: HTMLElement, private readonly none: HTMLElement, private readonly say: Texts, private readonly language: Language) {}

  /** Takes the alerts that hold now, and the nodes that do not answer. */
  update(alerts: Alert[], silent: Silent[]): void {
    this.#alerts = alerts;
    for (const { id } of alerts) if (!this.#since.has(id)) this.#since.set(id, { time: Date.now(), before: this.#first });
    for (const id of this.#since.keys()) if (!alerts.some((alert) => alert.id === id)) this.#since.delete(id);
    this.#first = false;
    this.silent(silent);
  }

  /** Takes the nodes that do not answer. */
  silent(silent: Silent[]): void {
    this.#silent = silent;
    this.#draw();
  }

  #draw(): void {
    const { say, language } = this;
    const clock = (time: number) => new Date(time).toLocaleTimeString(language);
    const silent = this.#silent.map(({ name, seen }) =>
      ({ id: `silent ${name}`, critical: true, message: say.silent(name), when: seen === null ? '' : say.since(clock(seen)) }));
    const high = this.#alerts.map(({ id, type, message }) => {
      const { time, before } = this.#since.get(id) ?? { time: Date.now(), before: true };
      return { id, critical: type === 'critical', message: translate(message, language), when: before ? say.sinceBefore(clock(time)) : say.since(clock(time)) };
    });
    const all = [...silent, ...high].sort((one, other) => Number(other.critical) - Number(one.critical));
    entries(this.box, all.map(({ id, critical, message, when }) => ({
      key: id, kind: critical ? 'critical' : 'warning', parts: [critical ? say.critical : say.warning, message, ...(when === '' ? [] : [when])],
    })));
    this.none.hidden = all.length > 0;
  }
}

/** Writes the entries of a list; those that are in their place already are left alone, so that nobody hears them twice. */
export function entries(box: HTMLElement, all: { key: string; kind: string; parts: string[] }[]): void {
  const there = new Map([...box.children].map((item) => [(item as HTMLElement).dataset.key, item as HTMLElement]));
  all.forEach(({ key, kind, parts }, at) => {
    const item = there.get(key) ?? document.createElement('li');
    if (item.textContent !== parts.join(' ')) {
      item.replaceChildren(...parts.flatMap((part, at) => {
        const span = document.createElement(kind !== '' && at === 0 ? 'strong' : 'span');
        span.textContent = part;
        if (kind !== '' && at === 0) span.className = `badge ${kind}`;
        return at === 0 ? [span] : [' ', span];
      }));
    }
    item.dataset.key = key;
    if (box.children[at] !== item) box.insertBefore(item, box.children[at] ?? null);
    there.delete(key);
  });
  for (const item of there.values()) item.remove();
}
