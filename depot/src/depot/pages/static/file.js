/** The page of one file: shows how far it is read, and what was found once it is. */

import { onReturn } from "./away.js";
import { thisPage } from "./calls.js";
import { follow } from "./live.js";
import { localise } from "./times.js";
import { number } from "./words.js";

const live = () => document.getElementById("live");
const say = (text) => { document.getElementById("voice").textContent = text; };

function pending() {
  return ["stored", "reading"].includes(live().dataset.state) ? [live().dataset.id] : [];
}

function show(file) {
  const records = live().querySelector('[data-part="records"]');
  const news = file.state !== live().dataset.state || records?.textContent !== number(file.records);
  if (records) records.textContent = number(file.records);
  if (file.state !== live().dataset.state) replace(file.state);
  return news;
}

async function replace(state) {
  const fresh = (await thisPage())?.getElementById("live");
  if (!fresh) return;
  live().replaceWith(document.adoptNode(fresh));
  localise(live());
  if (state === "ready" || state === "failed") say(live().querySelector(".state-line").innerText);
}

onReturn(follow(pending, show, () => location.reload()));
