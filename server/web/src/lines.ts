//! The console of the page: lines with their time, the newest in view, and no more of them than a browser can bear.

import { made } from './elements';

/** How a line looks; the page's style sheet has a class of each name. */
export type Kind = 'info' | 'success' | 'error';

/** Lines kept; a busy bus would fill any browser in an afternoon. */
const KEPT = 500;
/** Characters kept of one line; a message may be a million of them long. */
const LONGEST = 100_000;
/** Of how many of the newest lines one may be the same message under another name. */
const NEWEST = 10;
/** When more lines than this wait for a frame, nobody can read them: they are drawn every so many milliseconds. */
const MANY = 20;
const BUSY_MS = 400;
/** Fields that say when: messages that differ in nothing else are repeats. */
const TIMES = new Set(['timestamp', 'last_check', 'last_update']);

/** What the console says about itself. */
export interface Notices {
  cut(count: number): string;
  removed(count: number, kept: number): string;
  /** How many lines wait while the console is paused. */
  waiting(count: number): void;
}

/** One line: a sentence of the page's own, or a message under the names it came by, as often as it came. */
interface Line {
  time: string;
  kind: Kind;
  /** The names a message came by, each with how often it did; none for a sentence. */
  names: Map<string, number>;
  text: string;
  /** The message without its times. */
  timeless: string;
  element?: HTMLElement;
}

/**
 * The lines of the page. They are drawn once a frame, less often when many come, and while the page is hidden or paused not at
 * all. A message that repeats the last one of its name, but for the time, and one that came by another name a moment
 * ago, get no line of their own: the line that is there tells it.
 */
export class Lines {
  /** Lines that are not drawn as they are now, in the order of their last change. */
  #changed = new Set<Line>();
  /** The last line of each name. */
  #last = new Map<string, Line>();
  #newest: Line[] = [];
  #removed = 0;
  #drawing = false;
  /** The last frame had more lines than anybody can read. */
  #busy = false;
  #paused = false;
  #shows: (names: string[], text: string) => boolean = () => true;

  constructor(
    private readonly box: HTMLElement,
    private readonly note: HTMLElement,
    private readonly notices: Notices,
  ) {}

  /** Adds a sentence at the bottom. */
  add(text: string, kind: Kind): void {
    this.#change({ time: clock(), kind, names: new Map(), text, timeless: '' });
  }

  /** Shows a message that came by `name`. */
  message(name: string, text: string, data: unknown, kind: Kind): void {
    const timeless = String(JSON.stringify(data, (key, value) => (TIMES.has(key) ? undefined : value)));
    const last = this.#last.get(name);
    const twin = this.#newest.find((line) => line.text === text && line.names.size > 0 && !line.names.has(name));
    const line = last?.timeless === timeless ? last : twin ?? { time: '', kind, names: new Map(), text, timeless };
    line.time = clock();
    line.text = text;
    line.names.set(name, (line.names.get(name) ?? 0) + 1);
    if (line === twin && kind === 'error') line.kind = kind;
    this.#last.set(name, line);
    this.#change(line);
  }

  /** Draws nothing until it is resumed. */
  pause(): void {
    this.#paused = true;
  }

  /** Draws what came meanwhile, and goes on. */
  resume(): void {
    this.#paused = false;
    this.#drawSoon();
  }

  /** Shows only lines that pass, of those that are there and of those to come. */
  filter(shows: (names: string[], text: string) => boolean): void {
    this.#shows = shows;
    for (const element of this.box.children) {
      const line = drawn.get(element);
      if (line) this.#hide(line);
    }
  }

  /** The lines that are shown, as text. */
  shown(): string[] {
    return [...this.box.children].filter((element) => !(element as HTMLElement).hidden).map(({ textContent }) => textContent ?? '');
  }

  /** Takes all lines away. */
  clear(): void {
    this.#changed.clear();
    this.#last.clear();
    this.#newest = [];
    this.#removed = 0;
    this.box.replaceChildren();
    this.note.hidden = true;
    this.notices.waiting(0);
  }

  #change(line: Line): void {
    this.#changed.delete(line);
    this.#changed.add(line);
    this.#newest = [...this.#newest.filter((other) => other !== line), line].slice(-NEWEST);
    if (this.#changed.size > KEPT) {
      for (const oldest of this.#changed) {
        if (oldest.element !== undefined) continue;
        this.#forget(oldest);
        break;
      }
    }
    this.#drawSoon();
  }

  #forget(line: Line): void {
    this.#changed.delete(line);
    this.#removed += 1;
    for (const [name, last] of this.#last) if (last === line) this.#last.delete(name);
    line.element?.remove();
  }

  #drawSoon(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    const frame = () => requestAnimationFrame(() => this.#draw());
    if (this.#busy) setTimeout(frame, BUSY_MS);
    else frame();
  }

  #draw(): void {
    this.#drawing = false;
    this.#busy = this.#changed.size > MANY;
    this.notices.waiting(this.#paused ? this.#changed.size : 0);
    if (this.#paused) return;
    // Who has scrolled up to read something is left there.
    const below = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight;
    for (const line of this.#changed) this.box.append(this.#element(line));
    this.#changed.clear();
    while (this.box.childElementCount > KEPT) {
      const oldest = drawn.get(this.box.firstElementChild!);
      if (oldest) this.#forget(oldest);
    }
    if (below < 40) this.box.scrollTop = this.box.scrollHeight;
    this.note.hidden = this.#removed === 0;
    if (this.#removed > 0) this.note.textContent = this.notices.removed(this.#removed, KEPT);
  }

  #element(line: Line): HTMLElement {
    const element = line.element ?? document.createElement('div');
    line.element = element;
    drawn.set(element, line);
    element.className = `message ${line.kind}`;
    const over = line.text.length - LONGEST;
    const text = over > 0 ? line.text.slice(0, LONGEST) + this.notices.cut(over) : line.text;
    const names = [...line.names.keys()].flatMap((name, at) => [at > 0 ? ' = ' : '', made('span', name, 'name')]);
    const times = Math.max(...line.names.values());
    const repeats = times > 1 ? [' ', made('span', `×${times}`, 'repeats')] : [];
    element.replaceChildren(`[${line.time}] `, ...names, ...repeats, names.length > 0 ? ': ' : '', made('span', text, 'text'));
    this.#hide(line);
    return element;
  }

  #hide(line: Line): void {
    if (line.element) line.element.hidden = !this.#shows([...line.names.keys()], line.text);
  }
}

/** The line that an element shows. */
const drawn = new WeakMap<Element, Line>();

/** The time of day as HH:MM:SS. */
function clock(): string {
  const now = new Date();
  return [now.getHours(), now.getMinutes(), now.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}
