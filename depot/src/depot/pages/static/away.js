/** What the page says while it cannot speak to the depot, and the way back. */

import { renew } from "./calls.js";

const NOTICE = document.getElementById("away");
const SAYS = {
  "signed-out": ["You are signed out.", "Sign in again in a new tab, then come back to this one: it goes on where it was."],
  "somebody-else": ["Somebody else is signed in now.", "Load this page again. What was being sent waits for whoever began it."],
  unreachable: ["The depot cannot be reached.", "This page tries again by itself. Nothing here is lost."],
};

let shown = null;
let back = () => {};

/** Call `action` when someone is signed in again. */
export function onReturn(action) {
  back = action;
}

/** Whether someone has to sign in before anything can go on. */
export function signedOut() {
  return shown === "signed-out" || shown === "somebody-else";
}

/** Show why nothing goes on: "signed-out", "somebody-else", "unreachable", or null when all is well. */
export function away(why) {
  if (why === shown) return;
  shown = why;
  NOTICE.replaceChildren();
  NOTICE.hidden = why === null;
  if (why === null) return;
  const [title, advice] = SAYS[why];
  const line = document.createElement("p");
  line.append(Object.assign(document.createElement("b"), { textContent: title }), ` ${advice}`);
  NOTICE.append(line);
  if (why === "signed-out") NOTICE.append(signIn());
}

function signIn() {
  const link = document.createElement("a");
  const next = encodeURIComponent(location.pathname + location.search);
  Object.assign(link, { className: "button", href: `/sign-in?next=${next}`, target: "_blank", textContent: "Sign in" });
  return link;
}

async function tryAgain() {
  if (!signedOut()) return;
  const outcome = await renew();
  if (outcome === "somebody-else") away(outcome);
  if (outcome !== "done" || !signedOut()) return;
  away(null);
  back();
}

// Somebody comes back to this tab, or has just signed in in another one: that is shown this very page.
const TABS = new BroadcastChannel("depot");
TABS.addEventListener("message", tryAgain);
TABS.postMessage("signed in");
window.addEventListener("focus", tryAgain);
document.addEventListener("visibilitychange", tryAgain);
