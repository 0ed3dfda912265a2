//! One node from near: its own charts of the last 15 minutes.

import type { Metrics, UseHistory } from '../../../docs/reference/types';
import { Chart } from './chart';
import type { Texts } from './dashboard-texts';

/** The panel, closed until a node is picked. */
export class NodePanel {
  #name?: string;
  /** The last round: the server may not have remembered it yet. */
  #last?: { time: number; nodes: Record<string, Partial<Metrics>> };
  readonly #use: Chart;
  readonly #temperature: Chart;

  constructor(
    private readonly box: HTMLElement,
    private readonly title: HTMLElement,
    charts: HTMLElement,
    say: Texts,
    number: Intl.NumberFormat,
    private readonly ask: (name: string) => Promise<UseHistory | undefined>,
  ) {
    this.#use = new Chart(charts, { title: say.useOfNode, lines: [say.cpu, say.memory, say.disk], top: 100 }, number);
    this.#temperature = new Chart(charts, { title: say.temperatureOfNode, lines: [say.temperature], rare: true }, number);
  }

  /** The node that is shown. */
  get name(): string | undefined {
    return this.#name;
  }

  /** Shows a node, or nothing where it is shown already. */
  pick(name: string): void {
    this.#name = this.#name === name ? undefined : name;
    this.box.hidden = this.#name === undefined;
    this.title.textContent = this.#name ?? '';
    for (const chart of [this.#use, this.#temperature]) chart.clear();
    void this.load();
  }

  /** Asks for what happened before. */
  async load(): Promise<void> {
    const name = this.#name;
    if (name === undefined) return;
    const known = await this.ask(name);
    // Somebody may have picked another one meanwhile.
    if (!known || this.#name !== name) return;
    this.#use.history(known.time, [known.cpu, known.memory, known.disk]);
    this.#temperature.history(known.time, [known.temperature]);
    if (this.#last) this.add(this.#last.time, this.#last.nodes);
  }

  /** Adds what a round measured. */
  add(time: number, nodes: Record<string, Partial<Metrics>>): void {
    this.#last = { time, nodes };
    if (this.#name === undefined) return;
    const measured = nodes[this.#name];
    this.#use.add(time, [measured?.cpu_usage ?? null, measured?.memory_usage ?? null, measured?.disk_usage ?? null]);
    this.#temperature.add(time, [measured?.temperature ?? null]);
  }
}
