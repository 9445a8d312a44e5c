/* What the page knows of one asset, asked at regular intervals. Contract: of decisions that begin together the later one
   counts; the time is the service's, not this machine's. */

import { ask, askIfAny } from "./service.js";

const KEPT_MS = 26 * 3_600_000;
const LARGEST_PAGE = 1000;
const MOST_PAGES = 4;
const MOST_NAMES = 100;

export class Watch {
  constructor(assetId) {
    this.assetId = assetId;
    this.decisions = [];
    this.newest = null;
    this.prices = null;
    this.day = null;
    this.asset = null;
    this.capacityMwh = null;
    this.hours = 6;
    this._aheadMs = 0;
    this._reachesMs = Infinity;
    this._dayAskedMs = -Infinity;
  }

  /** The service's time now, as well as it is known. */
  get now() {
    return new Date(Date.now() + this._aheadMs);
  }

  /** Ask for whatever is new; returns whether there is a new decision. */
  async refresh() {
    this.asset = await askIfAny(`/v1/assets/${encodeURIComponent(this.assetId)}`);
    const { decisions } = await ask("/v1/decisions", { query: { asset_id: this.assetId, limit: 1 } });
    const isNew = decisions.length > 0 && decisions[0].decision_id !== this.newest?.decision_id;
    if (isNew) await this._takeNew(decisions[0]);
    if (isNew || performance.now() - this._dayAskedMs > 30_000) await this._takeDay();
    return isNew;
  }

  /** Look further back. */
  async lookBack(hours) {
    this.hours = hours;
    if (this.newest !== null) await this._fill();
    await this._takePrices();
  }

  async _takeNew(decision) {
    this.newest = decision;
    await this._fill();
    await this._takePrices();
  }

  async _fill() {
    const newestMs = Date.parse(this.newest.generated_at);
    const fromMs = newestMs - this.hours * 3_600_000;
    if (fromMs < this._reachesMs) this.decisions = [];
    this._reachesMs = Math.min(this._reachesMs, fromMs);
    const last = this.decisions.at(-1);
    const start = last ? last.generated_at : new Date(fromMs).toISOString();
    this._add(await pagesSince(this.assetId, start));
  }

  _add(found) {
    const all = new Map(this.decisions.map((each) => [each.decision_id, each]));
    for (const each of found) all.set(each.decision_id, each);
    const sorted = [...all.values()].sort(
      (a, b) => a.valid_from.localeCompare(b.valid_from) || a.generated_at.localeCompare(b.generated_at),
    );
    const oldest = Date.parse(this.newest.generated_at) - KEPT_MS;
    this.decisions = sorted.filter(
      (each, at) => sorted[at + 1]?.valid_from !== each.valid_from && Date.parse(each.valid_from) >= oldest,
    );
  }

  async _takePrices() {
    const query = { hours: this.hours };
    this.prices = await askIfAny(`/v1/assets/${encodeURIComponent(this.assetId)}/prices`, query);
    if (this.prices !== null) this._setClock(this.prices.now);
  }

  async _takeDay() {
    this.day = await ask(`/v1/assets/${encodeURIComponent(this.assetId)}/day`);
    this._dayAskedMs = performance.now();
    this._setClock(this.day.now);
  }

  _setClock(text) {
    this._aheadMs = Date.parse(text) - Date.now();
  }
}

async function pagesSince(assetId, start) {
  const found = [];
  let cursor = null;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const given = await ask("/v1/decisions", { query: { asset_id: assetId, start, limit: LARGEST_PAGE, cursor } });
    found.push(...given.decisions);
    cursor = given.next_cursor;
    if (cursor === null) break;
  }
  return found;
}

/** Assets that are kept and begin with `prefix`, then those that decisions were asked for under a name alone; as many as
    one list shows, and whether there are more. */
export async function assetNames(prefix) {
  const [{ assets, next_cursor: next }, { decisions }] = await Promise.all([
    ask("/v1/assets", { query: { limit: MOST_NAMES, prefix: prefix || null } }), ask("/v1/decisions", { query: { limit: 50 } }),
  ]);
  const named = decisions.map((decision) => decision.asset_id).filter((name) => name?.startsWith(prefix));
  return { names: [...new Set([...assets.map((asset) => asset.asset_id), ...named])], more: next !== null };
}
