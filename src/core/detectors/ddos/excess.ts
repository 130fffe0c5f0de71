import type { Habit } from "../../sketches/habit.ts";
import type { Entry } from "../../slots/entity-windows.ts";
import type { FloodState } from "./flood-state.ts";
import type { Measured } from "./measured.ts";
import type { DdosSettings } from "./settings.ts";

/** What one target is judged by. */
export interface Judging {
  entry: Entry<FloodState>;
  settings: DdosSettings;
  /** Undefined while too little is known. */
  habit: Habit | undefined;
}

/** The least value that raises an alarm, and which threshold says so. */
export interface Bar {
  least: number;
  floor: keyof DdosSettings;
  ceiling: keyof DdosSettings;
  decides: "floor" | "habit" | "ceiling";
  usual: number;
}

/** What lies over a threshold: `least` is what it had to reach, given who sent it. */
export interface Excess extends Measured {
  least: number;
  bar: Bar;
  /** Of the sustained ones: minutes that it took. */
  minutes: number;
}

/** Ties go to the earlier minute, so that the order of learning does not matter. */
export function worse(a: Excess, b: Excess): Excess {
  const [x, y] = [a.value / a.least, b.value / b.least];
  const [i, j] = [a.inflow.minuteOf(a.row), b.inflow.minuteOf(b.row)];
  if (x !== y) return x > y ? a : b;
  return i < j || (i === j && a.inflow.trafficOf(a.row) <= b.inflow.trafficOf(b.row)) ? a : b;
}
