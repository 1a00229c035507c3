/** What becomes of an upload: rules alone, no page and no network. */

/** What may happen to an upload in each state, and what it is then. Anything else came too late and is ignored. */
const MOVES = {
  waiting: { begin: "sending", cancel: "cancelled", refuse: "failed" },
  sending: { store: "stored", refuse: "failed", cancel: "cancelled", hold: "waiting" },
  failed: { retry: "waiting", drop: "dropped" },
  cancelled: { retry: "waiting", drop: "dropped" },
  stored: {},
  dropped: {},
};
const OPEN = ["waiting", "sending"];
const SHOWN = ["waiting", "sending", "failed", "cancelled"];
const AT_ONCE = 3;
const WINDOW_MS = 5000;

let taken = 0;

/** An upload of `file` that waits for its turn. */
export function upload(file) {
  taken += 1;
  return { key: taken, file, state: "waiting", sent: 0, samples: [], problem: null, stop: null };
}

/** Let `event` happen to `item`; whether it did. */
export function move(item, event) {
  const state = MOVES[item.state][event];
  if (state === undefined) return false;
  item.state = state;
  item.stop = null;
  if (state === "waiting") Object.assign(item, { sent: 0, samples: [], problem: null });
  return true;
}

/** Those to begin now: the first that wait, while fewer than three are sent. */
export function startable(items) {
  const room = AT_ONCE - items.filter((item) => item.state === "sending").length;
  return items.filter((item) => item.state === "waiting").slice(0, Math.max(0, room));
}

/** Whether leaving the page would break something off. */
export function busy(items) {
  return items.some((item) => OPEN.includes(item.state));
}

/** Those that have a line in the queue. */
export function shown(items) {
  return items.filter((item) => SHOWN.includes(item.state));
}

/** Note that `sent` bytes had left at the time `now`, in milliseconds. */
export function progressed(item, sent, now) {
  item.sent = sent;
  item.samples = [...item.samples.filter((sample) => now - sample.at < WINDOW_MS), { at: now, sent }];
}

/** Bytes in a second over the last five; 0 while that is not known. */
export function rate(item) {
  const [first, last] = [item.samples.at(0), item.samples.at(-1)];
  if (item.state !== "sending" || !first || last.at - first.at < 250) return 0;
  return ((last.sent - first.sent) / (last.at - first.at)) * 1000;
}

/** How far all of them are: numbers of uploads and of bytes. */
export function totals(items) {
  const counted = items.filter((item) => item.state !== "dropped" && item.state !== "cancelled");
  const sum = (of) => counted.reduce((before, item) => before + of(item), 0);
  return {
    all: counted.length,
    stored: counted.filter((item) => item.state === "stored").length,
    failed: counted.filter((item) => item.state === "failed").length,
    bytes: sum((item) => item.file.size),
    sent: sum((item) => (item.state === "stored" ? item.file.size : item.state === "failed" ? 0 : item.sent)),
    rate: sum(rate),
  };
}
