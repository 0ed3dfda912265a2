//! Whether clients are being lost, in a word that can be read from afar.

import type { Slow } from '../../../docs/reference/types';
import type { Texts } from './dashboard-texts';
import { badge, write } from './elements';

/** How long a loss is remembered, and how long it is news, in milliseconds. */
const REMEMBERED = 15 * 60_000;
const NEWS = 60_000;

/** What was lost in one second. */
interface Loss { time: number; copies: number }

/** The badge and the sentence beside it. Times are the server's. */
export class Losses {
  #losses: Loss[] = [];
  #closed?: number;
  /** Whether something was lost in the last minute. */
  news = false;

  constructor(private readonly badge: HTMLElement, private readonly detail: HTMLElement, private readonly say: Texts, private readonly number: Intl.NumberFormat) {}

  /** What was lost before this page was opened, in copies a second. */
  history(times: number[], lost: number[]): void {
    const first = times[0] ?? Infinity;
    const before = this.#losses.filter(({ time }) => time < first);
    this.#losses = [...before, ...times.map((time, at) => ({ time, copies: lost[at] ?? 0 })).filter(({ copies }) => copies > 0)];
    // Another process may have begun meanwhile.
    this.#closed = undefined;
  }

  /** What was lost in the last second. */
  add(now: number, lost: number, slow: Slow): void {
    const closed = slow.closed - (this.#closed ?? slow.closed);
    this.#closed = slow.closed;
    if (lost > 0 || closed > 0) this.#losses.push({ time: now, copies: lost });
    this.#losses = this.#losses.filter(({ time }) => time > now - REMEMBERED);
    const { say, number } = this;
    this.news = this.#losses.some(({ time }) => time > now - NEWS);
    const [kind, word] = this.news ? ['critical', say.losing] : this.#losses.length > 0 ? ['warning', say.haveLost] : ['healthy', say.noneLost];
    badge(this.badge, kind, word);
    const copies = this.#losses.reduce((sum, loss) => sum + loss.copies, 0);
    const text = say.losses(number.format(Math.round(copies)), number.format(slow.closed));
    write(this.detail, text);
  }
}
