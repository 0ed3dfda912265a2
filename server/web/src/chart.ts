//! A chart of the last 15 minutes, with a legend that says its values in words.

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { made, write } from './elements';

/** Seconds shown. */
const SHOWN = 15 * 60;
/** Seconds a chart shows at least, however little is known. */
const SHORTEST = 60;
const HEIGHT = 180;

type Value = number | null;

/** What a chart shows. */
export interface Kind {
  title: string;
  /** The name of each line. */
  lines: string[];
  /** The top of the scale, where it is known. */
  top?: number;
  /** Not everybody measures it: hidden as long as nothing is known. */
  rare?: boolean;
}

/** One chart. Times are in milliseconds since 1970. */
export class Chart {
  #times: number[] = [];
  #columns: Value[][];
  #plot?: uPlot;
  readonly #figure = document.createElement('figure');
  readonly #box = document.createElement('div');
  readonly #values: HTMLElement[];

  constructor(parent: HTMLElement, private readonly kind: Kind, private readonly number: Intl.NumberFormat) {
    this.#columns = kind.lines.map(() => []);
    const caption = document.createElement('figcaption');
    const legend = document.createElement('ul');
    this.#values = kind.lines.map((name, at) => {
      const value = made('span', '', 'live');
      const item = document.createElement('li');
      item.append(made('span', '', `swatch line${at + 1}`), ` ${name} `, value);
      legend.append(item);
      return value;
    });
    caption.append(made('span', kind.title), legend);
    // The legend says what the picture shows.
    this.#box.setAttribute('aria-hidden', 'true');
    this.#figure.append(caption, this.#box);
    parent.append(this.#figure);
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(this.#box);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#make());
    document.addEventListener('visibilitychange', () => this.#draw());
    this.#make();
  }

  /** Forgets all points. */
  clear(): void {
    this.#times = [];
    this.#columns = this.#columns.map(() => []);
    this.#draw();
  }

  /** Puts the server's history in; what was there before its beginning stays, with a gap behind it. */
  history(times: number[], columns: Value[][]): void {
    const first = times[0];
    if (first === undefined) return;
    const seconds = times.map((time) => time / 1000);
    const kept = this.#times.filter((time) => time < first / 1000).length;
    const gap: Value[] = kept > 0 ? [null] : [];
    this.#times = [...this.#times.slice(0, kept), ...gap.map(() => first / 1000 - 0.001), ...seconds];
    this.#columns = this.#columns.map((column, at) => [...column.slice(0, kept), ...gap, ...(columns[at] ?? [])]);
    this.#draw();
  }

  /** Adds one point, unless a later one is there. */
  add(time: number, values: Value[]): void {
    if (time / 1000 <= (this.#times.at(-1) ?? 0)) return;
    this.#times.push(time / 1000);
    this.#columns.forEach((column, at) => column.push(values[at] ?? null));
    const old = this.#times.findIndex((one) => one >= time / 1000 - SHOWN);
    this.#times.splice(0, old);
    for (const column of this.#columns) column.splice(0, old);
    this.#draw();
  }

  #draw(): void {
    if (document.hidden) return;
    this.#plot?.setData([this.#times, ...this.#columns]);
    this.#tell(null);
    if (this.kind.rare) this.#figure.hidden = this.#columns.every((column) => column.every((value) => value === null));
    this.#figure.dataset.points = String(this.#times.length);
    this.#figure.dataset.since = new Date((this.#times[0] ?? 0) * 1000).toISOString();
  }

  /** Writes the values at a place into the legend; the newest for null. */
  #tell(at: number | null | undefined): void {
    this.#columns.forEach((column, line) => {
      const value = column[at ?? column.length - 1];
      const text = value == null ? '–' : this.number.format(value);
      write(this.#values[line], text);
    });
  }

  /** From when to when it shows. */
  #span(): [number, number] {
    const last = this.#times.at(-1) ?? Date.now() / 1000;
    return [Math.min(this.#times[0] ?? last, last - SHORTEST), last];
  }

  #size() {
    return { width: Math.max(this.#box.clientWidth, 120), height: HEIGHT };
  }

  /** Makes the picture, in the colours of the theme. */
  #make(): void {
    this.#plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name);
    const axis = { stroke: color('--faint'), grid: { stroke: color('--edge'), width: 1 }, ticks: { show: false } };
    this.#plot = new uPlot({
      ...this.#size(),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      scales: {
        x: { range: () => this.#span() },
        y: { range: (_, low, high) => [Math.min(low ?? 0, 0), this.kind.top ?? Math.max((high ?? 0) * 1.1, 1)] },
      },
      axes: [
        { ...axis, size: 32, space: 70, values: (_, ticks, __, ___, step) => ticks.map((tick) => clock(tick, step)) },
        { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => this.number.format(tick)) },
      ],
      series: [
        {},
        ...this.kind.lines.map((label, at) => ({
          label,
          stroke: color(`--line${at + 1}`),
          width: 2,
          // Not told apart by colour alone.
          dash: [[], [8, 4], [2, 3]][at] ?? [],
          points: { size: 4 },
        })),
      ],
      hooks: { setCursor: [(plot) => this.#tell(plot.cursor.idx)] },
    }, [this.#times, ...this.#columns], this.#box);
    this.#draw();
  }
}

/** The time of day, with seconds where the steps are shorter than a minute. */
function clock(seconds: number, step: number): string {
  return new Date(seconds * 1000).toTimeString().slice(0, step < 60 ? 8 : 5);
}
