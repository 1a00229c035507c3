/** What a browser remembers of uploads, so that another page can go on with them: where and which, never content. */

import { account } from "./calls.js";

const PREFIX = "depot upload ";
const ACCOUNT = account(document);
/** Longer than `free` holds a lock: that is no other tab's yet. */
const A_MOMENT_MS = 300;
const PATH = /^\/[\w/.-]+$/;

/** Remember `{ path, name, size, modified, started, expires }`; times are in milliseconds, and `expires` may be null. */
export function keep(left) {
  try {
    localStorage.setItem(PREFIX + left.path, JSON.stringify({ ...left, account: ACCOUNT }));
  } catch {
    // a browser that remembers nothing sends all the same
  }
}

/** Forget the upload at `path`. */
export function forget(path) {
  try {
    localStorage.removeItem(PREFIX + path);
  } catch {
    // nothing was remembered
  }
}

/** What is remembered of the upload at `path`, if it is this account's; else null. */
export function kept(path) {
  try {
    const left = JSON.parse(localStorage.getItem(PREFIX + path));
    return left?.account === ACCOUNT && left.path === path && PATH.test(path) ? left : null;
  } catch {
    return null;
  }
}

/** All that is remembered, the oldest first. */
export function all() {
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
    const found = keys.map((key) => kept(key.slice(PREFIX.length))).filter(Boolean);
    return found.sort((one, other) => one.started - other.started);
  } catch {
    return [];
  }
}

/** Call `action(path)` whenever another tab remembers or forgets something; `null` where that may be anything. */
export function onNews(action) {
  window.addEventListener("storage", (event) => {
    if (event.key === null) action(null);
    else if (event.key.startsWith(PREFIX)) action(event.key.slice(PREFIX.length));
  });
}

// -- tabs: each upload is one's alone. A lock goes with its tab, however that ends --

/** Take the upload at `path` for this tab: a function that gives it back, or null if another tab has it. */
export function claim(path) {
  if (!navigator.locks) return Promise.resolve(() => {});
  const signal = AbortSignal.timeout(A_MOMENT_MS);
  return new Promise((done) => {
    const held = () => new Promise((release) => done(release));
    navigator.locks.request(PREFIX + path, { signal }, held).catch(() => done(null));
  });
}

/** Wait until no tab has the upload at `path`. */
export async function free(path) {
  await navigator.locks?.request(PREFIX + path, () => {});
}
