/** Many uploads, a few at a time. The rules are in queue.js, the wire is in send.js, the lines are in rows.js. */

import { away, signedOut } from "./away.js";
import { renew } from "./calls.js";
import { claim, forget, keep } from "./kept.js";
import { withdraw } from "./left.js";
import { acknowledged, busy, delay, move, progressed, startable, upload } from "./queue.js";
import { showAll, showOne, showSum } from "./rows.js";
import { carry, takeBack } from "./send.js";
import { plural } from "./words.js";

const FOLDER = {
  title: "A folder",
  detail: "Folders are not taken, only files.",
  advice: "Choose the files in it.",
};
const TOO_LARGE = { title: "Too large", advice: "Send it in parts, or ask the operator for more room." };
const NOWHERE = {
  title: "Files are not taken here",
  detail: "The depot does not know the address that this page sends files to.",
  advice: "Load this page again; if it stays, tell the operator.",
};
/** How often something is tried again that may not get better by itself. */
const PATIENCE = 5;

let items = [];
let limit = { bytes: Infinity, words: "" };
let arrived = () => {};
let say = () => {};

/** Set the largest file that is taken, in bytes and in words, what hears of each that has arrived, and what speaks. */
export function prepare(most, hear, speak) {
  [limit, arrived, say] = [most, hear, speak];
}

/** Add files to the queue: [file, what is left of it or null, function that gives that back]. */
export function add(files) {
  if (!busy(items)) items = items.filter((item) => item.state === "failed" || item.state === "cancelled");
  const added = files.map(([file, left, release]) => Object.assign(upload(file, left), { release }));
  items.push(...added);
  if (added.length > 0) say(`${plural(added.length, "file", "files")} to send.`);
  for (const item of added) refuseUnfit(item);
  goOn();
}

/** Begin what can begin. */
export function goOn() {
  if (!signedOut()) for (const item of startable(items)) begin(item);
  showAll(items);
}

/** As `goOn`, after the connection or the session was lost: what waits to be tried again waits no longer than it must. */
export function comeBack() {
  const due = items.filter((item) => item.state === "broken" && item.earliest <= Date.now());
  if (!signedOut()) for (const item of due) begin(item);
  goOn();
}

/** Do what a button says, to the upload with this key or to all. */
export function act(what, key) {
  const [event, all] = what.split("-");
  for (const item of items) if (all || item.key === key) ACTS[event](item);
  goOn();
}

/** Whether leaving the page would break something off. */
export function unfinished() {
  return busy(items);
}

const ACTS = {
  async cancel(item) {
    const { path, stop } = item;
    if (!move(item, "cancel")) return;
    stop?.abort();
    if (path === null) return;
    letGo(item, path);
    const outcome = await discarded(path);
    if (outcome.is === "stored" && item.state === "cancelled" && move(item, "store")) tell(item, outcome.file);
    showAll(items);
  },
  retry(item) {
    if (move(item, "retry")) refuseUnfit(item);
  },
  now(item) {
    if (item.state === "broken") begin(item);
  },
  drop(item) {
    if (!move(item, "drop") || item.path === null) return;
    discarded(item.path);
    letGo(item, item.path);
  },
};

/** Take an upload back, and try that for about a minute; what cannot be reached then expires. */
async function discarded(path, tries = 0) {
  const outcome = await takeBack(path);
  if (outcome.is !== "broken" || tries > PATIENCE) return outcome;
  await new Promise((done) => setTimeout(done, delay(tries, outcome.wait)));
  return discarded(path, tries + 1);
}

// -- one attempt --

async function begin(item, fresh = false) {
  clearTimeout(item.timer);
  if (!fresh && !move(item, "begin")) return;
  const stop = new AbortController();
  item.stop = stop;
  showOne(item);
  const progress = (sent) => {
    if (stop.signal.aborted) return;
    progressed(item, sent, performance.now());
    showOne(item);
    showSum(items);
  };
  const outcome = await carry(item, (standing) => noted(item, standing, stop), progress, stop.signal);
  if (stop.signal.aborted) return;
  if (outcome.safe > 0) acknowledged(item, outcome.safe);
  OUTCOMES[outcome.is](item, outcome, fresh);
}

