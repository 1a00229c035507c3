/** What an earlier page left: uploads that go on once their file is chosen again. No page may open one by itself. */

import { all, claim, forget, free, keep, kept, onNews } from "./kept.js";
import { same } from "./queue.js";
import { reached, takeBack } from "./send.js";
import { when } from "./times.js";
import { size } from "./words.js";

const SECTION = document.getElementById("left");
const ROWS = SECTION.querySelector('[data-part="rows"]');
const PATTERN = document.getElementById("left-row");
const part = (of, name) => of.querySelector(`[data-part="${name}"]`);

/** By address: { left, line, safe }; the line is null while another tab has the upload. */
const offers = new Map();
let hear = { arrived: () => {}, say: () => {}, choose: () => {} };
let chosen = null;

/**
 * Show what was left, now and as it changes. `arrived(file)` hears of one that was whole after all, `say(text)` speaks,
 * `choose()` lets somebody choose a file, which then comes to `resumable`.
 */
export function offer(hooks) {
  hear = hooks;
  ROWS.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    const found = button && [...offers.values()].find((one) => one.line === button.closest("li"));
    if (found) ACTS[button.dataset.do](found);
  });
  onNews((path) => { for (const one of path === null ? [...offers.keys()] : [path]) renewed(one); });
  for (const left of all()) watch(left);
}

/**
 * Of `files` that were chosen or dropped, take those that were left: [file, left or null, function that gives back].
 * Where one line's file was asked for and another was chosen, that is said, and nothing is taken.
 */
export async function resumable(files) {
  const [wanted] = [chosen, (chosen = null)];
  if (wanted?.line && files.length > 0 && !files.some((file) => same(wanted.left, file))) {
    note(wanted, differs(wanted.left, files[0]), "bad");
    return [];
  }
  const found = [];
  for (const file of files) found.push([file, ...(await taken(file))]);
  return found;
}

/** Whatever file is chosen next, it is not for one line alone. */
export function anyFile() {
  chosen = null;
}

async function taken(file) {
  const open = [...offers.values()].filter(({ line }) => line !== null && !("gone" in line.dataset));
  const one = open.find(({ left }) => same(left, file));
  const release = one ? await claim(one.left.path) : null;
  if (release === null) return [null, null];
  withdraw(one.left.path);
  keep(one.left);
  return [{ ...one.left, safe: one.safe }, release];
}

/** Nothing is offered of the upload at `path`: it is this tab's own. */
export function withdraw(path) {
  const one = offers.get(path);
  offers.delete(path);
  if (one?.line) drop(one);
}

// -- offers come and go --

function renewed(path) {
  const left = kept(path);
  withdraw(path);
  if (left !== null) watch(left);
}

/** Offer it as soon as no tab has it. */
async function watch(left) {
  const one = { left, line: null, safe: 0 };
  offers.set(left.path, one);
  await free(left.path);
  if (offers.get(left.path) === one && kept(left.path) !== null) await show(one);
}

async function show(one) {
  const { left } = one;
  one.line = PATTERN.content.cloneNode(true).querySelector("li");
  part(one.line, "name").textContent = left.name;
  part(one.line, "bar").setAttribute("aria-label", left.name);
  for (const button of one.line.querySelectorAll("button")) {
    button.append(Object.assign(document.createElement("span"), { className: "unseen", textContent: ` ${left.name}` }));
  }
  note(one, `${size(left.size)} in all`);
  ROWS.append(one.line);
  SECTION.hidden = false;
  const outcome = await reached(left.path);
  if (offers.get(left.path) === one) OUTCOMES[outcome.is]?.(one, outcome);
}

const OUTCOMES = {
  there(one, { safe, expires }) {
    one.safe = safe;
    part(one.line, "bar").value = one.left.size ? safe / one.left.size : 1;
    const until = expires ?? one.left.expires;
    note(one, `${size(safe)} of ${size(one.left.size)} are there${until ? `, kept until ${when(until)}` : ""}`);
    hear.say(`${one.left.name} can be continued.`);
  },
  stored(one, { file }) {
    forget(one.left.path);
    withdraw(one.left.path);
    if (file) hear.arrived(file);
  },
  gone(one) {
    forget(one.left.path);
    one.line.dataset.gone = "";
    for (const name of ["bar", "choose", "discard"]) part(one.line, name).hidden = true;
    part(one.line, "remove").hidden = false;
    note(one, "It was not continued in time, and nothing of it is kept. Choose it again to send it anew.");
    hear.say(`${one.left.name} cannot be continued.`);
  },
};

const ACTS = {
  choose(one) {
    hear.choose();
    chosen = one;
  },
  async discard(one) {
    const gone = "gone" in one.line.dataset;
    const outcome = gone ? { is: "gone" } : await takeBack(one.left.path);
    if (outcome.is === "stored") return OUTCOMES.stored(one, outcome);
    if (outcome.is !== "gone") return note(one, "The depot could not be asked. Try again in a while.", "bad");
    forget(one.left.path);
    withdraw(one.left.path);
    if (!gone) hear.say(`${one.left.name} is discarded.`);
  },
};

function drop({ line }) {
  const focused = line.contains(document.activeElement);
  line.remove();
  SECTION.hidden = ROWS.children.length === 0;
  if (focused) document.getElementById(SECTION.hidden ? "main" : "left-title").focus();
}

function note(one, text, look = "") {
  part(one.line, "note").textContent = text;
  part(one.line, "note").classList.toggle("is-bad", look === "bad");
  if (look === "bad") hear.say(text);
}

function differs(left, file) {
  if (file.name !== left.name) return `That is another file: ${file.name}. To send it as well, choose it above.`;
  if (file.size === left.size) return "That file was changed since. To send it as it is now, choose it above.";
  return "That file has another size. To send it as it is now, choose it above.";
}
