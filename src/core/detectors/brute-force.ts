import type { Detector } from "./detector.ts";
import { forgetMs, habitsCodec, plateausOf, rememberDay, type Habits } from "./brute-force/habits.ts";
import { judge } from "./brute-force/judge.ts";
import { learn } from "./brute-force/learn.ts";
import { codec, interest, type LoginState } from "./brute-force/login-state.ts";
import { dayMs, thresholds, version, type BruteForceSettings } from "./brute-force/settings.ts";
import { windowed } from "./windowed.ts";

/**
 * Brute force: passwords are tried, over and over, on a service that answers.
 *
 * Method: per source and UTC day, for each login service, whatever its targets, the attempts: records that were
 * answered and are no slices of long ones. Failed logins are a plateau: sizes lie within a fifth of their median, but
 * for connections cut short, and source ports are new each time. `attemptsMin` of them in ten minutes are an alarm,
 * fewer if eight began within a second; on any other port more are asked for, and the shape of a dialogue: many
 * packets, little in them, a server that takes its time. Slower ones are an alarm by their number in a day, or, from
 * outside, over days, unless a timer paces them. Per target: attempts by many strangers, who each make a few. A later
 * connection in which the source sends more than three times the plateau, or a session, is taken for success. What went
 * on for two days of alarm is `low` from then on, unless it gets in.
 * Bounds: per source and day 4 services with 64 starts, 16 targets and 288 counts each; per target and day 2 services
 * with 24 sizes and 12 sources each; per entity 6 services known. Within five minutes there may be 48; of them, those
 * that answered most stay, and what is dropped loses its past.
 * Misses: several logins in one connection, where there are less than 16 connections; web logins (ports such as 80 and
 * 443 are not looked at); slow guessing paced by a timer, or by our own on a database; mail and other ports of
 * outsiders; sizes that vary by more than a fifth; botnets whose members try less than three times. Programs with an
 * old password, and jobs over SSH that are all alike and small, look the same on their first days.
 * Source: Hellemans et al., SSHCure, AIMS 2012 (plateau of 11 to 51 packets, and what leaves it is the compromise);
 * Flowmon (20 attempts); Hydra (16 parallel tasks, unless told). The widths, and all numbers for slow and distributed
 * guessing, are our own.
 */
export const bruteForce: Detector<BruteForceSettings> = {
  id: "brute_force",
  version,
  thresholds,
  create(settings, saved) {
    return windowed<LoginState, Habits, BruteForceSettings>(
      {
        lengthMs: dayMs,
        codec,
        memory: habitsCodec,
        forgetMs,
        learn,
        judge,
        interest,
        isRemembered: ({ state }) => plateausOf(state).length > 0,
        remember: ({ state }, habits, isAlarm) => {
          for (const day of plateausOf(state)) rememberDay(habits, day, isAlarm);
        },
      },
      settings,
      saved,
    );
  },
};
