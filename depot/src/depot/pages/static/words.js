/** Numbers as people read them, in the words that the server uses too. */

const STEPS = ["bytes", "kB", "MB", "GB", "TB"];
/** From gigabytes on, tenths are told up to a hundred of them. */
const EXACT = 3;

/** 1234567 -> "1,234,567" */
export function number(count) {
  return count.toLocaleString("en-US");
}

/** 1234567 -> "1.2 MB" */
export function size(bytes) {
  let step = 0;
  let left = bytes;
  while (left >= 999.5 && step < STEPS.length - 1) {
    left /= 1000;
    step += 1;
  }
  if (step === 0) return plural(bytes, "byte", "bytes");
  return `${left.toFixed(left < (step < EXACT ? 9.95 : 99.95) ? 1 : 0)} ${STEPS[step]}`;
}

/** 75 -> "2 min": the time that is left, never more exact than it can be known. */
export function left(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${Math.max(1, Math.ceil(seconds))} s left`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min left`;
  return `${(seconds / 3600).toFixed(1)} h left`;
}

/** (2, "file", "files") -> "2 files" */
export function plural(count, one, many) {
  return `${number(count)} ${count === 1 ? one : many}`;
}
