//! The console of the page: lines with their time, the newest in view, and no more of them than a browser can bear.

/** How a line looks; the page's style sheet has a class of each name. */
export type Kind = 'info' | 'success' | 'error';

/** Lines kept; a busy bus would fill any browser in an afternoon. */
const KEPT = 500;
/** Characters kept of one line; a message may be a million of them long. */
const LONGEST = 100_000;

/** What the console says about itself. */
export interface Notices {
  cut(count: number): string;
  removed(count: number, kept: number): string;
}

/** The lines of the page. They are drawn once a frame, however many come, and while the page is hidden not at all. */
export class Lines {
  #waiting: HTMLElement[] = [];
  #removed = 0;
  #drawing = false;

  constructor(
    private readonly box: HTMLElement,
    private readonly note: HTMLElement,
    private readonly notices: Notices,
  ) {}

  /** Adds a line at the bottom. */
  add(text: string, kind: Kind): void {
    const line = document.createElement('div');
    line.className = `message ${kind}`;
    const over = text.length - LONGEST;
    line.textContent = `[${clock()}] ${over > 0 ? text.slice(0, LONGEST) + this.notices.cut(over) : text}`;
    this.#waiting.push(line);
    if (this.#waiting.length > KEPT) {
      this.#waiting.shift();
      this.#removed += 1;
    }
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => this.#draw());
  }

  /** Takes all lines away. */
  clear(): void {
    this.#waiting = [];
    this.#removed = 0;
    this.box.replaceChildren();
    this.note.hidden = true;
  }

  #draw(): void {
    this.#drawing = false;
    // Who has scrolled up to read something is left there.
    const below = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight;
    this.box.append(...this.#waiting.splice(0));
    while (this.box.childElementCount > KEPT) {
      this.box.firstElementChild?.remove();
      this.#removed += 1;
    }
    if (below < 40) this.box.scrollTop = this.box.scrollHeight;
    this.note.hidden = this.#removed === 0;
    if (this.#removed > 0) this.note.textContent = this.notices.removed(this.#removed, KEPT);
  }
}

/** The time of day as HH:MM:SS. */
function clock(): string {
  const now = new Date();
  return [now.getHours(), now.getMinutes(), now.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}
