//! The Carillons on the bus, each as it last told of itself.

import type { ServerState } from '../../../docs/reference/types';
import type { Texts } from './dashboard-texts';
import { fill } from './table';

/** Each tells of itself every five seconds: one that is silent for so long is marked, and later forgotten. */
const SILENT_MS = 12_000;
const FORGOTTEN_MS = 120_000;

/** The table. */
export class Servers {
  #known = new Map<string, { state: ServerState; heard: number }>();

  constructor(private readonly table: HTMLTableElement, private readonly say: Texts, private readonly number: Intl.NumberFormat, private readonly language: string) {}

  /** Takes what one of them says. */
  hear(state: ServerState): void {
    this.#known.set(state.id, { state, heard: Date.now() });
    this.draw();
  }

  /** Time passed while nothing could be heard: nobody is silent for that. */
  resume(): void {
    for (const one of this.#known.values()) one.heard = Date.now();
  }

  /** Brings what is shown up to date. */
  draw(): void {
    const now = Date.now();
    for (const [id, { heard }] of this.#known) if (now - heard > FORGOTTEN_MS) this.#known.delete(id);
    const { say } = this;
    const name = ({ host, pid }: ServerState) => `${host} (${pid})`;
    const all = [...this.#known.values()].sort((one, other) => (name(one.state) < name(other.state) ? -1 : 1));
    const heads = [say.server, say.state, say.connections, say.eventsIn, say.deliveries, say.lostCopies, say.started, say.version];
    fill(this.table, heads, all.map(({ state, heard }) => {
      const silent = now - heard > SILENT_MS;
      const figures = [state.connections, state.events_in, state.deliveries, state.lost].map((value) => this.number.format(value));
      const started = new Date(state.started).toLocaleString(this.language);
      return { bad: silent || state.status === 'unready' || state.lost > 0, cells: [name(state), silent ? say.silentServer : say[state.status], ...figures, started, state.version] };
    }));
  }
}
