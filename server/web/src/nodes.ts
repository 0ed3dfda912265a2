//! The nodes as a table that can be sorted and filtered; those that no longer answer are marked.

import type { Metrics } from '../../../docs/reference/types';
import type { Silent } from './alerts';
import type { Texts } from './dashboard-texts';
import { made, write } from './elements';

/** Above these a value is marked, as the server's alerts do. */
const HIGH = { cpu: 90, memory: 90, disk: 90, temperature: 80 };
/** A node is silent when it was missing for so many rounds, and for so many milliseconds at least. */
const ROUNDS = 3;
const SHORTEST_MS = 15_000;

type Column = 'node' | 'state' | 'cpu' | 'memory' | 'disk' | 'temperature' | 'seen';
const COLUMNS: Column[] = ['node', 'state', 'cpu', 'memory', 'disk', 'temperature', 'seen'];

const UNKNOWN = { cpu: null, memory: null, disk: null, temperature: null };

interface Row {
  name: string;
  values: Record<'cpu' | 'memory' | 'disk' | 'temperature', number | null>;
  /** When it answered last, by this computer's clock; null when nobody knows. */
  seen: number | null;
  /** Whether it was in any round this page heard of. */
  answered: boolean;
  /** It was not in the last round. */
  missing: boolean;
  line: HTMLTableRowElement;
  /** What holds the text of each cell; the first is a button. */
  cells: HTMLElement[];
}

/** The table. */
export class Nodes {
  #rows = new Map<string, Row>();
  #sorted: { column: Column; down: boolean } = { column: 'node', down: false };
  #filter = '';
  #lastRound = 0;
  #pause = 5_000;
  readonly #heads = new Map<Column, HTMLElement>();
  readonly #compare = new Intl.Collator(undefined, { numeric: true });

