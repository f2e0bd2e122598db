// Every baseline by its name in reports.
import { dynamo } from "./dynamo.ts";
import { leastRequest, powerOfTwo, random, roundRobin } from "./simple.ts";
import { llmd } from "./llmd.ts";
import { mooncake } from "./mooncake.ts";
import { polyserve } from "./polyserve.ts";
import { prequal } from "./prequal.ts";
import { smgLeastLoad } from "./smg.ts";
import type { PolicyKind } from "../policy.ts";

export const BASELINES: readonly PolicyKind[] = [random, roundRobin, leastRequest, powerOfTwo, prequal, smgLeastLoad, dynamo, llmd, mooncake, polyserve];
