// The service's routes, as the page uses them. In: forms and ids. Out: answers and events. Knows nothing of the page.

const KEY = "auricle.key";
const FIRST_PAUSE_S = 0.5;
const LONGEST_PAUSE_S = 8;

// A refusal, or a failure on the way: `status` is 0 where no answer came.
export class ServiceError extends Error {
  constructor(status, { message, code = "", param = null, request_id: requestId = "" }, retryAfterS = null) {
    super(message);
    Object.assign(this, { status, code, param, requestId, retryAfterS });
  }
}

const unreachable = () => new ServiceError(0, { code: "unreachable", message: "The service does not answer." });
const brokenOff = () => new ServiceError(0, { code: "broken_off", message: "The connection broke off." });

export const useKey = (key) => sessionStorage.setItem(KEY, key);
const keyHeaders = () => {
  const key = sessionStorage.getItem(KEY);
  return key ? { Authorization: `Bearer ${key}` } : {};
};

function errorOf(status, text, retryAfter) {
  let told;
  try {
    told = JSON.parse(text).error;
  } catch {
    told = null; // not ours: a proxy's page, say
  }
  return new ServiceError(status, told ?? { message: `The answer was ${status}.` }, retryAfter ? Number(retryAfter) : null);
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { ...keyHeaders(), ...options.headers }, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (!answer.ok) throw errorOf(answer.status, await answer.text(), answer.headers.get("Retry-After"));
  return answer;
}

export const models = async () => (await (await ask("/models")).json()).models;
export const job = async (id) => (await ask(`/jobs/${id}`)).json();
export const jobResult = async (id, format) => ask(`/jobs/${id}/result?format=${format}`);
export const deleteJob = (id) => ask(`/jobs/${id}`, { method: "DELETE" });

// Server-sent events out of text that comes in pieces.
class EventReader {
  #rest = "";

  *read(piece) {
    const blocks = (this.#rest + piece).split("\n\n");
    this.#rest = blocks.pop();
    for (const block of blocks) {
      const event = { name: "message", id: null, lines: [] };
      for (const line of block.split("\n")) {
        if (line.startsWith("event: ")) event.name = line.slice(7);
        else if (line.startsWith("id: ")) event.id = line.slice(4);
        else if (line.startsWith("data: ")) event.lines.push(line.slice(6));
      }
      if (event.lines.length) yield { name: event.name, id: event.id, data: JSON.parse(event.lines.join("\n")) };
    }
  }
}

// XMLHttpRequest, since fetch tells nothing of how far an upload is.
function upload(path, form, { onSent, onText = () => {}, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    for (const [name, value] of Object.entries(keyHeaders())) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onSent(loaded, total);
    request.onprogress = () => request.status === 200 && onText(request.responseText);
    request.onload = () => {
      if (request.status < 300) resolve(request.responseText);
      else reject(errorOf(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    };
    request.onerror = () => reject(request.responseText ? brokenOff() : unreachable());
    request.onabort = () => reject(new DOMException("", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

// Transcribe a short recording: each segment as it is decoded, then the whole, in the fields of verbose_json.
export async function transcribe(form, { onSent, onSegment, signal }) {
  form.set("stream", "true");
  const reader = new EventReader();
  let seen = 0;
  let outcome = null;
  const onText = (text) => {
    for (const { name, data } of reader.read(text.slice(seen))) {
      if (name === "segment") onSegment(data);
      else outcome = { name, data };
    }
    seen = text.length;
  };
  onText(await upload("/transcribe", form, { onSent, onText, signal }));
  if (outcome?.name === "error") throw new ServiceError(200, outcome.data.error);
  if (!outcome) throw brokenOff();
  return outcome.data;
}

export const createJob = async (form, hooks) => JSON.parse(await upload("/jobs", form, hooks));

// Follow a job to its end, over broken connections and restarts: segments and progress, then the whole.
export async function followJob(id, { onSegment, onProgress, onLost, signal }) {
  let last = null;
  for (let pauseS = FIRST_PAUSE_S; ; pauseS = Math.min(2 * pauseS, LONGEST_PAUSE_S)) {
    try {
      const answer = await ask(`/jobs/${id}/events`, { headers: last === null ? {} : { "Last-Event-ID": last }, signal });
      const reader = new EventReader();
      const chunks = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let chunk = await chunks.read(); !chunk.done; chunk = await chunks.read()) {
        pauseS = FIRST_PAUSE_S;
        for (const { name, id: at, data } of reader.read(chunk.value)) {
          last = at ?? last;
          if (name === "segment") onSegment(data);
          else if (name === "progress") onProgress(data);
          else if (name === "done") return await (await jobResult(id, "verbose_json")).json();
          else if (name === "error") throw new ServiceError(200, data.error);
        }
      }
    } catch (error) {
      const mayPass = error instanceof TypeError || error.status === 0 || error.status === 429 || error.status >= 500;
      if (!mayPass) throw error;
    }
    onLost();
    await new Promise((resolve, reject) => {
      setTimeout(resolve, 1000 * pauseS);
      signal.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
    });
  }
}

// A live stream. Sends Int16 samples at 16 kHz; `onEvent` gets what docs/streaming.md lists, `onClose` an error or null.
export class LiveStream {
  #socket;
  #waiting = [];
  #error = null;
  #isDone = false;

  constructor(fields, { onEvent, onClose }) {
    const url = new URL("/stream", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.search = new URLSearchParams({ ...fields, sample_rate: "16000", timestamps: "word" });
    const key = sessionStorage.getItem(KEY);
    this.#socket = key ? new WebSocket(url, ["realtime", `openai-insecure-api-key.${key}`]) : new WebSocket(url);
    this.#socket.onopen = () => {
      for (const message of this.#waiting) this.#socket.send(message);
      this.#waiting = [];
    };
    this.#socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === "error") this.#error = new ServiceError(200, event.error);
      else {
        this.#isDone ||= event.type === "done";
        onEvent(event);
      }
    };
    this.#socket.onclose = () => onClose(this.#error ?? (this.#isDone ? null : brokenOff()));
  }

  send(samples) {
    this.#put(samples.buffer);
  }

  // All was said: the rest of the text comes, then the end.
  stop() {
    this.#put(JSON.stringify({ type: "stop" }));
  }

  #put(message) {
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#waiting.push(message);
    else if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(message);
  }
}
