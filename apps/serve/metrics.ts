/** Numbers in the Prometheus text format, kept in plain maps: a handful of series, read every few seconds. */

export type Labels = Readonly<Record<string, string | number>>;

interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

/** A family whose samples are computed when somebody asks. */
export interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: () => readonly Sample[];
}

/** Upper bounds in seconds; dense where the promise lies (5 ms). */
const bounds = [0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];

interface Histogram {
  readonly labels: Labels;
  readonly counts: number[];
  sum: number;
  count: number;
}

export interface RequestMetrics {
  /** `outcome` is `ok` or an error code. */
  answered(labels: Labels, outcome: string, rows: number, seconds: number): void;
  text(families: readonly Family[]): string;
}

export function createRequestMetrics(): RequestMetrics {
  const requests = new Map<string, { labels: Labels; value: number }>();
  const rowsTotal = new Map<string, { labels: Labels; value: number }>();
  const durations = new Map<string, Histogram>();

  const families: Family[] = [
    {
      name: 'eider_inference_requests_total',
      type: 'counter',
      help: 'Inference requests by outcome: ok or an error code.',
      samples: () => [...requests.values()],
    },
    {
      name: 'eider_inference_rows_total',
      type: 'counter',
      help: 'Rows that were answered.',
      samples: () => [...rowsTotal.values()],
    },
  ];

  return {
    answered(labels, outcome, rows, seconds) {
      add(requests, { ...labels, outcome }, 1);
      if (rows > 0) add(rowsTotal, labels, rows);
      observe(durations, labels, seconds);
    },
    text: (more) => [...families, ...more].map(familyText).join('') + histogramText(durations),
  };
}

function add(series: Map<string, { labels: Labels; value: number }>, labels: Labels, amount: number): void {
  const key = labelText(labels);
  const sample = series.get(key);
  if (sample) sample.value += amount;
  else series.set(key, { labels, value: amount });
}

function observe(series: Map<string, Histogram>, labels: Labels, seconds: number): void {
  const key = labelText(labels);
  const histogram = series.get(key) ?? { labels, counts: bounds.map(() => 0), sum: 0, count: 0 };
  series.set(key, histogram);
  const bucket = bounds.findIndex((bound) => seconds <= bound);
  if (bucket >= 0) histogram.counts[bucket] = (histogram.counts[bucket] ?? 0) + 1;
  histogram.sum += seconds;
  histogram.count++;
}

const heading = (name: string, type: string, help: string): string =>
  `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;

const familyText = ({ name, type, help, samples }: Family): string =>
  heading(name, type, help) +
  samples()
    .map(({ labels, value }) => `${name}${labelText(labels)} ${value}\n`)
    .join('');

function histogramText(series: ReadonlyMap<string, Histogram>): string {
  const name = 'eider_inference_duration_seconds';
  let text = heading(name, 'histogram', 'From the request read to the answer ready, inference log included.');
  for (const { labels, counts, sum, count } of series.values()) {
    let cumulative = 0;
    bounds.forEach((bound, bucket) => {
      cumulative += counts[bucket] ?? 0;
      text += `${name}_bucket${labelText({ ...labels, le: bound })} ${cumulative}\n`;
    });
    text += `${name}_bucket${labelText({ ...labels, le: '+Inf' })} ${count}\n`;
    text += `${name}_sum${labelText(labels)} ${sum}\n${name}_count${labelText(labels)} ${count}\n`;
  }
  return text;
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(String(value))}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

const escapeLabel = (value: string): string =>
  value.replace(/[\\"\n]/g, (found) => (found === '\n' ? '\\n' : `\\${found}`));
