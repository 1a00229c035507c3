/** Follows files until they are read: asks again and again, ever more seldom, and only while the page is seen. */

import { away, signedOut } from "./away.js";
import { look } from "./calls.js";

const FIRST_MS = 400;
const LONGEST_MS = 8000;
const AT_ONCE = 4;

/**
 * Follow the files that `pending()` names by their IDs, those that have waited longest first.
 * `show(file)` shows one and says whether anything was new; `gone(id)` is for one that is no more.
 * Gives back a function that wakes it: call it when there is something new to follow.
 */
export function follow(pending, show, gone) {
  let delay = FIRST_MS;
  let timer = null;
  let asking = false;

  async function round() {
    timer = null;
    const ids = pending().slice(0, AT_ONCE);
    if (document.hidden || signedOut() || ids.length === 0) return;
    asking = true;
    const outcomes = await Promise.all(ids.map((id) => look(`/api/files/${id}`)));
    asking = false;
    const news = outcomes.map((outcome, index) => told(outcome, ids[index])).some(Boolean);
    delay = news ? FIRST_MS : Math.min(delay * 1.5, LONGEST_MS);
    timer = setTimeout(round, delay);
  }

  function told(outcome, id) {
    if (!signedOut()) away(outcome.is === "signed-out" || outcome.is === "unreachable" ? outcome.is : null);
    if (outcome.is === "found") return show(outcome.body);
    if (outcome.is === "gone") gone(id);
    return outcome.is === "gone";
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
