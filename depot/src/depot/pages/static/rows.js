/** The lines of the queue, and the sum above them. Everything that comes from outside is set as text. */

import { signedOut } from "./away.js";
import { busy, isOpen, rate, shown, totals } from "./queue.js";
import { left, plural, size } from "./words.js";

const SECTION = document.getElementById("queue");
const PATTERN = document.getElementById("upload");
const part = (of, name) => of.querySelector(`[data-part="${name}"]`);
const lines = new Map();

/** Show every line as its upload is by now, add those that are new, and remove those that are done. */
export function showAll(items) {
  const wanted = new Set(shown(items));
  for (const item of [...lines.keys()].filter((one) => !wanted.has(one))) remove(item);
  for (const item of wanted) if (!lines.has(item)) add(item);
  for (const item of wanted) showOne(item);
  showSum(items);
  SECTION.hidden = wanted.size === 0;
}

function add(item) {
  const line = PATTERN.content.cloneNode(true).querySelector("li");
  line.dataset.key = item.key;
  part(line, "name").textContent = item.file.name;
  part(line, "bar").setAttribute("aria-label", item.file.name);
  for (const button of line.querySelectorAll("button")) {
    button.append(Object.assign(document.createElement("span"), { className: "unseen", textContent: ` ${item.file.name}` }));
  }
  part(SECTION, "rows").append(line);
  lines.set(item, line);
}

function remove(item) {
  const line = lines.get(item);
  const focused = line.contains(document.activeElement);
  line.remove();
  lines.delete(item);
  if (focused) document.getElementById(lines.size > 0 ? "queue-title" : "main").focus();
}

/** Show one line as its upload is by now. */
export function showOne(item) {
  const line = lines.get(item);
  if (!line) return;
  const [bar, note, why] = ["bar", "note", "why"].map((name) => part(line, name));
  bar.value = item.file.size ? item.sent / item.file.size : Number(item.state === "sending");
  note.textContent = NOTES[item.state](item);
  if (line.dataset.state === item.state) return;
  line.dataset.state = item.state;
  showButtons(line, item);
  why.hidden = item.state !== "failed";
  if (item.state === "failed") explain(why, item.problem);
}

function showButtons(line, item) {
  const wanted = { broken: ["now", "cancel"] }[item.state] ?? (isOpen(item) ? ["cancel"] : ["retry", "drop"]);
  const buttons = [...line.querySelectorAll("button")];
  const focused = line.contains(document.activeElement);
  for (const button of buttons) button.hidden = !wanted.includes(button.dataset.do);
  if (focused && document.activeElement.hidden) buttons.find((button) => !button.hidden).focus();
}

const NOTES = {
  waiting: (item) => {
    if (signedOut()) return `${far(item)}, waiting until you have signed in`;
    return `${far(item)}, ${item.lost ? LOST : "waiting for its turn"}`;
  },
  asking: (item) => (item.path === null ? size(item.file.size) : `${far(item)}, continuing`),
  sending: (item) => {
    if (item.sent >= item.file.size) return `${size(item.file.size)} sent, being stored`;
    const speed = rate(item);
    const rest = speed > 0 ? [`${size(speed)}/s`, left((item.file.size - item.sent) / speed)] : [];
    if (item.from > 0) rest.push(`continued at ${size(item.from)}`);
    return [`${size(item.sent)} of ${size(item.file.size)}`, ...rest, ...(item.lost ? [LOST] : [])].join(", ");
  },
  broken: (item) => {
    if (!navigator.onLine) return `${far(item)}, waiting for the network`;
    const seconds = Math.max(1, Math.ceil((item.again - Date.now()) / 1000));
    return `${far(item)}, the depot ${item.crowded ? "is busy" : "does not answer"}; next try in ${seconds} s`;
  },
  failed: () => "",
  cancelled: () => "Cancelled. Nothing of it was kept.",
};
const LOST = "sent anew, for the depot had given up what was there";

function far(item) {
  return item.sent > 0 ? `${size(item.sent)} of ${size(item.file.size)}` : size(item.file.size);
}

function explain(why, problem) {
  for (const name of ["title", "detail", "advice"]) part(why, name).textContent = problem[name] ?? "";
  part(why, "id").textContent = problem.request_id ?? "";
  part(why, "id-line").hidden = !problem.request_id;
}

/** Show how far all of them are. */
export function showSum(items) {
  const all = totals(items);
  const said = [`${all.stored} of ${plural(all.all, "file", "files")} sent`, `${size(all.sent)} of ${size(all.bytes)}`];
  if (all.rate > 0) said.push(`${size(all.rate)}/s`, left((all.bytes - all.sent) / all.rate));
  if (all.stuck) said.push(navigator.onLine ? "waiting for the depot" : "waiting for the network");
  if (all.failed > 0) said.push(`${all.failed} failed`);
  part(SECTION, "sum").textContent = said.join(" · ");
  part(SECTION, "bar").value = all.bytes ? all.sent / all.bytes : 0;
  SECTION.querySelector('[data-do="cancel-all"]').hidden = !busy(items);
  SECTION.querySelector('[data-do="retry-all"]').hidden = all.failed < 2;
}