  constructor(
    private readonly table: HTMLTableElement,
    private readonly some: HTMLElement,
    private readonly none: HTMLElement,
    private readonly say: Texts,
    private readonly number: Intl.NumberFormat,
    /** Told which node somebody wants to see from near. */
    private readonly pick: (name: string) => void,
  ) {
    for (const column of COLUMNS) {
      const button = made('button', say[column]);
      button.type = 'button';
      button.addEventListener('click', () => this.#sort(column));
      const head = document.createElement('th');
      head.scope = 'col';
      head.append(button);
      this.#heads.set(column, head);
      table.tHead?.rows[0]?.append(head);
    }
    this.#heads.get('node')?.setAttribute('aria-sort', 'ascending');
  }

  get size(): number {
    return this.#rows.size;
  }

  /** The names of all nodes there are; others are forgotten. */
  know(names: string[]): void {
    for (const name of names) if (!this.#rows.has(name)) this.#add(name);
    for (const [name, row] of this.#rows) {
      if (names.includes(name)) continue;
      row.line.remove();
      this.#rows.delete(name);
    }
    this.draw();
  }

  /** What one round measured; `live` is false for one that was measured before this page asked. */
  round(nodes: Record<string, Partial<Metrics>>, live: boolean): void {
    const now = Date.now();
    if (live && this.#lastRound > 0) this.#pause = now - this.#lastRound;
    this.#lastRound = now;
    for (const row of this.#rows.values()) row.missing = !(row.name in nodes);
    for (const [name, measured] of Object.entries(nodes)) {
      const row = this.#rows.get(name) ?? this.#add(name);
      row.missing = false;
      row.answered = true;
      // What was measured before this page asked may be old: the server's history tells when it was.
      if (live) row.seen = now;
      row.values = {
        cpu: measured.cpu_usage ?? null,
        memory: measured.memory_usage ?? null,
        disk: measured.disk_usage ?? null,
        temperature: measured.temperature ?? null,
      };
    }
    this.draw();
  }

  /** When nodes answered last, as far as the server remembers. */
  remember(times: Record<string, number>): void {
    for (const [name, time] of Object.entries(times)) {
      const row = this.#rows.get(name);
      if (row) row.seen = Math.max(row.seen ?? 0, time);
    }
    this.draw();
  }

  /** Time passed while nothing could be heard: nobody is silent for that. */
  resume(): void {
    this.#lastRound = 0;
  }

  /** Shows the nodes whose name or state holds a text. */
  filter(text: string): void {
    this.#filter = text.trim().toLowerCase();
    this.draw();
  }

  /** Marks the node that is shown from near, if any. */
  mark(name: string | undefined): void {
    for (const row of this.#rows.values()) row.cells[0]?.setAttribute('aria-pressed', String(row.name === name));
  }

  /** The nodes that do not answer, and when they did last. */
  silent(): Silent[] {
    return [...this.#rows.values()].filter((row) => this.#state(row) === 'stale').map(({ name, seen }) => ({ name, seen }));
  }

  /** Brings what is shown up to date. */
  draw(): void {
    const now = Date.now();
    for (const row of this.#rows.values()) this.#show(row, now);
    const body = this.table.tBodies[0];
    const rows = [...this.#rows.values()].sort((one, other) => this.#order(one, other));
    // Moving a row that is in its place already would cost the reader their selection.
    rows.forEach((row, at) => { if (body?.rows[at] !== row.line) body?.insertBefore(row.line, body.rows[at] ?? null); });
    this.none.hidden = this.#rows.size > 0;
    this.some.hidden = this.#rows.size === 0;
  }

  #add(name: string): Row {
    const line = document.createElement('tr');
    const cells = COLUMNS.map((_, at) => {
      const cell = document.createElement(at === 0 ? 'th' : 'td');
      line.append(cell);
      if (at > 0) return cell;
      cell.setAttribute('scope', 'row');
      const button = document.createElement('button');
      button.type = 'button';
      button.setAttribute('aria-pressed', 'false');
      button.addEventListener('click', () => this.pick(name));
      cell.append(button);
      return button;
    });
    const row: Row = { name, values: UNKNOWN, seen: null, answered: false, missing: this.#lastRound > 0, line, cells };
    this.#rows.set(name, row);
    return row;
  }

  #state(row: Row): 'answers' | 'stale' | 'never' {
    const late = Math.max(ROUNDS * this.#pause, SHORTEST_MS);
    const old = (time: number) => Date.now() - time > late;
    if (row.missing) return 'stale';
    if (row.answered) return this.#lastRound > 0 && old(this.#lastRound) ? 'stale' : 'answers';
    return row.seen !== null && old(row.seen) ? 'stale' : 'never';
  }

  /** What is so now: nothing is known of a node that does not answer. */
  #values(row: Row, state = this.#state(row)): Row['values'] {
    return state === 'answers' ? row.values : UNKNOWN;
  }

  #show(row: Row, now: number): void {
    const state = this.#state(row);
    const values = this.#values(row, state);
    const texts = [
      row.name,
      this.say[state],
      this.#with(values.cpu, ' %'),
      this.#with(values.memory, ' %'),
      this.#with(values.disk, ' %'),
      this.#with(values.temperature, ' °C'),
      row.seen === null ? '–' : this.#age(now - row.seen),
    ];
    texts.forEach((text, at) => {
      const cell = row.cells[at];
      write(cell, text);
      const column = COLUMNS[at] as keyof typeof HIGH;
      cell?.classList.toggle('high', column in HIGH && (values[column] ?? 0) > HIGH[column]);
    });
    row.line.className = state;
    row.line.hidden = !`${row.name} ${this.say[state]}`.toLowerCase().includes(this.#filter);
  }

  #age(ms: number): string {
    const seconds = Math.max(Math.round(ms / 1000), 0);
    return seconds < 120 ? `${seconds} s` : `${this.number.format(Math.floor(seconds / 60))} min`;
  }

  #with(value: number | null, unit: string): string {
    return value === null ? '–' : this.number.format(value) + unit;
  }

  #sort(column: Column): void {
    const down = this.#sorted.column === column && !this.#sorted.down;
    this.#sorted = { column, down };
    for (const [of, head] of this.#heads) {
      if (of === column) head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      else head.removeAttribute('aria-sort');
    }
    this.draw();
  }

  #order(one: Row, other: Row): number {
    const { column, down } = this.#sorted;
    const key = (row: Row) =>
      column === 'node' ? row.name
      : column === 'state' ? this.#state(row)
      : column === 'seen' ? (row.seen === null ? null : -row.seen)
      : this.#values(row)[column];
    const [a, b] = [key(one), key(other)];
    // What is not known stands last, whatever the order.
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    const order = typeof a === 'number' && typeof b === 'number' ? a - b : this.#compare.compare(String(a), String(b));
    return (down ? -order : order) || this.#compare.compare(one.name, other.name);
  }
}
