/** Times in the reader's own zone. Without this they are UTC, and the foot of the page says so. */

const LOCAL = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit",
});

/** An RFC 3339 time as "22 Nov 2026, 20:10". */
export function when(at) {
  return LOCAL.format(new Date(at));
}

/** Show every time below `part` in the reader's zone. */
export function localise(part) {
  for (const time of part.querySelectorAll("time[datetime]")) time.textContent = when(time.dateTime);
}

localise(document);
for (const zone of document.querySelectorAll("[data-zone]")) {
  zone.textContent = LOCAL.resolvedOptions().timeZone.replaceAll("_", " ");
}
