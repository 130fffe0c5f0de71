import type { Detector } from "./detector.ts";
import { habitCodec, remember, type Habit } from "./exfiltration/habit.ts";
import { judgeHost } from "./exfiltration/judge.ts";
import { learn } from "./exfiltration/learn.ts";
import { dayMs, thresholds, version, type ExfiltrationSettings } from "./exfiltration/settings.ts";
import { codec, mostSent, type UploadState } from "./exfiltration/upload-state.ts";
import { windowed } from "./windowed.ts";

/**
 * Exfiltration: a host inside sends much to a destination outside that hardly answers.
 *
 * Method: per host and UTC day, what each destination (addresses of one /24 or /64 together) got and gave. One that got
 * at least `uploadBytesMin`, four times what it gave, is held against the host's habit, its last 14 quiet days: is the
 * volume a multiple of the most that such a destination ever got (that one itself if it is known, else any new one)?
 * Is it new to the host, and not common in the network? Did the host as a whole turn from consumer to producer? Two of
 * the three are `medium`, one is `low`, none is a habit. Without a habit, only what is very large, nearly all one way
 * and most of what the host sent reaches `medium`.
 * Bounds: per host and day 32 destinations of 72 bytes (those of most bytes, trimmed every five minutes, so that a
 * destination beyond them loses what it got since); per host 14 days and 16 known destinations.
 * Misses: less than `uploadBytesMin` a day; uploads dealt among many prefixes; to a destination that the host sends as
 * much to every day, or that many hosts use; what strangers fetch from our own servers; a single day's start while the
 * same host opens more than 256 new destinations in five minutes.
 * Source: Bullard & Gerth, PCR: A New Flow Metric, FloCon 2014 (ratio, and its shift); Slips (100 MB to one address);
 * Elastic's rare destination. The factor, the ceiling and the first day's limit are our own.
 */
export const exfiltration: Detector<ExfiltrationSettings> = {
  id: "exfiltration",
  version,
  thresholds,
  create(settings, saved) {
    return windowed<UploadState, Habit, ExfiltrationSettings>(
      {
        lengthMs: dayMs,
        codec,
        memory: habitCodec,
        learn,
        judge: judgeHost,
        interest: ({ destinations }) => 1 + mostSent(destinations),
        remember,
        // Which small ones close depends on what was packed.
        isRemembered: ({ state }) => !codec.isSmall(state),
      },
      settings,
      saved,
    );
  },
};
