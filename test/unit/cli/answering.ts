import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, vi } from "vitest";

/** What a command printed in the test that runs, and the Weir that it spoke to. */
export interface Answering {
  out: string;
  errors: string;
  /** Method and path of each request, in order. */
  asked: string[];
  /** A Weir that answers these, one after the other, and the last again and again; commands find it, and have a key. */
  serve(answers: readonly object[]): Promise<void>;
}

/** For the tests of a file: catches what commands print, and ends what was served. */
export function answering(): Answering {
  let close = () => {};
  const state: Answering = { out: "", errors: "", asked: [], serve };

  async function serve(answers: readonly object[]): Promise<void> {
    let next = 0;
    const server = createServer((request: IncomingMessage, response) => {
      state.asked.push(`${request.method} ${request.url}`);
      request.resume();
      response.end(JSON.stringify(answers[Math.min(next++, answers.length - 1)]));
    });
    close = () => server.close();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    vi.stubEnv("WEIR_URL", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }

  beforeEach(() => {
    Object.assign(state, { out: "", errors: "", asked: [] });
    vi.spyOn(console, "log").mockImplementation((text) => void (state.out += `${text}\n`));
    vi.spyOn(process.stderr, "write").mockImplementation((text) => ((state.errors += String(text)), true));
    vi.stubEnv("WEIR_KEY", "k.s");
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    close();
  });
  return state;
}
