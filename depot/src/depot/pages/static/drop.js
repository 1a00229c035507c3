/** Files that are dropped anywhere on the page. */

/** Call `add(files)` with what is dropped. A folder comes as `{ name, size: 0, folder: true }`. */
export function dropped(add) {
  let inside = 0;
  const on = (name, action) => document.addEventListener(name, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    action(event.dataTransfer);
    document.body.classList.toggle("dropping", inside > 0);
  });
  on("dragenter", () => { inside += 1; });
  on("dragover", (transfer) => { transfer.dropEffect = "copy"; });
  on("dragleave", () => { inside -= 1; });
  on("drop", (transfer) => {
    inside = 0;
    add([...transfer.items].filter((item) => item.kind === "file").map(taken).filter(Boolean));
  });
}

function taken(item) {
  const entry = item.webkitGetAsEntry?.();
  return entry?.isDirectory ? { name: entry.name, size: 0, folder: true } : item.getAsFile();
}
