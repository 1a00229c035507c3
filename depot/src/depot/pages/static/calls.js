/** Calls of the API as whoever is signed in on this page. */

const META = 'meta[name="csrf-token"]';

/** The header that shows the server that this page sends the request. */
export function proof() {
  return { "X-CSRF-Token": document.querySelector(META).content };
}

/**
 * Look at `path`. The outcome is one of
 *   { is: "found", body }    { is: "gone" }    { is: "signed-out" }    { is: "unreachable" }
 */
export async function look(path) {
  try {
    const answer = await fetch(path, { headers: { Accept: "application/json" } });
    if (answer.ok) return { is: "found", body: await answer.json() };
    if (answer.status === 404) return { is: "gone" };
    return { is: answer.status === 401 ? "signed-out" : "unreachable" };
  } catch {
    return { is: "unreachable" };
  }
}

/** A fresh copy of this page, or null where it cannot be had: nobody is signed in, or nobody answers. */
export async function thisPage() {
  return (await copied(location.href)).page ?? null;
}

/** The page at an address of ours: `{ is: "found", page }`    `{ is: "signed-out" }`    `{ is: "unreachable" }` */
export async function copied(address) {
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    if (!answer.ok) return { is: "unreachable" };
    if (new URL(answer.url).pathname !== new URL(address, location).pathname) return { is: "signed-out" };
    return { is: "found", page: new DOMParser().parseFromString(await answer.text(), "text/html") };
  } catch {
    return { is: "unreachable" };
  }
}

/**
 * Take the token anew, which another session brings. The outcome is one of
 *   "done"    "signed-out"    "somebody-else": the session is another account's    "unreachable"
 */
export async function renew() {
  const { is, page } = await copied(location.href);
  if (is !== "found") return is;
  if (account(page) !== account(document)) return "somebody-else";
  const token = page.querySelector(META).content;
  document.querySelector(META).content = token;
  for (const field of document.querySelectorAll('input[name="csrf"]')) field.value = token;
  return "done";
}

/** Whose page it is. */
export function account(page) {
  return page.querySelector('meta[name="account"]')?.content ?? "";
}
