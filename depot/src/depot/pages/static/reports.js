/** The page of reports: shows how far each is, as long as one is under way or was just asked for. */

import { onReturn } from "./away.js";
import { copied } from "./calls.js";
import { heard, repeat } from "./live.js";
import { localise } from "./times.js";
import { plural } from "./words.js";

const LIST = document.getElementById("made");
const ROWS = LIST.querySelector("tbody");
const AWAITED_MS = 20_000;
const BACK_MS = 1_000;

let awaited = 0; // until when there may be a report that does not show yet

const line = (id) => ROWS.querySelector(`[data-id="${CSS.escape(id)}"]`);
const isOpen = (row) => row.dataset.state === "waiting" || row.dataset.state === "running";

async function ask() {
  if (![...ROWS.rows].some(isOpen) && Date.now() > awaited) return null;
  const { is, page } = await copied("/reports/made");
  heard(is);
  return is === "found" && show(page.getElementById("made"));
}

/** Show the rows as they are now; whether anything was new. */
function show(fresh) {
  localise(fresh);
  const rows = [...fresh.querySelector("tbody").rows];
  const gone = [...ROWS.rows].filter((row) => !rows.some((other) => other.dataset.id === row.dataset.id));
  for (const row of gone) row.remove();
  const news = rows.map((row, place) => (line(row.dataset.id) ? change(line(row.dataset.id), row) : add(row, place)));
  LIST.hidden = rows.length === 0;
  return gone.length > 0 || news.some(Boolean);
}

function add(row, place) {
  awaited = 0;
  row.className = "new";
  ROWS.insertBefore(document.adoptNode(row), ROWS.rows[place] ?? null);
  if (!isOpen(row)) say(row);
  return true;
}

/** Change what is new in a row, cell by cell, so that nobody loses the place where they are. */
function change(row, fresh) {
  const before = row.dataset.state;
  const changed = [...row.cells].filter((cell, place) => cell.innerHTML !== fresh.cells[place].innerHTML);
  for (const cell of changed) {
    const focused = cell.contains(document.activeElement);
    cell.innerHTML = fresh.cells[cell.cellIndex].innerHTML;
    if (focused) (cell.querySelector("a, button") ?? document.getElementById("made-title")).focus();
  }
  row.dataset.state = fresh.dataset.state;
  if (row.dataset.state !== before && !isOpen(row)) say(row);
  return changed.length > 0;
}

function say(row) {
  const [, state, rows] = row.cells;
  const count = Number(rows.textContent.replaceAll(",", ""));
  const word = state.querySelector(".chip").textContent;
  document.getElementById("voice").textContent = `${row.dataset.name}: ${word}, ${plural(count, "row", "rows")}.`;
}

document.addEventListener("visibilitychange", () => { awaited = Math.max(awaited, Date.now() + BACK_MS); });
const wake = repeat(ask);
onReturn(wake);
document.querySelector(".reports").addEventListener("click", (event) => {
  if (!event.target.closest("a")) return;
  awaited = Date.now() + AWAITED_MS;
  wake();
});
