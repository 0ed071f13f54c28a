import type { FastifyInstance } from 'fastify';

/** Upper bounds of the latency histogram's buckets, in seconds. */
const bucketsSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

interface Series {
  requests: Map<number, number>;
  buckets: number[];
  seconds: number;
}

/** Counts requests by route and status, and their time; answers in Prometheus's text format. */
export class Metrics {
  /** By method and route pattern, never by address: as many series as there are routes. */
  private readonly series = new Map<string, Series>();

  /** Counts every request that the server answers. */
  observe(server: FastifyInstance): void {
    server.addHook('onResponse', async (request, reply) => {
      const route = request.routeOptions.url ?? 'unknown';
      this.count(`method="${request.method}",route="${route}"`, reply.statusCode, reply.elapsedTime / 1000);
    });
  }

  private count(labels: string, status: number, seconds: number): void {
    const series = this.series.get(labels) ?? { requests: new Map(), buckets: bucketsSeconds.map(() => 0), seconds: 0 };
    this.series.set(labels, series);
    series.requests.set(status, (series.requests.get(status) ?? 0) + 1);
    series.seconds += seconds;
    const bucket = bucketsSeconds.findIndex((bound) => seconds <= bound);
    if (bucket >= 0) series.buckets[bucket] = (series.buckets[bucket] ?? 0) + 1;
  }

  text(): string {
    const requests = [...this.series].flatMap(([labels, { requests }]) =>
      [...requests].map(([status, count]) => `eider_api_requests_total{${labels},status="${status}"} ${count}`),
    );
    return [
      '# HELP eider_api_requests_total Requests answered, by route and status.',
      '# TYPE eider_api_requests_total counter',
      ...requests,
      '# HELP eider_api_request_seconds Time from the request to the end of its answer.',
      '# TYPE eider_api_request_seconds histogram',
      ...[...this.series].flatMap(([labels, series]) => histogram(labels, series)),
      '# HELP process_resident_memory_bytes Resident memory of the process.',
      '# TYPE process_resident_memory_bytes gauge',
      `process_resident_memory_bytes ${process.memoryUsage.rss()}`,
      '',
    ].join('\n');
  }
}

function histogram(labels: string, { requests, buckets, seconds }: Series): string[] {
  const total = [...requests.values()].reduce((sum, count) => sum + count, 0);
  let below = 0;
  const lines = bucketsSeconds.map((bound, at) => {
    below += buckets[at] ?? 0;
    return `eider_api_request_seconds_bucket{${labels},le="${bound}"} ${below}`;
  });
  return [
    ...lines,
    `eider_api_request_seconds_bucket{${labels},le="+Inf"} ${total}`,
    `eider_api_request_seconds_sum{${labels}} ${seconds}`,
    `eider_api_request_seconds_count{${labels}} ${total}`,
  ];
}
