// Prometheus metrics behind the Metrics port: a metric is registered when it is first used, and the number of series is bounded.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Metrics } from "../ports/world.ts";

const PREFIX = "tidelane_";
/** A label that takes unbounded values would otherwise eat the process's memory. */
const SERIES_MAX = 2_000;
const BUCKETS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];
const BUCKETS_PLAIN = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536];

type Labels = Readonly<Record<string, string>>;

export class PrometheusMetrics implements Metrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();
  readonly #series = new Set<string>();

  /** @param processMetrics also measures the process itself: memory, event-loop lag, open handles. */
  constructor(processMetrics = true) {
    if (processMetrics) collectDefaultMetrics({ register: this.#registry });
  }

  count(name: string, labels: Labels = {}, by = 1): void {
    if (this.#admits(name, labels)) this.#metric(this.#counters, Counter, name, labels).inc(labels, by);
  }

  gauge(name: string, value: number, labels: Labels = {}): void {
    if (this.#admits(name, labels)) this.#metric(this.#gauges, Gauge, name, labels).set(labels, value);
  }

  observe(name: string, value: number, labels: Labels = {}): void {
    if (!this.#admits(name, labels)) return;
    this.#metric(this.#histograms, Histogram, name, labels, { buckets: name.endsWith("_ms") ? BUCKETS_MS : BUCKETS_PLAIN }).observe(labels, value);
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #admits(name: string, labels: Labels): boolean {
    const series = `${name}|${Object.entries(labels).join("|")}`;
    if (this.#series.has(series)) return true;
    if (this.#series.size >= SERIES_MAX) return false;
    this.#series.add(series);
    return true;
  }

  #metric<Made>(
    known: Map<string, Made>, Kind: new (options: never) => Made, name: string, labels: Labels, more: object = {},
  ): Made {
    let metric = known.get(name);
    if (!metric) {
      const options = { name: PREFIX + name, help: name.replaceAll("_", " "), labelNames: Object.keys(labels), registers: [this.#registry], ...more };
      known.set(name, (metric = new Kind(options as never)));
    }
    return metric;
  }
}

/** For tests: measures nothing. */
export const noMetrics: Metrics = { count: () => {}, gauge: () => {}, observe: () => {}, text: async () => "" };
