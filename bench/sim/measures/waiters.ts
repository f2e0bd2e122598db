// At twice the capacity with clients who all said that they will wait: each is served, and was told when.
import { Experiment } from "../experiment.ts";
import { quantile } from "../score.ts";
import { tidelaneWaiting } from "../tidelane.ts";
import { atLeast, atMost, MEAN_AGE_MS, progressOf, told, type Measurement } from "./measure.ts";
import type { Job } from "../job.ts";

const LOAD = 2;
const TELLING_WAIT_MS = 2_000;
const ERROR_P90_MAX = 0.25;

export const waiters: Measurement = {
  name: "waiters",
  about: "At twice the capacity all wait: every one completes, and the first announcement is about right.",
  measure: (place, onProgress) => {
    const experiment = new Experiment({ ...place, load: LOAD, attestationAgeMs: MEAN_AGE_MS });
    const jobs = experiment.counted(experiment.simulate(tidelaneWaiting, progressOf(onProgress, tidelaneWaiting, LOAD)).jobs);
    const errors = Float64Array.from(jobs.filter((job) => waitMs(job) > TELLING_WAIT_MS), announcementError).sort();
    const at = `${LOAD} x capacity`;
    return [
      atLeast("completed / offered", at, jobs.filter((job) => job.state === "done").length / jobs.length, 1),
      atMost("error of the first announcement / wait, p90", at, errors.length === 0 ? 0 : quantile(errors, 0.9) ?? Infinity, ERROR_P90_MAX),
      told("waits over 2 s", at, errors.length),
    ];
  },
};

const waitMs = (job: Job): number => (job.sentMs < 0 ? Infinity : job.sentMs - job.arrivalMs);

/** Of who was told nothing, or never started, it is infinite. */
export const announcementError = (job: Job): number => (job.announcedStartMs < 0 || job.sentMs < 0 ? Infinity : Math.abs(job.sentMs - job.announcedStartMs) / waitMs(job));
