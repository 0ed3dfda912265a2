//! The alerts: what the server says is too high, clients that lose messages, and the nodes that do not answer, each with the time since when.

import type { Alert } from '../../../docs/reference/types';
import type { Texts } from './dashboard-texts';
import { entries } from './elements';
import type { Language } from './header';
import { translate } from './phrases';

/** A node that does not answer, and when it did last, by this computer's clock. */
export interface Silent { name: string; seen: number | null }

/** The list. */
export class Alerts {
  #alerts: Alert[] = [];
  /** Since when each alert holds; of those that were there when the page was opened nobody knows. */
  #since = new Map<string, { time: number; before: boolean }>();
  #first = true;

  constructor(
    private readonly box: HTMLElement,
    private readonly none: HTMLElement,
    /** The nodes that do not answer. */
    private readonly silent: () => Silent[],
    /** Whether clients are losing messages. */
    private readonly losing: () => boolean,
    private readonly say: Texts,
    private readonly language: Language,
  ) {}

  /** Takes the alerts that hold now. */
  update(alerts: Alert[]): void {
    this.#alerts = alerts;
    for (const { id } of alerts) if (!this.#since.has(id)) this.#since.set(id, { time: Date.now(), before: this.#first });
    for (const id of this.#since.keys()) if (!alerts.some((alert) => alert.id === id)) this.#since.delete(id);
    this.#first = false;
    this.draw();
  }

  /** Brings what is shown up to date. */
  draw(): void {
    const { say, language } = this;
    const clock = (time: number) => new Date(time).toLocaleTimeString(language);
    const silent = this.silent().map(({ name, seen }) =>
      ({ id: `silent ${name}`, critical: true, message: say.silent(name), when: seen === null ? '' : say.since(clock(seen)) }));
    const high = this.#alerts.map(({ id, type, message }) => {
      const { time, before } = this.#since.get(id) ?? { time: Date.now(), before: true };
      return { id, critical: type === 'critical', message: translate(message, language), when: before ? say.sinceBefore(clock(time)) : say.since(clock(time)) };
    });
    const losing = this.losing() ? [{ id: 'losing', critical: true, message: say.losingAlert, when: '' }] : [];
    const all = [...losing, ...silent, ...high].sort((one, other) => Number(other.critical) - Number(one.critical));
    entries(this.box, all.map(({ id, critical, message, when }) => ({
      key: id, kind: critical ? 'critical' : 'warning', parts: [critical ? say.critical : say.warning, message, ...(when === '' ? [] : [when])],
    })));
    this.none.hidden = all.length > 0;
  }
}
