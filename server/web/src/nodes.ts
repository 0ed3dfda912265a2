//! The nodes as a table that can be sorted and filtered; those that no longer answer are marked.

import type { Metrics } from '../../../docs/reference/types';
import type { Texts } from './dashboard-texts';
import { write } from './elements';

/** Above these a value is marked, as the server's alerts do. */
const HIGH = { cpu: 90, memory: 90, disk: 90, temperature: 80 };
/** A node is silent when it was missing for so many rounds, and for so many milliseconds at least. */
const ROUNDS = 3;
const SHORTEST_MS = 15_000;

type Column = 'node' | 'state' | 'cpu' | 'memory' | 'disk' | 'temperature' | 'seen';
const COLUMNS: Column[] = ['node', 'state', 'cpu', 'memory', 'disk', 'temperature', 'seen'];

interface Row {
  name: string;
  values: Record<'cpu' | 'memory' | 'disk' | 'temperature', number | null>;
  /** When it answered last, by this computer's clock. */
  seen: number | null;
  /** It was not in the last round. */
  missing: boolean;
  since: number;
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
    private readonly none: HTMLElement,
    private readonly say: Texts,
    private readonly number: Intl.NumberFormat,
    /** Told which node somebody wants to see from near. */
    private readonly pick: (name: string) => void,
  ) {
    for (const column of COLUMNS) {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = say[column];
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
    for (const row of this.#rows.values()) {
      const missing = !(row.name in nodes);
      if (missing && !row.missing) row.since = now;
      row.missing = missing;
    }
    for (const [name, measured] of Object.entries(nodes)) {
      const row = this.#rows.get(name) ?? this.#add(name);
      row.missing = false;
      row.seen = now;
      row.values = {
        cpu: measured.cpu_usage ?? null,
        memory: measured.memory_usage ?? null,
        disk: measured.disk_usage ?? null,
        temperature: measured.temperature ?? null,
      };
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

  /** The nodes that answered once and no longer do, and since when. */
  silent(): { name: string; since: number }[] {
    return [...this.#rows.values()].filter((row) => this.#state(row) === 'stale').map(({ name, since }) => ({ name, since }));
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
    const values = { cpu: null, memory: null, disk: null, temperature: null };
    const row: Row = { name, values, seen: null, missing: this.#lastRound > 0, since: Date.now(), line, cells };
    this.#rows.set(name, row);
    return row;
  }

  #state(row: Row): 'answers' | 'stale' | 'never' {
    const late = Math.max(ROUNDS * this.#pause, SHORTEST_MS);
    const quiet = this.#lastRound > 0 && Date.now() - this.#lastRound > late;
    if (row.missing || (quiet && row.seen !== null)) return 'stale';
    return row.seen === null ? 'never' : 'answers';
  }

  #show(row: Row, now: number): void {
    const state = this.#state(row);
    const { cpu, memory, disk, temperature } = row.values;
    const texts = [
      row.name,
      this.say[state],
      this.#with(cpu, ' %'),
      this.#with(memory, ' %'),
      this.#with(disk, ' %'),
      this.#with(temperature, ' °C'),
      row.seen === null ? '–' : this.#with(Math.round((now - row.seen) / 1000), ' s'),
    ];
    texts.forEach((text, at) => {
      const cell = row.cells[at];
      write(cell, text);
      const column = COLUMNS[at] as keyof typeof HIGH;
      cell?.classList.toggle('high', column in HIGH && (row.values[column] ?? 0) > HIGH[column]);
    });
    row.line.className = state;
    row.line.hidden = !`${row.name} ${this.say[state]}`.toLowerCase().includes(this.#filter);
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
      : column === 'seen' ? -(row.seen ?? 0)
      : row.values[column];
    const [a, b] = [key(one), key(other)];
    // What is not known stands last, whatever the order.
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    const order = typeof a === 'number' && typeof b === 'number' ? a - b : this.#compare.compare(String(a), String(b));
    return (down ? -order : order) || this.#compare.compare(one.name, other.name);
  }
}
