/** One request of an upload. */

import { proof } from "./calls.js";

/** After so long without a byte that leaves, or an answer, nothing is to be expected of a connection any more. */
const SILENCE_MS = 60_000;

/**
 * Send a request. Gives `{ status, header(name), body }`, once it is there; the status is 0 if there was no answer.
 * `content` may be a part of a file, which the browser reads from the disk as it goes. `progress(sent)` hears of every
 * step, `signal` breaks it off.
 */
export function ask(method, path, { headers = {}, content = null, progress = () => {}, signal = null }) {
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    let silence = setTimeout(stop, SILENCE_MS);
    request.open(method, path);
    for (const [name, value] of Object.entries({ ...headers, ...proof() })) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => {
      clearTimeout(silence);
      silence = setTimeout(stop, SILENCE_MS);
      progress(event.loaded);
    });
    request.addEventListener("loadend", () => {
      clearTimeout(silence);
      signal?.removeEventListener("abort", stop);
      done({ status: request.status, header: (name) => request.getResponseHeader(name), body: parsed(request) });
    });
    signal?.addEventListener("abort", stop);
    request.send(content);
  });
}

function parsed(request) {
  try {
    return JSON.parse(request.responseText);
  } catch {
    return null;
  }
}
