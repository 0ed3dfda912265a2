//! What the router does, as figures and two tables.

import type { RouterState } from '../../../docs/reference/types';
import type { Texts } from './dashboard-texts';
import { made, write } from './elements';
import { fill } from './table';

/** The panel. Its elements are made once, so that a reader can select what they say. */
export class RouterPanel {
  #figures = new Map<string, HTMLElement>();

  constructor(
    private readonly list: HTMLElement,
    private readonly clients: HTMLTableElement,
    private readonly plugins: HTMLTableElement,
    private readonly say: Texts,
    private readonly number: Intl.NumberFormat,
    private readonly language: string,
  ) {}

  show(state: RouterState): void {
    const { say, number } = this;
    const format = (value: number) => number.format(value);
    const { slow, queues, bus } = state;
    this.#figure(say.connections, format(state.connections));
    this.#figure(say.eventsInRate, format(state.events_in));
    this.#figure(say.deliveriesRate, format(state.deliveries));
    this.#figure(say.lostRate, format(state.lost), state.lost > 0);
    this.#figure(say.fanouts, state.fanout_ms == null ? '–' : format(state.fanout_ms));
    this.#figure(say.queue, `${format(queues.publishes)} (${format(queues.bytes / 1000)} kB)`);
    this.#figure(say.handlers, format(queues.handlers));
    this.#figure(say.slowClosed, format(slow.closed));
    this.#figure(say.slowLost, format(slow.lost));
    this.#figure(say.pauses, format(slow.read_pauses));
    this.#figure(say.bus, `${bus.kind}, ${bus.up ? say.up : say.down} (${bus.detail})`, !bus.up);
    this.#figure(say.started, new Date(state.started).toLocaleString(this.language));
    this.#figure(say.version, state.version);
    fill(this.clients, ['namespace', 'WebSocket', 'polling'], state.clients.map(({ namespace, websocket, polling }) =>
      ({ bad: false, cells: [namespace, format(websocket), format(polling)] })));
    fill(this.plugins, [say.plugin, say.state, say.restarts], state.plugins.map(({ name, up, restarts }) =>
      ({ bad: !up, cells: [name, up ? say.running : say.failed, format(restarts)] })));
  }

  #figure(name: string, text: string, bad = false): void {
    let value = this.#figures.get(name);
    if (!value) {
      value = document.createElement('dd');
      const pair = document.createElement('div');
      pair.append(made('dt', name), value);
      this.list.append(pair);
      this.#figures.set(name, value);
    }
    write(value, text);
    value.classList.toggle('high', bad);
  }
}
