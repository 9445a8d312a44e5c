/* Questions to the service. Contract: the key is kept in this tab's session storage and travels in a header, never in an
   address; a refusal keeps its status and every fault. */

const KEY = "arbitrage-key";
const LONGEST_MS = 12_000;

export class Refused extends Error {
  constructor(status, fallbackText, document) {
    super(document?.detail ?? fallbackText);
    this.status = status;
    this.document = document;
    this.faults = document?.faults ?? [];
  }

  /** Everything that is wrong, in one text. */
  get words() {
    return [this.message, ...this.faults.map((fault) => `${fault.field}: ${fault.message}`)].join(" ");
  }
}

export class Unreachable extends Error {}

export const hasKey = () => sessionStorage.getItem(KEY) !== null;
export const keepKey = (key) => sessionStorage.setItem(KEY, key);
export const forgetKey = () => sessionStorage.removeItem(KEY);

export async function ask(path, { method = "GET", query = {}, body = null } = {}) {
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== null && value !== undefined));
  const headers = { accept: "application/json" };
  if (hasKey()) headers["x-api-key"] = sessionStorage.getItem(KEY);
  if (body !== null) headers["content-type"] = "application/json";
  const address = asked.size ? `${path}?${asked}` : path;
  let response;
  try {
    response = await fetch(address, {
      method, headers, body: body === null ? null : JSON.stringify(body), cache: "no-store", signal: AbortSignal.timeout(LONGEST_MS),
    });
  } catch (error) {
    throw new Unreachable(error.message);
  }
  const given = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, response.statusText, given);
  return given;
}

/** Whether the service is fit to decide, and why not. */
export async function readiness() {
  try {
    return await ask("/readyz");
  } catch (error) {
    if (error instanceof Refused && error.document?.ready === false) return error.document;
    throw error;
  }
}

/** What an asset has; null where the service knows nothing of it yet. */
export async function askIfAny(path, query = {}) {
  try {
    return await ask(path, { query });
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}