/** The upload is at `path`, and `safe` bytes of it are there. Whether it is to go on. */
async function noted(item, { path, safe, expires }, stop) {
  item.release ??= await claim(path);
  if (stop.signal.aborted) {
    discarded(path);
    return letGo(item, path);
  }
  withdraw(path);
  Object.assign(item, { path, started: item.started ?? Date.now() });
  const { name, size, lastModified: modified } = item.file;
  keep({ path, name, size, modified, started: item.started, expires });
  if (safe > 0) say(`${name} goes on where it was.`);
  acknowledged(item, safe);
  move(item, "send");
  item.stop = stop;
  progressed(item, safe, performance.now());
  showOne(item);
  return true;
}

/** This tab has nothing to do any more with the upload at `path`. */
function letGo(item, path) {
  forget(path);
  item.release?.();
  item.release = null;
  return false;
}

const OUTCOMES = {
  stopped() {},
  stored(item, { file }) {
    const { path } = item;
    if (!move(item, "store")) return;
    letGo(item, path);
    tell(item, file);
    goOn();
  },
  refused(item, { problem, over }) {
    const { path } = item;
    fail(item, problem);
    if (over && path !== null) {
      discarded(path);
      letGo(item, path);
      Object.assign(item, { path: null, safe: 0, sent: 0 });
    }
    goOn();
  },
  broken(item, { wait, busy: crowded = false }) {
    if (!move(item, "break")) return;
    const [now, pause] = [Date.now(), delay(item.tries, wait)];
    if (item.tries === 0) say(`${item.file.name} has stopped. It goes on by itself.`);
    Object.assign(item, { tries: item.tries + 1, earliest: now + wait, again: now + pause, crowded });
    item.timer = setTimeout(() => item.state === "broken" && begin(item), pause);
    goOn();
    tick();
  },
  failing(item, outcome) {
    OUTCOMES[item.tries < PATIENCE ? "broken" : "refused"](item, { ...outcome, over: false });
  },
  gone(item) {
    const { path } = item;
    if (path === null) return OUTCOMES.refused(item, { problem: NOWHERE, over: false });
    if (!move(item, "lose")) return;
    letGo(item, path);
    say(`What had arrived of ${item.file.name} is gone. It is sent anew.`);
    goOn();
  },
  async stale(item, { problem }, fresh) {
    if (fresh) return OUTCOMES.refused(item, { problem, over: false });
    const { stop } = item;
    const outcome = await renew();
    if (stop.signal.aborted) return;
    if (outcome === "done") begin(item, true);
    else if (outcome === "unreachable") OUTCOMES.broken(item, { wait: 0 });
    else OUTCOMES["signed-out"](item, { is: outcome });
  },
  "signed-out"(item, { is }) {
    move(item, "hold");
    away(is);
    goOn();
  },
};

function tell(item, file) {
  if (file) arrived(file);
  const { name } = item.file;
  say(busy(items) ? `${name} has arrived.` : `${name} has arrived. All that could be sent is sent.`);
}

function fail(item, problem) {
  if (!move(item, "refuse")) return;
  item.problem = problem;
  say(`${item.file.name} was not taken: ${problem.title}.`);
}

/** What can be known before a byte is sent is not sent. */
function refuseUnfit(item) {
  if (item.file.folder) fail(item, FOLDER);
  else if (item.file.size > limit.bytes) fail(item, { ...TOO_LARGE, detail: `Files of at most ${limit.words} are taken.` });
}

let ticking = null;

/** While something waits to be tried again, say how long. */
function tick() {
  ticking ??= setInterval(() => {
    const stuck = items.filter((item) => item.state === "broken");
    for (const item of stuck) showOne(item);
    if (stuck.length > 0) return;
    clearInterval(ticking);
    ticking = null;
  }, 1000);
}
