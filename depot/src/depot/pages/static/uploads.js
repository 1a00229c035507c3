/** Many uploads, a few at a time. The rules are in queue.js, the wire is in send.js, the lines are in rows.js. */

import { away, signedOut } from "./away.js";
import { renew } from "./calls.js";
import { busy, move, progressed, startable, upload } from "./queue.js";
import { showAll, showOne, showSum } from "./rows.js";
import { send } from "./send.js";
import { plural } from "./words.js";

const FOLDER = {
  title: "A folder",
  detail: "Folders are not taken, only files.",
  advice: "Choose the files in it.",
};
const TOO_LARGE = { title: "Too large", advice: "Send it in parts, or ask the operator for more room." };

let items = [];
let limit = { bytes: Infinity, words: "" };
let arrived = () => {};
let say = () => {};

/** Set the largest file that is taken, in bytes and in words, what hears of each that has arrived, and what speaks. */
export function prepare(most, hear, speak) {
  [limit, arrived, say] = [most, hear, speak];
}

/** Add files to the queue. */
export function add(files) {
  if (!busy(items)) items = items.filter((item) => item.state === "failed" || item.state === "cancelled");
  const added = files.map(upload);
  items.push(...added);
  say(`${plural(added.length, "file", "files")} to send.`);
  for (const item of added) refuseUnfit(item);
  goOn();
}

/** Begin what can begin. Also the way back after the connection or the session was lost. */
export function goOn() {
  if (navigator.onLine && !signedOut()) for (const item of startable(items)) begin(item);
  showAll(items);
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
  cancel(item) {
    const stop = item.stop;
    if (move(item, "cancel")) stop?.();
  },
  retry(item) {
    if (move(item, "retry")) refuseUnfit(item);
  },
  drop(item) {
    move(item, "drop");
  },
};

function begin(item, again = false) {
  if (!again) move(item, "begin");
  const progress = (sent) => {
    progressed(item, sent, performance.now());
    showOne(item);
    showSum(items);
  };
  item.stop = send(item.file, progress, (outcome) => OUTCOMES[outcome.is](item, outcome, again));
}

const OUTCOMES = {
  stored(item, { file }) {
    if (!move(item, "store")) return;
    arrived(file);
    say(busy(items) ? `${file.name} has arrived.` : `${file.name} has arrived. All that could be sent is sent.`);
    goOn();
  },
  refused(item, { problem }) {
    fail(item, problem);
    goOn();
  },
  async stale(item, { problem }, again) {
    if (again) return OUTCOMES.refused(item, { problem });
    if (!(await renew())) return OUTCOMES["signed-out"](item);
    if (item.state === "sending") begin(item, true);
  },
  "signed-out"(item) {
    move(item, "hold");
    away("signed-out");
    goOn();
  },
};

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
