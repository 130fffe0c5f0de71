import { readFileSync } from "node:fs";
import { Failure } from "./failure.ts";

/** What must be found in a capture. */
export interface TruthEvent {
  threat: string;
  entity: string | string[];
  peer?: string | string[] | undefined;
  port?: number;
  /** Nobody is blamed for missing it. */
  hard?: boolean;
  basis?: string;
}

export interface CaptureTruth {
  events: TruthEvent[];
  /** Home networks. */
  internal?: string[];
  not_scored?: string[];
  benign?: string[] | "*";
  /** For speed only. */
  unlabelled?: boolean;
}

export type Truth = { [capture: string]: CaptureTruth };

export interface Finding {
  threat: string;
  entity: string;
  severity: string;
  peers?: string | string[] | undefined;
}

export type Findings = { [capture: string]: Finding[] };

export function readTruth(path: string): Truth {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Truth;
  } catch (error) {
    throw new Failure(`${path} is no readable truth file: ${(error as Error).message}.`);
  }
}
