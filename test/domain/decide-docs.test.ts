import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { findingsOf, judgeAlert } from '../../domain/decide/monitoring.js';
import { judge } from '../../domain/decide/promotion.js';
import type { Metrics } from '../../domain/evaluation.js';
import { instant } from '../../domain/instants.js';
import { metricNames, ModelSpec, MonitorSpec, MonitorTest, Resource } from '../../domain/resources.js';

/** What docs/evaluation.md and docs/monitoring.md show is what the code takes and says. */

const read = (name: string) => readFileSync(new URL(`../../docs/${name}.md`, import.meta.url), 'utf8');
const blocks = (name: string, language: string) =>
  [...read(name).matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, block]) => block ?? '');
const resources = (name: string) =>
  blocks(name, 'yaml').flatMap((block) => parseAllDocuments(block).map((document) => Resource.parse(document.toJS())));
const specOf = (name: string, kind: Resource['kind']): unknown =>
  resources(name).find((resource) => resource.kind === kind)?.spec;

test.each(['evaluation', 'monitoring'])('the resources in docs/%s.md can be applied', (name) =>
  expect(resources(name)).not.toHaveLength(0),
);

const metrics = (log_loss: number, auc: number, calibration_gap: number): Metrics => ({
  rows: 1000, positives: 200, auc, log_loss, brier: 0.1, calibration_gap, calibration_error: 0.02,
}); // prettier-ignore

test('the verdict in docs/evaluation.md is what its gates say', () => {
  const { gates } = ModelSpec.parse(specOf('evaluation', 'Model'));
  const { verdict, reasons } = judge(metrics(0.3488, 0.7012, 0.0121), metrics(0.3535, 0.7049, 0.0362), gates);
  expect(blocks('evaluation', 'text')).toEqual([`${[verdict, ...reasons].join('\n')}\n`]);
});

test('the reasons in docs/monitoring.md are what its tests say', () => {
  const { tests } = MonitorSpec.parse(specOf('monitoring', 'Monitor'));
  const weeks = ['2001-04-30', '2001-04-23', '2001-04-16'].map((start) => ({
    start: instant(start),
    end: instant(start),
  }));
  const recent = [0.0353, 0.0481, 0.014].map((gap, age) => {
    const window = weeks[age] ?? { start: instant('2001-04-09'), end: instant('2001-04-16') };
    const drift = age === 0 ? [{ column: 'distance', psi: 0.2513, nullShare: 0 }] : [];
    return { window, findings: findingsOf(tests, { window, version: 1, drift, metrics: metrics(0.35, 0.7, gap) }) };
  });
  const { reasons } = judgeAlert({ tests, recent, open: null });
  expect(blocks('monitoring', 'text')).toEqual([`${reasons.join('\n')}\n`]);
});

test('every metric and every test is explained', () => {
  for (const name of metricNames) expect(read('evaluation')).toContain(`| \`${name}\` |`);
  for (const { shape } of MonitorTest.options) expect(read('monitoring')).toContain(`| \`${shape.test.value}\` |`);
});
