import { expect } from "vitest";

/** The body of an answer that must be 200. */
export async function okay(response: Response): Promise<unknown> {
  expect(response.status, await response.clone().text()).toBe(200);
  return response.json();
}

/** What it says instead of what was asked for. */
export async function problem(response: Response): Promise<object> {
  expect(response.headers.get("Content-Type")).toBe("application/problem+json");
  return (await response.json()) as object;
}

export const iso = (ms: number) => new Date(ms).toISOString();
