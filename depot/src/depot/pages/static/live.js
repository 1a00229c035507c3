/** Asks again and again how far things are: ever more seldom while nothing changes, and only while the page is seen. */

import { away, signedOut } from "./away.js";
import { look } from "./calls.js";

const FIRST_MS = 400;
const LONGEST_MS = 8000;
const AT_ONCE = 4;

/**
 * Call `ask()` again and again. It gives back a promise: whether there was anything new, or null where there is nothing
 * to ask about for now. Gives back a function that wakes it: call it when there is something new to ask about.
 */
export function repeat(ask) {
  let delay = FIRST_MS;
  let timer = null;
  let asking = false;

  async function round() {
    timer = null;
    if (document.hidden || signedOut()) return;
    asking = true;
    const news = await ask().finally(() => { asking = false; });
    if (news === null) return;
    delay = news ? FIRST_MS : Math.min(delay * 1.5, LONGEST_MS);
    timer = setTimeout(round, delay);
  }

  function wake() {
    if (asking) return;
    clearTimeout(timer);
    delay = FIRST_MS;
    timer = setTimeout(round, 0);
  }

  document.addEventListener("visibilitychange", wake);
  window.addEventListener("online", wake);
  wake();
  return wake;
}

/**
 * Follow files until they are read: those that `pending()` names by their IDs, the ones that have waited longest first.
 * `show(file)` shows one and says whether anything was new; `gone(id)` is for one that is no more.
 * Gives back a function that wakes it: call it when there is something new to follow.
 */
export function follow(pending, show, gone) {
  return repeat(async () => {
    const ids = pending().slice(0, AT_ONCE);
    if (ids.length === 0) return null;
    const outcomes = await Promise.all(ids.map((id) => look(`/api/files/${id}`)));
    return outcomes.map((outcome, index) => told(outcome, ids[index])).some(Boolean);
  });

  function told(outcome, id) {
    heard(outcome.is);
    if (outcome.is === "found") return show(outcome.body);
    if (outcome.is === "gone") gone(id);
    return outcome.is === "gone";
  }
}

/** Say on the page if an answer did not come: "signed-out" or "unreachable"; all else is an answer. */
export function heard(outcome) {
  if (!signedOut()) away(outcome === "signed-out" || outcome === "unreachable" ? outcome : null);
}
