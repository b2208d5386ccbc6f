// Long recordings that a reload must not lose: their jobs' ids and names, and the sound. All of it stays in this browser.

const LIST = "auricle.jobs";
const STORE = "recordings";
const MAX_SOUND_BYTES = 1 << 30;

const isEntry = (entry) => /^job_\w+$/.test(entry?.id) && typeof entry.name === "string";

export function list() {
  try {
    return JSON.parse(localStorage.getItem(LIST) ?? "[]").filter(isEntry);
  } catch {
    return []; // another version's
  }
}

const write = (entries) => localStorage.setItem(LIST, JSON.stringify(entries));

export async function keep(id, file) {
  write([{ id, name: file.name, at: Date.now() }, ...list()]);
  if (file.size > MAX_SOUND_BYTES) return;
  // Without room for it the text can be read all the same.
  await inStore("readwrite", (store) => store.put(file, id)).catch(() => {});
}

export const sound = (id) => inStore("readonly", (store) => store.get(id)).catch(() => undefined);

export async function forget(id) {
  write(list().filter((entry) => entry.id !== id));
  await inStore("readwrite", (store) => store.delete(id)).catch(() => {});
}

function inStore(mode, use) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("auricle", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction(STORE, mode);
      const asked = use(transaction.objectStore(STORE));
      transaction.oncomplete = () => {
        opening.result.close();
        resolve(asked.result);
      };
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    };
  });
}
