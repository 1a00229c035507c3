/** Sends one file. The browser reads it from the disk as it goes, so that its size does not matter. */

import { look, proof } from "./calls.js";

const NO_PROBLEM = {
  title: "The answer of the depot was not understood",
  detail: "Something between this browser and the depot may have answered in its place.",
  advice: "Try again; if it stays, tell the operator.",
};
const BROKEN = {
  title: "The connection broke off",
  detail: "The file did not get there whole, and nothing of it was kept.",
  advice: "If it is still where it was on your disk, try again.",
};
const UNSURE = {
  ...BROKEN,
  detail: "All of it was sent, but the answer got lost: it may be there, or not.",
  advice: "Load this page again and look for it before you send it once more.",
};

/**
 * Send `file`; `progress(sent)` hears of every step. `done` hears the outcome, one of
 *   { is: "stored", file }    { is: "refused", problem }    { is: "stale" }    { is: "signed-out" }
 * Gives back a function that breaks it off, after which `done` hears nothing.
 */
export function send(file, progress, done) {
  const request = new XMLHttpRequest();
  let whole = false;
  request.open("POST", `/api/files?name=${encodeURIComponent(file.name)}`);
  request.setRequestHeader("Accept", "application/json");
  request.setRequestHeader("Content-Type", "application/octet-stream");
  for (const [name, value] of Object.entries(proof())) request.setRequestHeader(name, value);
  request.upload.addEventListener("progress", (event) => progress(event.loaded));
  request.upload.addEventListener("load", () => { whole = true; });
  request.addEventListener("load", () => done(outcome(request)));
  request.addEventListener("error", async () => done(await broken(whole)));
  request.send(file);
  return () => request.abort();
}

function outcome(request) {
  const body = parsed(request.responseText);
  if (request.status === 201 && body?.id) return { is: "stored", file: body };
  if (request.status === 401) return { is: "signed-out" };
  if (request.status === 403) return { is: "stale", problem: body?.title ? body : NO_PROBLEM };
  return { is: "refused", problem: body?.title ? body : NO_PROBLEM };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** No answer was heard. One that says 401 before it has read a large body is often lost so: ask again, with less. */
async function broken(whole) {
  const now = await look("/api/files?limit=1");
  return now.is === "signed-out" ? now : { is: "refused", problem: whole ? UNSURE : BROKEN };
}
