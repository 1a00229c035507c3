/** The page of files: sends many, shows how far each is, and keeps the list as it is by now. */

import { onReturn } from "./away.js";
import { dropped } from "./drop.js";
import { anyFile, offer, resumable } from "./left.js";
import { follow } from "./live.js";
import { when } from "./times.js";
import { act, add, comeBack, prepare, unfinished } from "./uploads.js";
import { number, plural, size } from "./words.js";

const FORM = document.getElementById("send");
const INPUT = document.getElementById("file");
const LIST = document.getElementById("list");
const ROWS = LIST.querySelector("tbody");
const VOICE = document.getElementById("voice");

// -- the list --

function row(file) {
  const made = document.getElementById("row").content.cloneNode(true).querySelector("tr");
  made.dataset.id = file.id;
  made.className = "new";
  const part = (name) => made.querySelector(`[data-part="${name}"]`);
  part("name").textContent = part("again").textContent = file.name;
  part("name").href = `/files/${file.id}`;
  part("content").href = `/api/files/${file.id}/content`;
  part("size").textContent = size(file.size);
  const time = part("created").querySelector("time");
  time.dateTime = file.created;
  time.textContent = when(file.created);
  return made;
}

function fill(line, file) {
  const part = (name) => line.querySelector(`[data-part="${name}"]`);
  const chip = line.querySelector(".chip");
  line.dataset.state = chip.dataset.state = file.state;
  chip.textContent = document.getElementById("words").content.querySelector(`[data-state="${file.state}"]`).textContent;
  part("records").textContent = file.records || file.state === "ready" ? number(file.records) : "–";
  part("problems").textContent = told(file);
}

function told(file) {
  if (file.problems_total === 0) return "";
  return file.state === "failed" ? file.problems[0].problem : plural(file.problems_total, "problem", "problems");
}

function show(file) {
  const line = ROWS.querySelector(`[data-id="${CSS.escape(file.id)}"]`);
  const before = line.innerText;
  fill(line, file);
  if (file.state === "failed") say(`${file.name} could not be read.`);
  if (file.state === "ready") say(`${file.name} is ready, with ${plural(file.records, "record", "records")}.`);
  return line.innerText !== before;
}

function pending() {
  const open = ROWS.querySelectorAll('tr[data-state="stored"], tr[data-state="reading"]');
  return [...open].reverse().map((line) => line.dataset.id);
}

const wake = follow(pending, show, (id) => ROWS.querySelector(`[data-id="${CSS.escape(id)}"]`).remove());

function arrived(file) {
  const line = row(file);
  fill(line, file);
  ROWS.prepend(line);
  LIST.hidden = false;
  document.getElementById("none")?.remove();
  wake();
}

// -- the voice: what happened lately, for those who do not see it --

let unsaid = [];

function say(text) {
  unsaid.push(text);
  if (unsaid.length === 1) setTimeout(speak, 600);
}

function speak() {
  VOICE.textContent = unsaid.length > 4 ? `${unsaid.length} news. ${unsaid.at(-1)}` : unsaid.join(" ");
  unsaid = [];
}

// -- sending --

async function send(files) {
  add(await resumable(files));
}

function enhance() {
  FORM.dataset.live = "";
  FORM.querySelector(".button").hidden = true;
  FORM.querySelector(".send-or").hidden = false;
  FORM.querySelector("label").textContent = "Choose files";
  INPUT.multiple = true;
  INPUT.value = "";
}

prepare({ bytes: Number(FORM.dataset.maxBytes), words: FORM.dataset.most }, arrived, say);
enhance();
INPUT.addEventListener("change", () => {
  send([...INPUT.files]);
  INPUT.value = "";
});
INPUT.addEventListener("click", anyFile);
INPUT.addEventListener("cancel", anyFile);
dropped(send);
offer({ arrived, say, choose: () => INPUT.click() });
document.getElementById("queue").addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) act(button.dataset.do, Number(button.closest("li")?.dataset.key));
});
onReturn(() => {
  comeBack();
  wake();
});
window.addEventListener("online", comeBack);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) comeBack();
});
window.addEventListener("beforeunload", (event) => {
  if (unfinished()) event.preventDefault();
});
