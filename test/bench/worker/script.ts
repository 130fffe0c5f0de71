/**
 * What one writes in an afternoon: lines, split, Map. Ports per source and target, SYN-sized flows per target and
 * minute, times per pair. Judges nothing that needs care, forgets nothing, and is the measure of what care costs.
 */
export function script(): (text: string) => number {
  const ports = new Map<string, Set<string>>();
  const arrivals = new Map<string, number>();
  const times = new Map<string, number[]>();
  return (text) => {
    let verdicts = 0;
    for (const line of text.split("\n")) {
      const fields = line.split(" ");
      if (fields.length < 14) continue;
      const [, , , source, target, , port, , packets, , start] = fields;
      const pair = `${source} ${target}`;
      let seen = ports.get(pair);
      if (!seen) ports.set(pair, (seen = new Set()));
      seen.add(port);
      if (seen.size === 100) verdicts++;
      const minute = `${target} ${Math.floor(Number(start) / 60)}`;
      const count = (arrivals.get(minute) ?? 0) + (Number(packets) <= 2 ? 1 : 0);
      arrivals.set(minute, count);
      if (count === 1000) verdicts++;
      const contact = `${pair} ${port}`;
      let at = times.get(contact);
      if (!at) times.set(contact, (at = []));
      at.push(Number(start));
      if (at.length === 30 && isRegular(at)) verdicts++;
    }
    return verdicts;
  };
}

function isRegular(at: number[]): boolean {
  const gaps = at.slice(1).map((time, i) => time - at[i]);
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
  return mean > 0 && deviation / mean < 0.1;
}
