/** What becomes of an upload: rules alone, no page and no network. */

/** How an attempt to send may end. */
const ENDS = {
  store: "stored", refuse: "failed", cancel: "cancelled", hold: "waiting", lose: "waiting", break: "broken",
};
/** What may happen to an upload in each state, and what it is then. Anything else came too late and is ignored. */
const MOVES = {
  waiting: { begin: "asking", cancel: "cancelled", refuse: "failed" },
  asking: { send: "sending", ...ENDS },
  sending: ENDS,
  broken: { begin: "asking", cancel: "cancelled" },
  failed: { retry: "waiting", drop: "dropped" },
  cancelled: { retry: "waiting", drop: "dropped", store: "stored" },
  stored: {},
  dropped: {},
};
const OPEN = ["waiting", "asking", "sending", "broken"];
const BEGUN = ["asking", "sending", "broken"];
const SHOWN = [...OPEN, "failed", "cancelled"];
/** What forgets how far it was. */
const ANEW = ["cancel", "lose"];
const AT_ONCE = 3;
const WINDOW_MS = 5000;
const FIRST_MS = 500;
const LONGEST_MS = 30_000;

let taken = 0;

/**
 * An upload of `file` that waits for its turn. With `left`, of an earlier page, it goes on from there.
 * `path` is its address once it has one, `safe` the bytes that the depot has acknowledged, `sent` those that have left.
 */
export function upload(file, left = null) {
  taken += 1;
  return {
    key: taken, file, state: "waiting", problem: null, stop: null, release: null,
    path: left?.path ?? null, started: left?.started ?? null, lost: false,
    safe: left?.safe ?? 0, sent: left?.safe ?? 0, from: 0, samples: [],
    tries: 0, earliest: 0, again: 0, crowded: false,
  };
}

/** Let `event` happen to `item`; whether it did. */
export function move(item, event) {
  const state = MOVES[item.state][event];
  if (state === undefined) return false;
  Object.assign(item, { state, stop: null, samples: [] });
  if (ANEW.includes(event)) Object.assign(item, { path: null, started: null, safe: 0, sent: 0, from: 0 });
  if (event === "lose") item.lost = true;
  if (event === "retry") Object.assign(item, { problem: null, tries: 0, lost: false });
  return true;
}

/** Those to begin now: the first that wait, while fewer than three are under way. What broke off keeps its place. */
export function startable(items) {
  const room = AT_ONCE - items.filter((item) => BEGUN.includes(item.state)).length;
  return items.filter((item) => item.state === "waiting").slice(0, Math.max(0, room));
}

/** Whether leaving the page would break something off. */
export function busy(items) {
  return items.some(isOpen);
}

/** Whether it is still to come to an end. */
export function isOpen(item) {
  return OPEN.includes(item.state);
}

/** Those that have a line in the queue. */
export function shown(items) {
  return items.filter((item) => SHOWN.includes(item.state));
}

/** Note that `safe` bytes are acknowledged: it goes on from there. */
export function acknowledged(item, safe) {
  if (safe > item.safe) item.tries = 0;
  Object.assign(item, { safe, sent: safe, from: safe });
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

/**
 * Milliseconds until the next attempt, after `tries` that came to nothing: about twice as many each time, up to half a
 * minute, and by chance up to half less, lest all come back at once. `asked` is what the depot wants at least.
 */
export function delay(tries, asked, chance = Math.random()) {
  return asked + Math.min(LONGEST_MS, FIRST_MS * 2 ** tries) * (1 - chance / 2);
}

/** Whether `file` is the one that was being sent: its content is not looked at. */
export function same(left, file) {
  return left.name === file.name && left.size === file.size && left.modified === file.lastModified;
}

/** How far all of them are: numbers of uploads and of bytes. */
export function totals(items) {
  const counted = items.filter((item) => item.state !== "dropped" && item.state !== "cancelled");
  const sum = (of) => counted.reduce((before, item) => before + of(item), 0);
  const number = (...states) => counted.filter((item) => states.includes(item.state)).length;
  return {
    all: counted.length,
    stored: number("stored"),
    failed: number("failed"),
    stuck: number("broken") > 0 && number("asking", "sending") === 0,
    bytes: sum((item) => item.file.size),
    sent: sum((item) => (item.state === "stored" ? item.file.size : item.state === "failed" ? 0 : item.sent)),
    rate: sum(rate),
  };
}
