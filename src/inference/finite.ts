/** Whether no number is NaN or infinite. A plain sum: a callback for each would cost a tenth of a forest's run. */
export function areFinite(values: Float32Array): boolean {
  let zero = 0;
  for (let i = 0; i < values.length; i++) zero += 0 * values[i];
  return zero === 0;
}
