//! Reads the Prometheus text format, just enough to compare counters with what clients counted.

const SERIES = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/** Every series of one scrape. */
export class Metrics {
  constructor(text, series) {
    this.text = text;
    this.series = series;
  }

  /** The series of a name whose labels include all of `labels`. */
  match(name, labels = {}) {
    return this.series.filter((one) => one.name === name
      && Object.entries(labels).every(([label, value]) => one.labels[label] === value));
  }

  /** The sum over those series; a series that does not exist counts as 0. */
  sum(name, labels = {}) {
    return this.match(name, labels).reduce((all, one) => all + one.value, 0);
  }

  /** The names of all series, without their values: what must not grow. */
  keys() {
    return this.series.map((one) => `${one.name}${JSON.stringify(one.labels)}`).sort();
  }
}

/** What the server said of all published copies when it stopped: `{ expected, delivered, slow, .. }`. */
export function lastLedger(server) {
  const [, words] = server.log.map((line) => /deliveries: (.*)/.exec(line)).find(Boolean) ?? [];
  if (!words) throw new Error(`the log has no ledger:\n${server.log.slice(-20).join('\n')}`);
  return Object.fromEntries([...words.matchAll(/(\w+) (\d+)/g)].map(([, word, count]) => [word, Number(count)]));
}

/** Parses one scrape, and fails on a line it does not understand. */
export function parseMetrics(text) {
  const series = [];
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const match = SERIES.exec(line);
    if (!match) throw new Error(`/metrics has a line that is no series: ${line}`);
    const labels = Object.fromEntries([...(match[2] ?? '').matchAll(LABEL)].map(([, name, value]) => [name, value]));
    series.push({ name: match[1], labels, value: Number(match[3]) });
  }
  return new Metrics(text, series);
}
