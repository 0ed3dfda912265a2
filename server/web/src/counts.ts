//! How often each event came, beside a box that hides its lines.

import { made } from './elements';

/** The counts of the page, one row for each name in the order they first came. */
export class Counts {
  #rows = new Map<string, { count: number; shown: HTMLInputElement; number: HTMLElement }>();
  #drawing = false;

  /** `changed` is called when somebody hides or shows a name. */
  constructor(
    private readonly list: HTMLElement,
    private readonly format: Intl.NumberFormat,
    private readonly changed: () => void,
  ) {}

  /** Counts one message. */
  count(name: string): void {
    const row = this.#rows.get(name) ?? this.#add(name);
    row.count += 1;
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      for (const { count, number } of this.#rows.values()) number.textContent = this.format.format(count);
    });
  }

  /** Whether a line with these names is to be shown: one of them is, or it has none. */
  shows(names: string[]): boolean {
    return names.length === 0 || names.some((name) => this.#rows.get(name)?.shown.checked ?? true);
  }

  /** Counts from 0 again. What is hidden stays hidden. */
  clear(): void {
    for (const row of this.#rows.values()) {
      row.count = 0;
      row.number.textContent = this.format.format(0);
    }
  }

  #add(name: string) {
    const shown = document.createElement('input');
    shown.type = 'checkbox';
    shown.checked = true;
    shown.addEventListener('change', this.changed);
    const number = made('span', '', 'number');
    const label = document.createElement('label');
    label.append(shown, ` ${name} `, number);
    const item = document.createElement('li');
    item.append(label);
    this.list.append(item);
    const row = { count: 0, shown, number };
    this.#rows.set(name, row);
    return row;
  }
}
