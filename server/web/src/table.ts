//! A plain table that is written again and again.

import { made, write } from './elements';

/** One row; a bad one is marked. */
export interface Row { bad: boolean; cells: string[] }

/** Writes rows into a table; what stays the same is left alone, so that a reader can select it. */
export function fill(table: HTMLTableElement, heads: string[], rows: Row[]): void {
  if (!table.tHead) {
    const head = table.createTHead().insertRow();
    for (const text of heads) {
      const cell = made('th', text);
      cell.scope = 'col';
      head.append(cell);
    }
  }
  const body = table.tBodies[0] ?? table.createTBody();
  body.className = 'live';
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach(({ bad, cells }, at) => {
    const line = body.rows[at] ?? body.insertRow();
    line.classList.toggle('high', bad);
    cells.forEach((text, column) => {
      let cell = line.cells[column];
      if (!cell) {
        cell = document.createElement(column === 0 ? 'th' : 'td');
        if (column === 0) cell.scope = 'row';
        line.append(cell);
      }
      write(cell, text);
    });
  });
}
