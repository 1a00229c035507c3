/**
 * Sends one file, from where it is on the server (tus 1.0). The browser reads it from the disk as it goes, so that its
 * size does not matter. It is made first, and filled by a second request: so an answer that gets lost leaves no doubt
 * whether the file has arrived, for its address can be asked.
 */

import { look } from "./calls.js";
import { ask } from "./wire.js";

const PLACE = "/api/uploads";
const SPEAKS = { "Tus-Resumable": "1.0.0", Accept: "application/json" };
const LONGEST_WAIT_MS = 600_000;
const A_WHILE_MS = 1000;
/** Something in between answers so where the depot is not there. */
const AWAY = [0, 502, 504];
/** What an answer means; of the others, those from 500 on are told of after some tries, and the rest at once. */
const MEANINGS = {
  0: "broken", 401: "signed-out", 403: "stale", 404: "gone", 408: "broken", 410: "gone", 423: "finishing",
  502: "broken", 503: "broken", 504: "broken",
};
/** Refused for want of room, which there may be later: what has arrived stays. */
const ROOM = [413, 507];
const NO_PROBLEM = {
  title: "The answer of the depot was not understood",
  detail: "Something between this browser and the depot may have answered in its place.",
  advice: "Try again; if it stays, tell the operator.",
};
const ELSEWHERE = {
  title: "It goes on elsewhere",
  detail: "Another browser has taken this upload over.",
  advice: "Leave it to that one, or try again to go on with it here.",
};
const CHANGED = {
  title: "The file cannot be read any more",
  detail: "It has changed on your disk since it was chosen, or is not there.",
  advice: "Choose it again.",
};

/**
 * Carry an upload on: `{ file, path }`, where `path` is null while it has none. The outcome is one of
 *   { is: "stored", file }   file: null if it is there, but was deleted since
 *   { is: "broken", wait, busy }   nothing is lost; not to be tried again before `wait` milliseconds
 *   { is: "failing", wait, problem }   as before, but it may not get better by itself
 *   { is: "refused", problem, over }   over: what was sent is of no use any more
 *   { is: "gone" }           there is no such upload any more
 *   { is: "signed-out" }     { is: "stale", problem }
 * Before a byte is sent, `noted({ path, safe, expires })` is awaited: that many bytes are there. `signal` breaks it off.
 */
export async function carry(upload, noted, progress, signal) {
  let outcome = upload.path === null ? await create(upload.file, signal) : await reached(upload.path, signal);
  if (outcome.is === "there") {
    const path = outcome.path ?? upload.path;
    if (!(await noted({ ...outcome, path }))) return { is: "stopped" };
    outcome = await append(path, upload.file, outcome.safe, progress, signal);
    if (outcome.is === "finishing") outcome = await reached(path, signal, outcome.wait);
    if (outcome.is === "there") outcome = { is: "broken", wait: 0 };
  }
  if (outcome.is === "broken" && !(await readable(upload.file))) return { is: "refused", problem: CHANGED, over: true };
  return outcome;
}

/** How far an upload is: an outcome as of `carry`, or `{ is: "there", safe, expires }`. One that ends is waited for. */
export async function reached(path, signal = null, wait = 0) {
  if (wait > 0) await new Promise((done) => setTimeout(done, wait));
  if (signal?.aborted) return { is: "stopped" };
  const outcome = await told(await ask("HEAD", path, { headers: SPEAKS, signal }));
  return outcome.is === "finishing" ? reached(path, signal, outcome.wait || A_WHILE_MS) : outcome;
}

/** Take an upload back, unless all of it was there already: the outcome is then "stored", otherwise "gone" if it went. */
export async function takeBack(path) {
  const outcome = await reached(path);
  if (outcome.is !== "there") return outcome;
  const answer = await ask("DELETE", path, { headers: SPEAKS });
  return answer.status === 204 ? { is: "gone" } : told(answer);
}

function create(file, signal) {
  const headers = { ...SPEAKS, "Upload-Length": file.size, "Upload-Metadata": described(file) };
  return ask("POST", PLACE, { headers, signal }).then(told);
}

function append(path, file, safe, progress, signal) {
  const headers = { ...SPEAKS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": safe };
  const content = file.slice(safe);
  return ask("PATCH", path, { headers, content, progress: (sent) => progress(safe + sent), signal }).then(told);
}

function described(file) {
  const values = { filename: file.name, filetype: file.type };
  return Object.entries(values).filter(([, value]) => value).map(([key, value]) => `${key} ${base64(value)}`).join(",");
}

function base64(text) {
  return btoa(String.fromCodePoint(...new TextEncoder().encode(text)));
}

// -- answers --

function meaning({ status }, wait) {
  if (status === 429 && wait > 0) return "broken";
  return MEANINGS[status] ?? (status < 500 || status === 507 ? "refused" : "failing");
}

async function told(answer) {
  if (answer.status >= 200 && answer.status < 300) return answer.header("Tus-Resumable") ? standing(answer) : strange();
  const wait = waiting(answer.header("Retry-After"));
  const problem = answer.body?.title ? answer.body : NO_PROBLEM;
  if (answer.status === 409) return contested(problem);
  const [busy, over] = [!AWAY.includes(answer.status), !ROOM.includes(answer.status)];
  return { is: meaning(answer, wait), wait, problem, safe: offset(answer), busy, over };
}

async function standing(answer) {
  const id = answer.header("Holdfast-File-Id");
  if (id !== null) return stored(decodeURIComponent(id));
  const [place, expires] = [answer.header("Location"), Date.parse(answer.header("Upload-Expires"))];
  // The path alone: behind a proxy the address may name a host or a scheme that are not ours
  const path = place === null ? null : new URL(place, new URL(PLACE, location.href)).pathname;
  return { is: "there", path, safe: offset(answer), expires: Number.isNaN(expires) ? null : expires };
}

function offset(answer) {
  return Number(answer.header("Upload-Offset") ?? 0);
}

async function stored(id) {
  const found = await look(`/api/files/${encodeURIComponent(id)}`);
  if (found.is === "unreachable") return { is: "broken", wait: 0 };
  return found.is === "signed-out" ? found : { is: "stored", file: found.body ?? null };
}

function contested(problem) {
  const elsewhere = problem.type?.endsWith(":evicted");
  return elsewhere ? { is: "refused", problem: ELSEWHERE, over: false } : { is: "broken", wait: 0 };
}

function strange() {
  return { is: "failing", wait: 0, problem: NO_PROBLEM };
}

/** What Retry-After asks for, in milliseconds: seconds, or a date. */
function waiting(text) {
  const asked = /^\d+$/.test(text ?? "") ? Number(text) * 1000 : Date.parse(text ?? "") - Date.now();
  return Number.isNaN(asked) ? 0 : Math.min(Math.max(asked, 0), LONGEST_WAIT_MS);
}

/** Whether the file is still the one that was chosen: looks at its first byte, as a browser refuses one that changed. */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
