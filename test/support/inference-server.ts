import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Tensors } from "../../src/inference/model.ts";
import type { Run } from "../../src/inference/rows.ts";

/** A request as it came. */
interface AskedRequest {
  method: string;
  path: string;
  authorization: string | undefined;
  contentType: string | undefined;
  body: unknown;
}

export interface InferenceServer {
  url: string;
  asked: AskedRequest[];
  /** Answers in place of the model, until it is undefined again. */
  instead: ((request: AskedRequest, response: ServerResponse) => void) | undefined;
  close(): Promise<void>;
}

/** A small server of the Open Inference Protocol, version 2, on loopback: one model, ready at once. */
export async function startInferenceServer(model: string, run: Run): Promise<InferenceServer> {
  const server = createServer((request, response) => void handle(request, response));
  const started: InferenceServer = { url: "", asked: [], instead: undefined, close: () => closed(server) };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = request;
    const text = (await request.toArray()).join("");
    const body = text === "" ? undefined : (JSON.parse(text) as unknown);
    const asked = {
      method,
      path: url,
      authorization: headers.authorization,
      contentType: headers["content-type"],
      body,
    };
    started.asked.push(asked);
    if (started.instead) return started.instead(asked, response);
    const known = [`GET /v2/health/ready`, `GET /v2/models/${model}/ready`];
    if (known.includes(`${method} ${url}`)) return send(response, 200, {});
    if (`${method} ${url}` !== `POST /v2/models/${model}/infer`) return send(response, 404, { error: "not found" });
    send(response, 200, { model_name: model, outputs: outputsOf(await run(inputsIn(body))) });
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  started.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return started;
}

export function send(response: ServerResponse, status: number, body: object | string): void {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  response.writeHead(status, { "Content-Type": "application/json" }).end(text);
}

function inputsIn(body: unknown): Tensors {
  const { inputs } = body as { inputs: { name: string; shape: number[]; data: number[] }[] };
  return Object.fromEntries(
    inputs.map(({ name, shape, data }) => [name, { dims: shape, data: Float32Array.from(data) }]),
  );
}

function outputsOf(tensors: Tensors): object[] {
  return Object.entries(tensors).map(([name, { dims, data }]) => {
    return { name, datatype: "FP32", shape: dims, data: Array.from(data) };
  });
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
